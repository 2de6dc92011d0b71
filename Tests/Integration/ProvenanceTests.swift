import Foundation
import Model
import Ports
import Storage
import Testing
import TestKit
import Trust

/// What a bake says of itself, in a registry, for policies and for cosign.
extension OnThisHost {
    @Suite(.timeLimit(.minutes(60))) struct ProvenanceTests {
        private static let hasRegistry =
            DockerRegistry.isInstalled && Peer.has("git")

        /// The example in a Git repository of its own, baked and pushed.
        private struct Stage {
            let site: Site
            let registry: DockerRegistry
            let name: String
            let publicKey: String
            var spec: String { "\(site.folder)/v1/kiln.yaml" }

            init() async throws {
                site = try Site()
                let folder = site.folder
                registry = try await DockerRegistry()
                name = "\(registry.address)/hello:v1"
                let made = try site.kiln("key", "generate", "ci", "--role", "build", "--no-passphrase")
                let baked = try site.kiln("bake", "--file", "\(folder)/v1/kiln.yaml")
                let pushed = try site.kiln("image", "push", "hello", name)
                for said in [made, baked, pushed] where said.status != 0 {
                    throw Failure(.commandFailed, said.errors)
                }
                publicKey = shell("echo '\(site.root)'/keys/ci-*.pub").output.trimmingCharacters(
                    in: .newlines)
                git("init -q -b main && git add -A && git commit -q -m first")
                git("remote add origin https://ann:secret@git.example/shop.git")
            }

            @discardableResult
            func git(_ arguments: String) -> String {
                let said = shell(
                    "cd '\(site.folder)/v1' && export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b.example GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b.example && git \(arguments)"
                )
                return said.output.trimmingCharacters(in: .newlines)
            }

            func sign() throws -> KilnProgram.Result {
                try site.kiln(
                    "image", "sign", "hello", name, "--key", "ci", "--provenance", "--sbom", "--builder",
                    "https://ci.example/runner", "--file", spec)
            }

            /// The image once more, with a provenance that was altered after it was signed.
            func pushAltered() async throws -> String {
                let baked = try KilnProgram.run(["bake", "--file", spec, "--root", site.root])
                let image = try Model.Digest(parsing: String(baked.output.prefix { $0 != " " }))
                let file = publicKey.replacing(".pub", with: ".key")
                let key = try KeyFile(
                    parsing: Array(try Data(contentsOf: URL(fileURLWithPath: file)))
                ).opened { "" }
                let made = Provenance(
                    recipe: nil, source: nil, materials: [], builder: "https://ci.example/runner",
                    startedOn: nil, finishedOn: nil)
                var bundle = try SigstoreBundle(
                    made.statement(about: Statement.Subject(name: "hello", digest: image)), signedWith: key)
                let text = String(decoding: bundle.envelope.payload, as: UTF8.self)
                bundle.envelope.payload = Array(text.replacing("runner", with: "runnet").utf8)
                try await ContentStore(site.root + "/store").add(evidence: [bundle.bytes], to: image)
                let place = name.replacing("/hello:", with: "/altered:")
                let pushed = try site.kiln("image", "push", "hello", place)
                try #require(pushed.status == 0, "\(pushed.errors)")
                let said = try KilnProgram.run([
                    "verify", place, "--key", publicKey, "--require", "provenance",
                ])
                #expect(said.status == 1 && said.errors.contains("rule signature"), "\(said.errors)")
                return place
            }

            func verify(_ more: String...) throws -> KilnProgram.Result {
                try KilnProgram.run(["verify", name, "--key", publicKey] + more)
            }

            /// What it says on its outputs apart.
            func cosign(_ generation: String, _ type: String, key: String? = nil, of name: String? = nil)
                -> (status: Int32, output: String, errors: String)
            {
                let errors = "\(site.folder)/cosign.errors"
                let said = shell(
                    "HOME='\(site.folder)' \(Peer.find("cosign-\(generation)") ?? "cosign") verify-attestation --type \(type) --key '\(key ?? publicKey)' --insecure-ignore-tlog --allow-insecure-registry --allow-http-registry \(name ?? self.name) 2>'\(errors)'"
                )
                return (
                    said.status, said.output, (try? String(contentsOfFile: errors, encoding: .utf8)) ?? ""
                )
            }
        }

        @Test(.enabled(if: hasRegistry, "skipped: no docker-registry or no git"))
        func `a provenance names builder, commit and every package, and policies hold to it`() async throws {
            let stage = try await Stage()
            defer { stage.registry.stop() }
            let (builder, source) = ("https://ci.example/runner", "https://git.example/shop")
            func refused(_ said: KilnProgram.Result, _ words: String) {
                #expect(said.status == 1 && said.errors.contains(words), "\(said.errors)")
            }
            refused(try stage.verify("--require", "provenance"), "rule unsigned:")

            // With a change that no commit has.
            shell("touch '\(stage.site.folder)/v1/new'")
            let dirty = try stage.sign()
            #expect(dirty.status == 0, "\(dirty.errors)")
            let strict = ["--builder", builder, "--source", source, "--max-age", "1d"]
            refused(
                try stage.verify(strict[0], strict[1], strict[2], strict[3]),
                "rule source: the image was baked with changes that no commit has")
            #expect(
                try stage.verify(strict[0], strict[1], strict[2], strict[3], "--allow-dirty").status == 0)

            // As it was committed.
            shell("rm '\(stage.site.folder)/v1/new'")
            let clean = try stage.sign()
            #expect(clean.status == 0, "\(clean.errors)")
            #expect(try stage.verify("--require", "sbom").status == 0)
            let good = try stage.verify(strict[0], strict[1], strict[2], strict[3], strict[4], strict[5])
            #expect(good.status == 0, "\(good.errors)")
            refused(
                try stage.verify("--builder", builder + "2"),
                "rule builder: the builder https://ci.example/runner is not allowed")
            refused(
                try stage.verify("--source", source + "2"),
                "rule source: the source https://git.example/shop is not allowed")
            refused(try stage.verify("--max-age", "1ms"), "rule age:")

            // A recipe that does not give this image is not said to.
            try stage.site.edit("v1") { $0.replacing("user: www-data", with: "user: root") }
            let other = try stage.sign()
            #expect(other.status == 2 && other.errors.contains("this recipe gives"), "\(other.errors)")
        }

        @Test(
            .enabled(if: hasRegistry, "skipped: no docker-registry or no git"),
            .enabled(if: Peer.has("cosign-2") || Peer.has("cosign-3"), "skipped: no cosign"))
        func `cosign verifies the provenance by its type and key, and no other type, key or bytes`()
            async throws
        {
            let stage = try await Stage()
            defer { stage.registry.stop() }
            let signed = try stage.sign()
            try #require(signed.status == 0, "\(signed.errors)")
            let lock = try JSONValue(
                parsing: Array(
                    try Data(contentsOf: URL(fileURLWithPath: "\(stage.site.folder)/v1/kiln.lock"))))
            let packages = try #require(lock["packages"]?.elements?.count)
            let made = try stage.site.kiln(
                "key", "generate", "stranger", "--role", "build", "--no-passphrase")
            try #require(made.status == 0, "\(made.errors)")
            let strangerKey = shell("echo '\(stage.site.root)'/keys/stranger-*.pub").output
                .trimmingCharacters(
                    in: .newlines)
            let alteredName = try await stage.pushAltered()
            for generation in ["2", "3"] where Peer.has("cosign-\(generation)") {
                let said = stage.cosign(generation, "slsaprovenance1")
                try #require(said.status == 0, "cosign \(generation): \(said.output)")
                let envelope = try JSONValue(parsing: Array(said.output.utf8))
                let payload = Data(base64Encoded: envelope["payload"]?.text ?? "") ?? Data()
                let statement = try JSONValue(parsing: Array(payload))
                let build = statement["predicate"]?["buildDefinition"]
                #expect(build?["buildType"]?.text == "urn:kiln:bake:v1")
                let dependencies = build?["resolvedDependencies"]?.elements ?? []
                #expect(dependencies.count == packages + 1)
                #expect(
                    dependencies.allSatisfy {
                        let uri = $0["uri"]?.text ?? ""
                        return uri.hasPrefix("pkg:deb/debian/") && $0["digest"]?["sha256"]?.text != nil
                            || uri == "git+https://git.example/shop"
                    })
                let source = build?["externalParameters"]?["source"]
                #expect(source?["commit"]?.text == stage.git("rev-parse HEAD"))
                #expect(source?["isDirty"] == .bool(false))
                #expect(!String(decoding: payload, as: UTF8.self).contains("secret"))
                let bill = stage.cosign(generation, "spdxjson")
                try #require(bill.status == 0, "cosign \(generation): \(bill.output)")
                let signedBill = try JSONValue(parsing: Array(bill.output.utf8))["payload"]?.text ?? ""
                let spdx = try JSONValue(parsing: Array(Data(base64Encoded: signedBill) ?? Data()))[
                    "predicate"]
                #expect(spdx?["spdxVersion"]?.text == "SPDX-2.3")
                #expect(spdx?["packages"]?.elements?.count ?? 0 > packages)
                let other = stage.cosign(generation, "vuln")
                #expect(
                    other.status == 1
                        && other.errors.contains("none of the attestations matched the predicate type: vuln"),
                    "\(other.errors)")
                let stranger = stage.cosign(generation, "slsaprovenance1", key: strangerKey)
                let altered = stage.cosign(generation, "slsaprovenance1", of: alteredName)
                for refused in [stranger, altered] {
                    #expect(
                        refused.status == 1
                            && refused.errors.contains(
                                "accepted signatures do not match threshold, Found: 0, Expected 1"),
                        "\(refused.errors)")
                }
                judged(
                    by: "cosign \(generation)",
                    "provenance and SPDX by type, another type, another key, altered",
                    accepted: [said, bill].count { $0.status == 0 }, of: 2,
                    refused: [other, stranger, altered].count { $0.status == 1 }, of: 3)
            }
        }

        @Test(.enabled(if: hasRegistry, "skipped: no docker-registry or no git"))
        func `what is signed in the store goes to a registry with the image, as far as it needs no key`()
            async throws
        {
            let stage = try await Stage()
            defer { stage.registry.stop() }
            let signed = try stage.site.kiln(
                "image", "sign", "hello", "--key", "ci", "--provenance", "--builder",
                "https://ci.example/runner", "--file", stage.spec)
            try #require(signed.status == 0, "\(signed.errors)")
            #expect(try stage.verify("--require", "provenance").status == 1)
            for _ in 1...2 {
                let pushed = try stage.site.kiln("image", "push", "hello", stage.name)
                #expect(pushed.status == 0 && pushed.errors.contains("cosign before 3 finds no signature"))
            }
            #expect(try stage.verify("--require", "provenance", "--require", "signature").status == 0)
            for generation in ["2", "3"] where Peer.has("cosign-\(generation)") {
                let said = stage.cosign(generation, "slsaprovenance1")
                #expect(said.status == 0, "cosign \(generation): \(said.errors)")
                // Pushed twice it lies there once.
                #expect(said.output.split(separator: "\n").count == 1)
            }
            // The bakes of `image sign` and of `bake` are one image, and one entry.
            let bakes = try stage.site.kiln("ledger", "show", "--kind", "bake", "--output", "json")
            #expect(bakes.output.components(separatedBy: "\"kind\":\"bake\"").count - 1 <= 1)
        }
    }
}
