import Foundation
import Model
import Ports
import Storage
import TestKit
import Testing
import WireAPI

/// People in instances, by the real program: what they see, what is kept of it, and that nothing of them stays.
extension OnThisHost {
    @Suite(.serialized) struct SessionTests {
        private static let settings = """
            run:
              replicas: 2
              port: 8080
              health: {path: /health, interval: 200ms}
            rollout: {watch: 1s, drain: 1s}
            listen: 127.0.0.1:8000

            """
        private static let box = "/usr/bin/busybox"

        /// Two instances of the test server, with a shell in them unless `isBare`.
        private func site(isBare: Bool = false, policy: String? = nil) throws -> Site {
            let site = try Site()
            try site.addTestServer("server", Self.settings)
            if !isBare { try addShell(site, "server") }
            if let policy {
                try policy.write(toFile: site.root + "/policy.yaml", atomically: true, encoding: .utf8)
            }
            try site.start()
            let deployed = try site.deploy("server")
            try #require(deployed.status == 0, "\(deployed.errors)")
            return site
        }

        private func addShell(_ site: Site, _ name: String) throws {
            try FileManager.default.copyItem(atPath: Self.box, toPath: "\(site.folder)/\(name)/busybox")
            try site.edit(name) {
                $0.replacing("files: [", with: "files: [{from: busybox, to: /usr/bin/busybox}, ")
            }
        }

        /// An image in the store with a shell and nothing that serves.
        private func bakeTools(_ site: Site) throws {
            try site.addTestServer("tools", "run: {port: 8080}\n")
            try addShell(site, "tools")
            try site.edit("tools") { $0.replacing("service: hello", with: "service: tools") }
            let baked = try KilnProgram.run([
                "bake", "--file", "\(site.folder)/tools/kiln.yaml", "--root", site.root,
            ])
            try #require(baked.status == 0, "\(baked.errors)")
        }

        /// An instance that serves and stays, once whoever was in others has been replaced.
        private func serving(_ site: Site) throws -> String {
            var id: String?
            try eventually("two serve that nobody touched") {
                let status = try site.status()
                let serving = status.instances.filter { $0.weight > 0 }
                id = serving.first?.id.text
                return serving.count == 2 && status.tainted?.isEmpty ?? true
            }
            return try #require(id)
        }

        /// Arguments of a verb about a serving instance, with a command of busybox.
        private func arguments(
            _ site: Site, _ verb: String = "exec", options: [String] = [], _ command: String...
        ) throws -> [String] {
            let id = try serving(site)
            return [verb, id, "--root", site.root, "--reason", "INC-12: try"] + options + ["--", Self.box]
                + command
        }

        private func entries(_ site: Site) throws -> [LedgerEntry] {
            try LedgerFile.reading(site.root + "/kiln.db")
                .entries(LedgerQuery(kind: .breakGlass), order: .oldestFirst, limit: 1000).map {
                    try $0.parsed()
                }
        }

        private func session(_ site: Site, _ number: Int) throws -> Session {
            let shown = try site.kiln("session", "show", "\(number)", "--output", "json")
            try #require(shown.status == 0, "\(shown.errors)")
            return try shown.decoded(Session.self)
        }

        private func ends(_ site: Site, _ number: Int, _ outcome: SessionEnd.Outcome) throws {
            try eventually("session \(number) ends with \(outcome)") {
                let end = try session(site, number).end
                if let end, end.outcome != outcome { throw Failure(.conflict, "\(end)") }
                return end != nil
            }
        }

        /// How many processes of this host sleep for so long.
        private func sleepers(_ seconds: String) -> Int {
            // Written so, it does not find itself.
            let word = "[\(seconds.prefix(1))]\(seconds.dropFirst())"
            let found = shell("grep -lzxs '\(word)' /proc/[0-9]*/cmdline | wc -l").output
            return Int(found.trimmingCharacters(in: .whitespacesAndNewlines)) ?? -1
        }

        private static func unique() -> String { "86\(UInt32.random(in: 100_000...999_999))" }

        /// Control groups and files of sessions that are left.
        private func leftovers(_ site: Site) -> String {
            shell(
                """
                for run in /run/kiln-*; do
                  [ "$(cat $run/root 2>/dev/null)" = '\(site.root)' ] || continue
                  find /sys/fs/cgroup -path "*/$(basename $run)/*" -name 'session-*'
                  ls -d $run/sessions/[0-9]* 2>/dev/null
                done
                """
            ).output
        }

        // MARK: exec

        @Test
        func `what is typed and shown is recorded, the ledger has it first, and the status is passed on`()
            throws
        {
            let site = try site()
            let script = "\(Self.box) id -u; read x; echo got $x; echo wrong >&2; exit 7"
            let arguments = try arguments(site, "exec", "sh", "-c", script).map { "'\($0)'" }
            let ran = shell(
                "echo 'a line' | '\(KilnProgram.path)' \(arguments.joined(separator: " ")) 2> '\(site.folder)/told'"
            )
            #expect(ran.status == 7 && ran.output == "0\ngot a line\n", "\(ran)")
            let told = try String(contentsOfFile: site.folder + "/told", encoding: .utf8)
            #expect(told.contains("what you type included") && told.hasSuffix("wrong\n"), "\(told)")

            let session = try session(site, 1)
            #expect(session.by == "uid:0" && session.reason == "INC-12: try")
            #expect(session.end?.outcome == .exited && session.end?.status == 7)
            let file = site.root + "/sessions/1.cast"
            let sum = String(shell("sha256sum '\(file)'").output.prefix(64))
            #expect(session.end?.recording?.hex == sum)
            #expect(shell("stat -c %a '\(file)'").output == "600\n")
            let events = try String(contentsOfFile: file, encoding: .utf8).split(separator: "\n")
                .compactMap { Asciicast.event(Array($0.utf8)) }
            func text(_ kind: Asciicast.Kind) -> String {
                events.filter { $0.kind == kind }.map(\.text).joined()
            }
            #expect(text(.input) == "a line\n")
            #expect(Set(text(.output).split(separator: "\n")) == ["0", "got a line", "wrong"])
            #expect(try site.kiln("session", "play", "1").output.contains("got a line"))

            let entries = try entries(site)
            let begin = try #require(entries.first { $0.details["phase"] == "begin" })
            let end = try #require(entries.first { $0.details["phase"] == "end" })
            #expect(begin.reason == "INC-12: try" && begin.details["command"]?.contains("busybox") == true)
            #expect(end.evidence?.hex == sum && end.details["status"] == "7")
            #expect(leftovers(site).isEmpty, "\(leftovers(site))")

            let unnamed = try site.kiln("exec", "hello-r1-1", "--", "sh")
            #expect(unnamed.status == 2 && unnamed.errors.contains("--reason"), "\(unnamed.errors)")
        }

        @Test func `on a terminal it is one, of the same size, and keys go through`() throws {
            let site = try site()
            let script = "\(Self.box) tty; \(Self.box) stty size; read x; echo got $x; exit 4"
            let arguments = try arguments(site, "exec", "sh", "-c", script).map { "'\($0)'" }
                .joined(separator: " ")
            try "stty rows 31 cols 97; exec '\(KilnProgram.path)' \(arguments)\n".write(
                toFile: site.folder + "/run", atomically: true, encoding: .utf8)
            let ran = shell("echo typed | script -qec \"sh '\(site.folder)/run'\" /dev/null")
            #expect(ran.status == 4 && ran.output.contains("/dev/pts/"), "\(ran.output)")
            #expect(ran.output.contains("31 97") && ran.output.contains("got typed"), "\(ran.output)")
            #expect(try session(site, 1).terminal?.columns == 97)
            #expect(leftovers(site).isEmpty, "\(leftovers(site))")
        }

        @Test func `when the person is gone, or the time is over, all that was started is`() throws {
            let site = try site()
            let word = Self.unique()
            // Its child makes itself independent of it, and would outlive it.
            let stubborn = "\(Self.box) setsid \(Self.box) sleep \(word) & \(Self.box) sleep \(word)"
            let gone = try KilnProgram.start(try arguments(site, "exec", "sh", "-c", stubborn))
            try eventually("both run") { sleepers(word) == 2 }
            kill(gone.process.processIdentifier, SIGKILL)
            _ = try KilnProgram.finish(gone)
            try eventually("neither runs") { sleepers(word) == 0 }
            try ends(site, 1, .vanished)

            let late = try KilnProgram.run(
                try arguments(site, "exec", options: ["--for", "1s"], "sh", "-c", stubborn))
            #expect(late.status == 1 && late.errors.contains("its time was over"), "\(late.errors)")
            #expect(sleepers(word) == 0)
            try ends(site, 2, .timeUp)
            #expect(leftovers(site).isEmpty, "\(leftovers(site))")
        }

        @Test func `what a daemon that died left of a session is ended and told by the next one`() throws {
            let site = try site()
            let word = Self.unique()
            let exec = try KilnProgram.start(
                try arguments(
                    site, "exec", "sh", "-c", "trap '' HUP TERM PIPE; \(Self.box) sleep \(word); true"))
            try eventually("it runs") { sleepers(word) == 1 }
            site.killDaemon()
            let ended = try KilnProgram.finish(exec)
            #expect(ended.status == 3 && ended.errors.contains("its daemon ended"), "\(ended.errors)")
            try site.start()
            try eventually("it runs no longer") { sleepers(word) == 0 }
            try ends(site, 1, .stopped)
            let end = try #require(try entries(site).last { $0.details["phase"] == "end" })
            #expect(end.details["outcome"] == "stopped" && end.evidence != nil)
            #expect(leftovers(site).isEmpty, "\(leftovers(site))")
        }

        // MARK: Who may

        @Test func `only whom the policy names gets in, and that user can do nothing else`() throws {
            let site = try site(policy: "break-glass: {allow: [uid:0, uid:12345]}\n")
            func asUser(_ user: Int, _ arguments: [String]) -> (status: Int32, output: String) {
                let words = arguments.map { "'\($0)'" }.joined(separator: " ")
                return shell(
                    "setpriv --reuid \(user) --regid \(user) --clear-groups '\(KilnProgram.path)' \(words)")
            }
            let command = try arguments(site, "exec", "id", "-u")
            let other = asUser(54_321, command)
            #expect(other.status == 1 && other.output.contains("user 54321 may not"), "\(other)")
            #expect(other.output.contains("break-glass: {allow: [uid:0, uid:12345, uid:54321]}"), "\(other)")
            #expect(try entries(site).isEmpty)
            let named = asUser(12_345, command)
            // The command has the rights of the instance, not of whoever asked.
            #expect(named.status == 0 && named.output.hasSuffix("\n0\n"), "\(named)")
            #expect(try session(site, 1).by == "uid:12345")
            for verb in ["status", "drift"] {
                let refused = asUser(12_345, [verb, "--root", site.root])
                #expect(
                    refused.status == 1 && refused.output.contains("may not use this daemon"), "\(refused)")
            }
            #expect(asUser(12_345, ["session", "play", "1", "--root", site.root]).status == 1)
        }

        @Test func `a session's socket takes its own user, once, and nothing but its protocol`() throws {
            let site = try site(policy: "break-glass: {allow: [uid:0, uid:12345]}\n")
            func open(_ user: Int) throws -> SessionAnswer {
                let id = try serving(site)
                let body =
                    "{\"kind\":\"exec\",\"command\":[\"\(Self.box)\",\"sleep\",\"99\"],\"reason\":\"x\",\"isInTraffic\":false}"
                let asked = shell(
                    """
                    setpriv --reuid \(user) --clear-groups curl -s --unix-socket '\(site.root)/kiln.sock' \
                    -d '\(body)' http://kiln/v1/instances/\(id)/sessions
                    """)
                return try JSONDecoder().decode(SessionAnswer.self, from: Data(asked.output.utf8))
            }
            func connect(_ user: Int, _ answer: SessionAnswer) -> Int32 {
                shell(
                    "setpriv --reuid \(user) --clear-groups curl -s --unix-socket '\(answer.socket)' http://kiln/"
                )
                .status
            }
            let theirs = try open(12_345)
            #expect(connect(54_321, theirs) == 7, "the file itself refuses")
            #expect(connect(0, theirs) != 0, "the kernel says who it is")
            try ends(site, 1, .nobodyCame)
            let mine = try open(0)
            #expect(connect(0, mine) != 0)
            try ends(site, 2, .malformed)
            #expect(connect(0, mine) == 7, "once")
            #expect(leftovers(site).isEmpty, "\(leftovers(site))")
        }

        // MARK: debug

        @Test func `tools run beside an instance that has no shell, with its rights and no more`() throws {
            let site = try site(isBare: true)
            try bakeTools(site)
            let none = try KilnProgram.run(try arguments(site, "exec", "true"))
            #expect(none.status == 1 && none.errors.contains("busybox"), "\(none.errors)")
            let script = """
                set -- \(Self.box); $1 ps; $1 ls /proc/1/root/usr/bin; $1 wget -qO- http://127.0.0.1:8080/health
                $1 grep -h CapEff /proc/1/status /proc/self/status; $1 hostname; : > /x
                """
            let ran = try KilnProgram.run(
                try arguments(site, "debug", options: ["--image", "tools"], "sh", "-c", script))
            #expect(ran.output.contains("/usr/bin/testserver") && ran.output.contains("\nok"), "\(ran)")
            let rights = Set(ran.output.split(separator: "\n").filter { $0.hasPrefix("CapEff") })
            #expect(rights.count == 1, "\(rights)")
            #expect(ran.errors.contains("Read-only"), "\(ran.errors)")
            #expect(try ran.output.contains("\n\(session(site, 2).instance)\n"), "\(ran.output)")

            let word = Self.unique()
            let sleep = "\(Self.box) sleep \(word); true"
            let gone = try KilnProgram.start(
                try arguments(site, "debug", options: ["--image", "tools"], "sh", "-c", sleep))
            try eventually("it runs") { sleepers(word) == 1 }
            kill(gone.process.processIdentifier, SIGKILL)
            _ = try KilnProgram.finish(gone)
            try eventually("it runs no longer") { sleepers(word) == 0 }
            try ends(site, 3, .vanished)
            #expect(leftovers(site).isEmpty, "\(leftovers(site))")
        }

        @Test func `a tool image that the host's policy refuses does not run`() throws {
            let site = try site(isBare: true)
            try bakeTools(site)
            try "require: [signature]\n".write(
                toFile: site.root + "/policy.yaml", atomically: true, encoding: .utf8)
            let ran = try KilnProgram.run(
                try arguments(site, "debug", options: ["--image", "tools"], "true"))
            #expect(ran.status == 1 && ran.errors.contains("signature"), "\(ran.errors)")
            #expect(try site.kiln("session", "list").output.contains("no sessions"))
        }

        // MARK: hold

        @Test func `a held instance is shown with who holds it and why, and a session does not end that`()
            throws
        {
            let site = try site()
            let id = try #require(try site.status().instances.first?.id.text)
            let held = try site.kiln("hold", id, "--reason", "for the auditors", "--for", "1h")
            #expect(held.status == 0 && held.output.contains("is held until"), "\(held.errors)")
            #expect(try site.kiln("status").output.contains("\(id): touched by uid:0, kept until"))
            #expect(try site.status().tainted?.first?.reason == "for the auditors")
            let drift = try site.kiln("drift")
            #expect(drift.output.contains("for the auditors"), "\(drift.output)")
            let inside = try KilnProgram.run([
                "exec", id, "--root", site.root, "--reason", "look", "--", Self.box, "true",
            ])
            #expect(inside.status == 0 && inside.errors.contains("is held, and stays"), "\(inside.errors)")
            #expect(try site.status().tainted?.first?.keptUntil != nil)
            #expect(try site.kiln("hold", id, "--end").status == 0)
            #expect(try site.status().tainted?.first?.keptUntil == nil)
            let other = try site.kiln("hold", "nothing-r1-1", "--reason", "x")
            #expect(other.status == 2 && other.errors.contains("there is no instance"), "\(other.errors)")
        }

        @Test
        func `whoever is in an instance has it out of traffic, and it is replaced afterwards`() throws {
            let site = try site()
            let word = Self.unique()
            let before = try site.status().instances.map(\.id)
            let exec = try KilnProgram.start(
                try arguments(site, "exec", "sh", "-c", "\(Self.box) sleep \(word); true"))
            try eventually("it runs") { sleepers(word) == 1 }
            let id = try session(site, 1).instance
            try eventually("it takes no traffic, and another does in its place") {
                let instances = try site.status().instances
                return instances.first { $0.id == id }?.weight == 0
                    && instances.count { $0.weight > 0 } == 2 && instances.count == 3
            }
            kill(exec.process.processIdentifier, SIGKILL)
            _ = try KilnProgram.finish(exec)
            try eventually("it is gone") { try !site.status().instances.contains { $0.id == id } }
            #expect(try site.status().tainted?.isEmpty == true)
            #expect(try site.status().instances.contains { before.contains($0.id) && $0.id != id })
        }
    }
}
