import Foundation
import Testing
import TestKit

/// Build steps with packages as Debian ships them, run by the program.
extension OnThisHost {
    @Suite struct BuildTests {
        private static func write(_ image: String, _ name: String, in site: Site) throws -> String {
            let folder = "\(site.folder)/\(name)"
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            let spec = """
                kiln: 1
                service: \(name)
                image:
                  distribution: debian/bookworm
                \(image)
                run:
                  port: 8080
                  health: {tcp: true}

                """
            try spec.write(toFile: folder + "/kiln.yaml", atomically: true, encoding: .utf8)
            return folder
        }

        private static func bake(_ folder: String, root: String) throws -> KilnProgram.Result {
            try KilnProgram.run(["bake", "--file", folder + "/kiln.yaml", "--root", root])
        }

        @Test func `the example is compiled while it is baked, and serves`() throws {
            let site = try Site()
            try site.copy("build", as: "build")
            try site.start()
            let result = try site.deploy("build")
            #expect(result.status == 0, "\(result.errors)")
            #expect(
                shell("curl -s --max-time 60 http://127.0.0.1:\(site.port)/you").output == "Hello, you\n")
            let why = try site.kiln("image", "why", "greeter", "/usr/bin/greeter")
            #expect(why.output.contains("made by build step greeter"))
            site.stop()
            #expect(site.leftovers().isEmpty, "\(site.leftovers())")
        }

        @Test
        func `what gcc made is the same in every root; no compiler, network or secret is in the image`()
            throws
        {
            let site = try Site()
            let folder = try BuildTests.write(
                """
                  packages: [libc6]
                  build:
                    - name: compile
                      packages: [gcc, libc6-dev]
                      files: [{from: main.c, to: /src/main.c}]
                      working-directory: /src
                      secrets: [{from: token, to: /run/secrets/token}]
                      run: |
                        sha256sum < /run/secrets/token > /out/seen
                        bash -c 'exec 3<>/dev/tcp/192.0.2.1/80' 2> /out/network && exit 1
                        gcc -O2 -o /out/program main.c
                      copy:
                        - {from: /out/program, to: /usr/bin/program}
                        - {from: /out/network, to: /usr/share/network}
                        - {from: /out/seen, to: /usr/share/seen}
                  command: [/usr/bin/program]
                """, "compiled", in: site)
            let secret = "token-\(UInt64.random(in: 0 ... .max))-\(UInt64.random(in: 0 ... .max))"
            try secret.write(toFile: folder + "/token", atomically: true, encoding: .utf8)
            try #"#include <stdio.h>\#nint main(void) { puts("made " __DATE__); }\#n"#.write(
                toFile: folder + "/main.c", atomically: true, encoding: .utf8)
            let first = try BuildTests.bake(folder, root: site.root)
            #expect(first.status == 0, "\(first.errors)")
            let unpacked = site.folder + "/unpacked"
            try FileManager.default.createDirectory(atPath: unpacked, withIntermediateDirectories: true)
            let root = try site.unpack("compiled", into: unpacked)
            let run = shell("chroot '\(root)' /usr/bin/program")
            #expect(run.output == "made Jan  1 2000\n")
            #expect(shell("cat '\(root)/usr/share/network'").output.contains("Network is unreachable"))
            #expect(
                shell("cut -c -64 '\(root)/usr/share/seen'").output
                    == shell("sha256sum < '\(folder)/token' | cut -c -64").output)
            #expect(!FileManager.default.fileExists(atPath: root + "/usr/bin/gcc"))
            // A second root has the packages, and nothing that was made of them.
            let other = site.folder + "/other"
            shell(
                "mkdir '\(other)' && cp -a '\(site.root)/store' '\(other)/store' && rm -rf '\(other)/store/cache'/*"
            )
            let second = try BuildTests.bake(folder, root: other)
            #expect(second.output == first.output, "\(second.errors)")
            #expect(try site.kiln("image", "verify", "--file", folder + "/kiln.yaml").status == 0)
            let holders = shell(
                """
                grep -rlF '\(secret)' '\(site.root)' '\(other)'
                for blob in '\(site.root)/store/blobs/sha256/'*; do
                  { zcat -f "$blob" | grep -qaF '\(secret)'; } 2>/dev/null && echo "$blob"
                done
                """)
            #expect(holders.output.isEmpty)
            #expect(site.leftovers().isEmpty, "\(site.leftovers())")
        }

        @Test
        func `a step that fails says why and leaves nothing, and so does one that is stopped or killed`()
            throws
        {
            let site = try Site()
            func spec(_ run: String) throws -> String {
                try BuildTests.write(
                    """
                      build: [{name: app, run: "\(run)", copy: [{from: /out/app, to: /usr/bin/app}]}]
                      command: [/usr/bin/app]
                    """, "stopped", in: site)
            }
            func temporary() -> [String] {
                (try? FileManager.default.contentsOfDirectory(atPath: site.root + "/store/tmp")) ?? []
            }
            let folder = try spec("seq 1 30; echo no such thing >&2; exit 5")
            let failed = try BuildTests.bake(folder, root: site.root)
            #expect(failed.status == 1)
            #expect(
                failed.errors.contains(
                    "image.build[0]: build step app: its command ended with 5; it said last:\n    12\n"))
            #expect(failed.errors.contains("    30\n    no such thing\n"))
            #expect(temporary().isEmpty)
            _ = try spec("sleep 1000 & sleep 1000")
            func sandboxes() -> [String] {
                shell("pgrep -f -- 'bundle .?\(site.root)/'").output.split(separator: "\n").map(String.init)
            }
            for signal in [SIGINT, SIGKILL] {
                let started = try KilnProgram.start([
                    "bake", "--file", folder + "/kiln.yaml", "--root", site.root,
                ])
                try eventually("the sandbox runs") { !sandboxes().isEmpty || !started.process.isRunning }
                kill(started.process.processIdentifier, signal)
                let result = try KilnProgram.finish(started)
                #expect(result.status != 0)
                try eventually("the sandbox is gone") { sandboxes().isEmpty }
                #expect(site.leftovers().isEmpty, "\(site.leftovers())")
                #expect(temporary().isEmpty == (signal == SIGINT), "\(temporary())")
            }
            #expect(try site.kiln("store", "gc").status == 0)
            #expect(temporary().isEmpty, "\(temporary())")
        }

        @Test func `without root it is said who can run a step, and its result is for everybody`() throws {
            let site = try Site()
            let folder = try BuildTests.write(
                """
                  build: [{run: "echo 1 > /out/app", copy: [{from: /out/app, to: /usr/bin/app, mode: 0755}]}]
                  command: [/usr/bin/app]
                """, "plain", in: site)
            #expect(
                try KilnProgram.run(["lock", "--file", folder + "/kiln.yaml", "--root", site.root]).status
                    == 0)
            shell("chown -R 65534 '\(site.folder)'")
            let bake = "bake --file '\(folder)/kiln.yaml' --root '\(site.root)' 2>&1"
            let nobody = "setpriv --reuid 65534 --regid 65534 --clear-groups '\(KilnProgram.path)' " + bake
            let refused = shell(nobody)
            #expect(refused.status == 1)
            #expect(refused.output.contains("image.build[0]"))
            #expect(refused.output.contains("needs root"))
            #expect(refused.output.contains("bake once as root"))
            #expect(shell("'\(KilnProgram.path)' " + bake).status == 0)
            shell("chown -R 65534 '\(site.folder)'; rm -rf '\(site.root)/store/cache/bake'")
            let baked = shell(nobody)
            #expect(baked.status == 0, "\(baked.output)")
        }
    }
}
