import Foundation
import Testing
import TestKit

/// Server packages as Debian ships them: that they bake, and what is in the images.
extension OnThisHost {
    @Suite struct PackageTests {
        /// `packages.yaml`: all names, or those that every run bakes.
        private static let names: [String] = {
            let path = KilnProgram.repository + "/Tests/Integration/packages.yaml"
            let text = (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
            let quick = text.firstMatch(of: #/quick: \[([^\]]*)\]/#).map { String($0.1) } ?? ""
            if ProcessInfo.processInfo.environment["KILN_ALL_PACKAGES"] == nil {
                return quick.split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) }
            }
            return text.matches(of: #/(?m)^  - (\S+)$/#).map { String($0.1) }
        }()

        private static func bake(
            _ packages: [String], in site: Site, more: String = ""
        ) throws -> KilnProgram.Result {
            let folder = "\(site.folder)/\(packages[0])"
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            let spec = """
                kiln: 1
                service: s
                image:
                  distribution: debian/bookworm
                  packages: [\(packages.joined(separator: ", ")), coreutils]
                \(more)  command: [/bin/true]
                run:
                  port: 8080
                  health: {tcp: true}
                """
            try spec.write(toFile: folder + "/kiln.yaml", atomically: true, encoding: .utf8)
            return try KilnProgram.run([
                "bake", "--file", folder + "/kiln.yaml", "--root", site.root, "--output", "json",
            ])
        }

        private struct Answer: Decodable {
            var warnings: [String]
            var notes: [String]
        }

        @Test func `server packages bake`() throws {
            let site = try Site()
            var steps: Set<String> = []
            var baked = 0
            for name in PackageTests.names {
                let result = try PackageTests.bake([name], in: site)
                #expect(result.status == 0, "\(name): \(result.errors)")
                guard result.status == 0 else { continue }
                baked += 1
                steps.formUnion(try result.decoded(Answer.self).warnings)
            }
            for step in steps.sorted() { print("not understood: \(step)") }
            print("baked \(baked) of \(PackageTests.names.count), not understood \(steps.count)")
            #expect(baked == PackageTests.names.count)
        }

        private struct IndexAnswer: Decodable {
            struct Image: Decodable {
                var digest: String
                var architecture: String
                var warnings: [String]
            }
            var digest: String
            var images: [Image]
        }

        @Test(.enabled(if: DockerRegistry.isInstalled, "skipped: no docker-registry"))
        func `packages of another machine bake beside those of this one, into one index`() async throws {
            let site = try Site()
            let registry = try await DockerRegistry()
            defer { registry.stop() }
            let result = try PackageTests.bake(
                ["nginx-light"], in: site, more: "  architecture: [amd64, arm64]\n")
            #expect(result.status == 0, "\(result.errors)\(result.output)")
            let answer = try result.decoded(IndexAnswer.self)
            #expect(answer.images.map(\.architecture).sorted() == ["amd64", "arm64"])
            #expect(answer.images.flatMap(\.warnings) == [])
            let name = "\(registry.address)/s:v1"
            let pushed = try site.kiln("image", "push", "s", name, "--all-platforms")
            #expect(pushed.status == 0, "\(pushed.errors)")
            #expect(try "\(Skopeo.digest("docker://\(name)"))" == answer.digest)
            // What the two machines' loaders read in ELF's e_machine.
            for (machine, number) in [("amd64", 62), ("arm64", 183)] {
                let layout = "\(site.folder)/\(machine)"
                try Skopeo.copy(
                    "docker://\(name)", "oci:\(layout):v1", "--override-os linux --override-arch \(machine)")
                let unpacked = shell("umoci unpack --image '\(layout):v1' '\(layout).bundle'")
                #expect(unpacked.status == 0, "\(unpacked.output)")
                let root = "\(layout).bundle/rootfs"
                let program = [UInt8](
                    try FileHandle(forReadingFrom: URL(fileURLWithPath: root + "/usr/sbin/nginx"))
                        .read(upToCount: 20) ?? Data())
                #expect(program.count == 20 && Int(program[18]) == number, "\(machine)")
                let listed = shell("ldconfig -r '\(root)' -p").output
                #expect(listed.contains("libc.so.6"), "\(listed)")
                #expect(
                    try String(contentsOfFile: root + "/etc/passwd", encoding: .utf8).contains(
                        "www-data:x:33:"))
            }
        }

        @Test func `their accounts, links, PAM files and trust store are those of a real installation`()
            throws
        {
            let site = try Site()
            let result = try PackageTests.bake(
                ["openssh-server", "apache2", "php-fpm", "default-jre-headless", "bash"], in: site)
            #expect(result.status == 0, "\(result.errors)")
            let notes = try result.decoded(Answer.self).notes
            #expect(notes.contains { $0.hasPrefix("openssh-server: the SSH host keys") })
            let root = try site.unpack("s", into: site.folder)
            func text(_ path: String) -> String {
                (try? String(contentsOfFile: root + path, encoding: .utf8)) ?? ""
            }
            func link(_ path: String) -> String? {
                try? FileManager.default.destinationOfSymbolicLink(atPath: root + path)
            }
            #expect(text("/etc/passwd").contains("sshd:x:"))
            #expect(
                text("/etc/pam.d/common-auth").contains(
                    "auth\t[success=1 default=ignore]\tpam_unix.so nullok\n"))
            #expect(text("/etc/pam.d/common-session").contains("session\trequired\tpam_unix.so \n"))
            #expect(text("/etc/ssh/sshd_config").contains("UsePAM yes"))
            #expect(!FileManager.default.fileExists(atPath: root + "/etc/ssh/ssh_host_rsa_key"))
            #expect(link("/etc/apache2/mods-enabled/mpm_event.load") == "../mods-available/mpm_event.load")
            #expect(
                link("/etc/apache2/sites-enabled/000-default.conf") == "../sites-available/000-default.conf")
            #expect(
                link("/etc/php/8.2/fpm/conf.d/10-opcache.ini") == "/etc/php/8.2/mods-available/opcache.ini")
            #expect(link("/etc/alternatives/java")?.hasSuffix("/bin/java") == true)
            #expect(text("/etc/shells").contains("/usr/bin/bash\n"))
            let store = [UInt8](
                (FileManager.default.contents(atPath: root + "/etc/ssl/certs/java/cacerts") ?? Data()).prefix(
                    8))
            #expect(store == [0xfe, 0xed, 0xfe, 0xed, 0, 0, 0, 2])
            let list = shell(
                "command -v keytool >/dev/null || exit 9; keytool -list -storepass changeit -keystore '\(root)/etc/ssl/certs/java/cacerts' | grep -c trustedCertEntry"
            )
            #expect(
                list.status == 9
                    || (Int(list.output.trimmingCharacters(in: .whitespacesAndNewlines)) ?? 0) > 100,
                "\(list.output)")
        }
    }
}
