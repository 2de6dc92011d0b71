import Foundation
import Model
import Ports
import Storage
import TestKit
import Testing
import Trust
import WireAPI

/// What may start on a host, with the whole program: the policy, the keys, the images, and the ledger that tells of it.
extension OnThisHost {
    @Suite struct AdmissionTests {
        /// A site with a build key and a deploy key whose host asks for signatures.
        private func site() throws -> Site {
            let site = try Site()
            for (name, role) in [("release", "build"), ("alice", "deploy")] {
                let made = try site.kiln("key", "generate", name, "--role", role, "--no-passphrase")
                try #require(made.status == 0, "\(made.errors)")
            }
            try "require: [signature]\n".write(
                toFile: site.root + "/policy.yaml", atomically: true, encoding: .utf8)
            try site.start()
            return site
        }

        private func entries(_ site: Site, _ kind: LedgerEntry.Kind) throws -> [LedgerEntry] {
            try LedgerFile.reading(site.root + "/kiln.db")
                .entries(LedgerQuery(kind: kind), order: .oldestFirst, limit: 1000).map { try $0.parsed() }
        }

        private func image(_ site: Site, _ name: String) throws -> Model.Digest {
            let baked = try KilnProgram.run(
                ["bake", "--file", "\(site.folder)/\(name)/kiln.yaml", "--root", site.root])
            return try Digest(parsing: String(baked.output.prefix { $0 != " " }))
        }

        @Test
        func
            `unsigned, or signed by the wrong role, it does not start; signed it does; and the ledger says so`()
            async throws
        {
            let site = try site()
            let unsigned = try site.deploy("v1")
            #expect(unsigned.status == 1 && unsigned.errors.contains("rule unsigned"), "\(unsigned.errors)")

            let image = try image(site, "v1")
            let key = try KeyFile(
                parsing: Array(
                    try Data(
                        contentsOf: URL(fileURLWithPath: try #require(keyFile(site, "alice")))))
            ).opened { "" }
            let statement = Statement(
                subjects: [Statement.Subject(name: "hello", digest: image)], predicateType: .signature,
                predicate: .object([:]))
            let envelope = try Envelope(
                signing: statement.bytes, type: Statement.payloadType, with: key, as: .deploy)
            try await ContentStore(site.root + "/store").add(
                evidence: [SigstoreBundle(hint: key.publicKey.id.text, envelope: envelope).bytes], to: image)
            let wrong = try site.deploy("v1")
            #expect(wrong.status == 1 && wrong.errors.contains("rule role"), "\(wrong.errors)")
            #expect(site.page().isEmpty)

            let signed = try site.deploy("v1", "--sign", "release", "--message", "first", "--output", "json")
            #expect(signed.status == 0, "\(signed.errors)")
            #expect(site.page() == "v1")

            let decided = try entries(site, .admission)
            let refused = decided.filter { $0.details["rules"] != nil }
            #expect(refused.map { $0.details["rules"] } == ["unsigned", "role"])
            #expect(refused.allSatisfy { $0.image == image && $0.by == "uid:0" })
            let started = decided.filter { $0.details["rules"] == nil }
            #expect(started.count == 3 && started.allSatisfy { $0.message.contains("release (build") })
            let deploy = try #require(try entries(site, .deploy).first)
            #expect(deploy.reason == "first" && deploy.image == image && deploy.by == "uid:0")
            // Nothing ran before it was written down that it would.
            let intents = try entries(site, .intent).compactMap(\.instance)
            #expect(Set(try site.status().instances.map(\.id)).isSubset(of: Set(intents)))
        }

        private func keyFile(_ site: Site, _ name: String) -> String? {
            let folder = site.root + "/keys"
            let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
            return names.first { $0.hasPrefix(name + "-") && $0.hasSuffix(".key") }.map { "\(folder)/\($0)" }
        }

        @Test func `a layer that was altered on disk after it was signed does not start`() throws {
            let site = try site()
            let baked = try KilnProgram.run([
                "bake", "--file", "\(site.folder)/v1/kiln.yaml", "--root", site.root, "--sign", "release",
            ])
            try #require(baked.status == 0, "\(baked.errors)")
            let image = try image(site, "v1")
            let store = try ContentStore(site.root + "/store")
            let manifest = try JSONValue(parsing: try store.read(image, limit: 1 << 20))
            let layer = try #require(manifest["layers"]?.elements?.last?["digest"]?.text)
            try alter(try #require(store.path(of: try Digest(parsing: layer))))
            let deployed = try site.deploy("v1")
            #expect(deployed.status == 1 && site.page().isEmpty, "\(deployed.errors)")
            let told = try entries(site, .drift)
            #expect(
                told.count == 1 && told.allSatisfy { $0.image == image }, "\(told) \(deployed.errors)")
        }

        @Test
        func `a file system that somebody wrote to starts nothing; it is put aside and made anew`() throws {
            let site = try site()
            let deployed = try site.deploy("v1", "--sign", "release")
            try #require(deployed.status == 0, "\(deployed.errors)")
            let image = try image(site, "v1")
            let file = "\(site.root)/images/\(image.hex).erofs"
            try alter(file)
            let scaled = try site.kiln("scale", "hello", "5")
            #expect(scaled.status == 0, "\(scaled.errors)")
            try eventually("five instances serve") {
                try site.status().instances.filter { $0.weight > 0 }.count == 5
            }
            let told = try entries(site, .drift)
            // By the launch, or by the patrol, which hears of the write at once: whoever came first.
            let words = ["is not what was made of it", "the file system of the image was altered on disk"]
            #expect(told.contains { entry in words.contains { entry.message.contains($0) } }, "\(told)")
            #expect(FileManager.default.fileExists(atPath: "\(site.root)/images/\(image.hex).altered"))
            #expect(site.page() == "v1")
            site.stop()
            #expect(site.leftovers().isEmpty)
        }

        /// One bit, in the middle.
        private func alter(_ path: String) throws {
            let file = try #require(FileHandle(forUpdatingAtPath: path))
            defer { try? file.close() }
            let middle = try file.seekToEnd() / 2
            try file.seek(toOffset: middle)
            let byte = try #require(try file.read(upToCount: 1)?.first)
            try file.seek(toOffset: middle)
            try file.write(contentsOf: Data([byte ^ 1]))
        }

        @Test func `after a revocation nothing more starts, and what serves goes on`() throws {
            let site = try site()
            let deployed = try site.deploy("v1", "--sign", "release")
            try #require(deployed.status == 0, "\(deployed.errors)")
            let revoked = try site.kiln("key", "revoke", "release", "--reason", "laptop lost")
            try #require(revoked.status == 0, "\(revoked.errors)")
            let scaled = try site.kiln("scale", "hello", "4")
            #expect(scaled.status == 0, "\(scaled.errors)")
            try eventually("the refusal is in the ledger") {
                try entries(site, .admission).contains { $0.details["rules"] == "revoked" }
            }
            #expect(site.page() == "v1")
            #expect(try site.status().instances.filter { $0.weight > 0 }.count == 3)
            #expect(try entries(site, .policy).count >= 2, "the change of keys is written down")
        }

        @Test func `a slip neither opens a host, nor brings a revoked key back`() throws {
            let site = try site()
            let deployed = try site.deploy("v1", "--sign", "release")
            try #require(deployed.status == 0, "\(deployed.errors)")
            try "require: [signature]\nmax-agee: 3d\n".write(
                toFile: site.root + "/policy.yaml", atomically: true, encoding: .utf8)
            #expect(try site.kiln("key", "revoke", "release", "--reason", "stolen").status == 0)
            #expect(try site.kiln("scale", "hello", "4").status == 0)
            try eventually("the refusal is in the ledger") {
                try entries(site, .admission).contains { $0.details["rules"] == "revoked" }
            }
            #expect(try site.status().instances.filter { $0.weight > 0 }.count == 3)
            let plan = try KilnProgram.run(
                ["plan", "--file", "\(site.folder)/v2/kiln.yaml", "--root", site.root])
            #expect(plan.status == 1 && plan.errors.contains("max-agee"), "people hear of it: \(plan.errors)")
            // Nor does a file that is gone, as while an editor writes it.
            for name in ["policy.yaml", "keys/keys.json"] {
                try FileManager.default.removeItem(atPath: "\(site.root)/\(name)")
                let unsigned = try site.deploy("v2")
                #expect(unsigned.status == 1 && unsigned.errors.contains("rule "), "\(unsigned.errors)")
            }
            #expect(site.page() == "v1")
        }

        @Test func `a policy that cannot be read stops the daemon from starting, and says where`() throws {
            let site = try Site()
            try "requires: [signature]\n".write(
                toFile: site.root + "/policy.yaml", atomically: true, encoding: .utf8)
            let served = try KilnProgram.run(["serve", "--root", site.root])
            #expect(served.status == 2 && served.errors.contains("policy.yaml:1"), "\(served.errors)")
            #expect(served.errors.contains("require"))
        }
    }
}
