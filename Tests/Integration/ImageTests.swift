import Foundation
import Model
import Testing
import TestKit

/// What other people's tools say of our images, and what must not change them.
extension OnThisHost {
    @Suite struct ImageTests {
        @Test func `skopeo and umoci take every form of an export`() throws {
            let site = try Site()
            #expect(
                try KilnProgram.run(["bake", "--root", site.root, "--file", "\(site.folder)/v1/kiln.yaml"])
                    .status
                    == 0)
            for (format, reference) in [
                ("oci-dir", "oci"), ("oci-archive", "oci-archive"), ("docker-archive", "docker-archive"),
            ] {
                let path = "\(site.folder)/\(format)"
                #expect(
                    try site.kiln("image", "export", "hello", "--format", format, "--to", path).status == 0)
                let inspected = shell("skopeo inspect \(reference):\(path)")
                #expect(inspected.status == 0, "\(inspected.output)")
                #expect(inspected.output.contains("\"Architecture\""))
            }
            let tag = shell(
                "skopeo list-tags oci:\(site.folder)/oci-dir 2>/dev/null | grep -o '\"[0-9a-f]*\"' || true"
            ).output
            let name = tag.isEmpty ? try tagOf(site) : tag.trimmingCharacters(in: ["\"", "\n"])
            let unpacked = shell(
                "umoci unpack --image '\(site.folder)/oci-dir:\(name)' '\(site.folder)/bundle'")
            #expect(unpacked.status == 0, "\(unpacked.output)")
            let tested = shell("chroot '\(site.folder)/bundle/rootfs' nginx -t 2>&1")
            #expect(tested.output.contains("syntax is ok"), "\(tested.output)")
        }

        private func tagOf(_ site: Site) throws -> String {
            let index = try String(contentsOfFile: "\(site.folder)/oci-dir/index.json", encoding: .utf8)
            return index.firstMatch(of: #/ref\.name":"([^"]+)"/#).map { String($0.1) } ?? "latest"
        }

        @Test(arguments: [
            ("packages: [nginx-light, ca-certificates]", "packages: [ngnix-light]", "nginx-light"),
            ("from: site/", "from: sight/", "sight"),
            ("user: www-data", "user: www-date", "www-data"),
            ("command: [nginx", "command: [ngnix", "nginx"),
            ("replicas: 3", "replicas: 0", "1…1000"),
        ]) func `a wrong spec ends with 2 and says what to write`(right: String, wrong: String, hint: String)
            throws
        {
            let site = try Site()
            try site.edit("v1") { text in
                #expect(text.contains(right), "the example no longer has \(right)")
                return text.replacing(right, with: wrong)
            }
            let result = try KilnProgram.run([
                "bake", "--root", site.root, "--file", "\(site.folder)/v1/kiln.yaml",
            ])
            #expect(result.status == 2, "\(result.errors)")
            #expect(result.errors.contains(hint), "\(result.errors)")
            #expect(result.errors.contains("→"), "\(result.errors)")
        }

        @Test func `without a daemon the verbs end with 3 and say how to start one`() throws {
            let site = try Site()
            let result = try site.kiln("status")
            #expect(result.status == 3)
            #expect(result.errors.contains("kiln serve"))
        }

        @Test func `every verb has help with an example`() throws {
            for verb in [
                "init", "lock", "bake", "image list", "image show", "image export", "image push",
                "image pull", "image copy", "image tag", "serve", "deploy", "plan",
                "status",
                "history", "rollback", "rollout", "scale", "retire", "logs", "demo", "doctor", "schema",
                "rollout approve", "rollout request", "approval show", "approval sign", "key trust",
                "exec", "debug", "hold", "session", "session list", "session show", "session play", "drift",
                "diff",
            ] {
                let result = try KilnProgram.run(verb.split(separator: " ").map(String.init) + ["--help"])
                #expect(result.status == 0)
                #expect(result.output.contains("Example"), "\(verb)")
            }
        }
    }
}
