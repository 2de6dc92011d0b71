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

        private static func bake(_ packages: [String], in site: Site) throws -> KilnProgram.Result {
            let folder = "\(site.folder)/\(packages[0])"
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            let spec = """
                kiln: 1
                service: s
                image:
                  distribution: debian/bookworm
                  packages: [\(packages.joined(separator: ", ")), coreutils]
                  command: [/bin/true]
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
