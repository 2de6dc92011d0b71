import Foundation
import Testing
import TestKit

/// Server packages as Debian ships them whose scripts do what is not understood: run once in a sandbox.
extension OnThisHost {
    @Suite struct TracedPackageTests {
        private struct Answer: Decodable {
            var digest: String
            var warnings: [String]
            var notes: [String]
            var traced: [String]
        }

        private struct Problems: Decodable {
            struct Problem: Decodable {
                var code: String
                var message: String
                var suggestion: String?
            }
            var failures: [Problem]
        }

        private static func bake(_ packages: [String], scripts: String, in site: Site) throws
            -> KilnProgram.Result
        {
            let folder = "\(site.folder)/\(packages[0])"
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            let spec = """
                kiln: 1
                service: \(packages[0])
                image:
                  distribution: debian/bookworm
                  base: essential
                  packages: [\(packages.joined(separator: ", "))]
                  scripts: \(scripts)
                  command: [/bin/true]
                run:
                  port: 8080
                  health: {tcp: true}
                """
            try spec.write(toFile: folder + "/kiln.yaml", atomically: true, encoding: .utf8)
            try? FileManager.default.removeItem(atPath: folder + "/kiln.lock")
            return try KilnProgram.run([
                "bake", "--file", folder + "/kiln.yaml", "--root", site.root, "--output", "json",
            ])
        }

        /// The unpacked image of a service.
        private static func unpack(_ service: String, in site: Site) throws -> String {
            let layout = "\(site.folder)/\(service).layout"
            let exported = try KilnProgram.run([
                "image", "export", service, "--root", site.root, "--format", "oci-dir", "--to", layout,
            ])
            #expect(exported.status == 0, "\(exported.errors)")
            let name =
                try String(contentsOfFile: "\(layout)/index.json", encoding: .utf8)
                .firstMatch(of: #/ref\.name":"([^"]+)"/#).map { String($0.1) } ?? "latest"
            let bundle = "\(site.folder)/\(service).bundle"
            let unpacked = shell("umoci unpack --image '\(layout):\(name)' '\(bundle)'")
            #expect(unpacked.status == 0, "\(unpacked.output)")
            return bundle + "/rootfs"
        }

        @Test func `lighttpd and chrony are as dpkg would have configured them, the same in every store`()
            throws
        {
            let site = try Site(inMemory: true)
            let other = try Site(inMemory: true)
            let packages = ["lighttpd", "chrony"]
            func ownWarnings(_ answer: Answer) -> [String] {
                answer.warnings.filter { warning in packages.contains { warning.hasPrefix($0 + ":") } }
            }
            let read = try TracedPackageTests.bake(packages, scripts: "{default: effects}", in: site)
            #expect(try !ownWarnings(read.decoded(Answer.self)).isEmpty)
            let scripts = "{lighttpd: traced, chrony: traced}"
            let result = try TracedPackageTests.bake(packages, scripts: scripts, in: site)
            #expect(result.status == 0, "\(result.errors)\(result.output)")
            let answer = try result.decoded(Answer.self)
            #expect(answer.traced.sorted() == ["chrony", "lighttpd"])
            #expect(ownWarnings(answer) == [])
            let again = try TracedPackageTests.bake(packages, scripts: scripts, in: other)
            #expect(try again.decoded(Answer.self).digest == answer.digest)
            let root = try TracedPackageTests.unpack("lighttpd", in: site)
            // Its postinst calls a Perl program that makes this link, and copies the page.
            #expect(
                try FileManager.default.destinationOfSymbolicLink(
                    atPath: root + "/etc/lighttpd/conf-enabled/99-unconfigured.conf")
                    == "../conf-available/99-unconfigured.conf")
            #expect(
                FileManager.default.contentsEqual(
                    atPath: root + "/usr/share/lighttpd/index.html",
                    andPath: root + "/var/www/html/index.lighttpd.html"))
            func status(_ path: String) throws -> [String] {
                shell("stat -c '%a %u %g' '\(root)\(path)'").output.split(whereSeparator: \.isWhitespace)
                    .map(
                        String.init)
            }
            let passwd = try String(contentsOfFile: root + "/etc/passwd", encoding: .utf8)
            let line = try #require(passwd.split(separator: "\n").first { $0.hasPrefix("_chrony:") })
            let fields = line.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
            #expect(Array(fields[4...]) == ["Chrony daemon,,,", "/var/lib/chrony", "/usr/sbin/nologin"])
            #expect(try status("/var/lib/chrony") == ["750", fields[2], fields[3]])
            #expect(try status("/etc/chrony/chrony.keys") == ["640", "0", fields[3]])
            #expect(
                FileManager.default.contentsEqual(
                    atPath: root + "/usr/share/chrony/chrony.conf",
                    andPath: root + "/etc/chrony/chrony.conf"))
            #expect(site.leftovers().isEmpty, "\(site.leftovers())")
        }

        @Test func `caches that triggers ask for are made by their packages' own programs, or spoken of`()
            throws
        {
            let site = try Site(inMemory: true)
            let makers = ["libglib2.0-0", "libgdk-pixbuf-2.0-0", "fontconfig", "shared-mime-info"]
            let packages =
                ["gsettings-desktop-schemas", "libglib2.0-bin", "librsvg2-common", "fonts-dejavu-core"]
                + makers
            let read = try TracedPackageTests.bake(packages, scripts: "{default: effects}", in: site)
            let notes = try read.decoded(Answer.self).notes
            for maker in makers {
                #expect(
                    notes.contains {
                        $0.hasPrefix(maker + ": ") && $0.contains("scripts: {\(maker): traced}")
                    },
                    "\(notes)")
            }
            let scripts = "{\(makers.map { "\($0): traced" }.joined(separator: ", "))}"
            let result = try TracedPackageTests.bake(packages, scripts: scripts, in: site)
            #expect(result.status == 0, "\(result.errors)\(result.output)")
            let answer = try result.decoded(Answer.self)
            #expect(answer.traced.sorted() == makers.sorted())
            #expect(!answer.notes.contains { note in makers.contains { note.hasPrefix($0 + ": ") } })
            // The programs that look things up in them, in the image itself.
            let root = try TracedPackageTests.unpack("gsettings-desktop-schemas", in: site)
            func inside(_ command: String) -> String {
                shell("chroot '\(root)' /bin/sh -c '\(command)'").output
            }
            #expect(
                inside("gsettings --schemadir /usr/share/glib-2.0/schemas list-schemas").contains(
                    "org.gnome.desktop.interface"))
            let loaders = inside("cat /usr/lib/*/gdk-pixbuf-2.0/2.10.0/loaders.cache")
            #expect(loaders.contains("image/svg+xml"))
            #expect(
                inside("gio info -a standard::content-type /usr/share/mime/packages").contains(
                    "inode/directory"))
            #expect(inside("test -s /usr/share/mime/mime.cache && echo there") == "there\n")
            // It says so of each folder of fonts whose list is as old as the folder.
            let fonts = inside("fc-cache -v -s")
            #expect(
                fonts.contains("/usr/share/fonts/truetype/dejavu: skipping, existing cache is valid"),
                "\(fonts)")
        }

        @Test func `a mode of refused names the script, its lines and what to write`() throws {
            let site = try Site(inMemory: true)
            let result = try TracedPackageTests.bake(["lighttpd"], scripts: "{default: refused}", in: site)
            #expect(result.status == 1)
            let failures = try result.decoded(Problems.self).failures
            let own = try #require(failures.first { $0.message.hasPrefix("lighttpd:") })
            #expect(own.code == "not-permitted")
            #expect(own.message.contains("postinst line"))
            #expect(own.suggestion?.contains("`scripts: {lighttpd: traced}`") == true)
        }

        @Test func `a program that is killed leaves no process and no mount of its sandbox`() throws {
            let site = try Site(inMemory: true)
            let folder = "\(site.folder)/lighttpd"
            // Its packages are there by then, so that only the sandbox takes time.
            _ = try TracedPackageTests.bake(["lighttpd"], scripts: "{default: effects}", in: site)
            let spec = try String(contentsOfFile: folder + "/kiln.yaml", encoding: .utf8)
            try spec.replacingOccurrences(of: "{default: effects}", with: "{lighttpd: traced}").write(
                toFile: folder + "/kiln.yaml", atomically: true, encoding: .utf8)
            try FileManager.default.removeItem(atPath: folder + "/kiln.lock")
            let started = try KilnProgram.start([
                "bake", "--file", folder + "/kiln.yaml", "--root", site.root,
            ])
            func sandboxes() -> [String] {
                shell("pgrep -f -- 'bundle .?\(site.root)/'").output.split(separator: "\n").map(String.init)
            }
            try eventually("the sandbox runs") { !sandboxes().isEmpty || !started.process.isRunning }
            kill(started.process.processIdentifier, SIGKILL)
            _ = try KilnProgram.finish(started)
            try eventually("the sandbox is gone") { sandboxes().isEmpty }
            #expect(site.leftovers().filter { !$0.hasPrefix("process") }.isEmpty, "\(site.leftovers())")
        }
    }
}
