import Foundation
import Glibc
import Model
import Ports
import Testing
import Threads
import WireAPI

@testable import HostPlatform

/// Sessions by each runtime, without a daemon around them.
@Suite(.serialized) struct HostSessionsTests {
    init() {
        // As the program does: a closed pipe is an error, not a reason to die.
        signal(SIGPIPE, SIG_IGN)
    }

    /// A person at the end of a session's socket.
    private final class Person: @unchecked Sendable {
        private let file: Int32
        private var reader = SessionFrame.Reader()
        private(set) var output = ""
        private(set) var end: SessionEnd?

        init(_ path: String) throws {
            file = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
            var address = sockaddr_un()
            address.sun_family = sa_family_t(AF_UNIX)
            withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8)) }
            let isConnected = withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    connect(file, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) == 0
                }
            }
            guard isConnected else { throw Failure(.commandFailed, "cannot connect to \(path)") }
            var limit = timeval(tv_sec: 600, tv_usec: 0)
            setsockopt(file, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        }

        deinit { close(file) }

        func say(_ frame: SessionFrame) {
            _ = send(file, frame.bytes, frame.bytes.count, Int32(MSG_NOSIGNAL))
        }

        /// Reads until a text was seen, or to the end. Waits apart from the threads that all tests share.
        func listen(for text: String? = nil) async throws {
            try await Blocking.run { try self.listenNow(for: text) }
        }

        private func listenNow(for text: String?) throws {
            var buffer = [UInt8](repeating: 0, count: 65_536)
            while text.map({ !output.contains($0) }) ?? (end == nil) {
                guard end == nil else { throw Failure(.conflict, "it ended with \(end!) after: \(output)") }
                let count = recv(file, &buffer, buffer.count, 0)
                guard count > 0 else { throw Failure(.timedOut, "nothing more came after: \(output)") }
                for frame in try reader.take(buffer[..<count]) {
                    switch frame {
                    case .output(let bytes), .errors(let bytes):
                        output += String(decoding: bytes, as: UTF8.self)
                    case .end(let bytes):
                        end = try JSONDecoder().decode(SessionEnd.self, from: Data(bytes))
                    default: throw Failure(.conflict, "\(frame)")
                    }
                }
            }
        }
    }

    private static let box = "/bin/busybox"

    /// Opens a session in the only instance.
    private func open(
        _ host: TestHost, _ sessions: HostSessions, _ command: [String], terminal: Session.Terminal? = nil,
        image: Model.Digest? = nil
    ) async throws -> Person {
        let now = Instant(milliseconds: Int(Date().timeIntervalSince1970 * 1000))
        let session = try await sessions.reserve(
            Session(
                number: 0, kind: image == nil ? .exec : .debug, instance: host.id(1), key: host.key,
                by: "uid:\(getuid())", reason: "test", command: command, image: image, terminal: terminal,
                begunAt: now, until: now + .seconds(3600)))
        let place = try await sessions.open(session, for: getuid()) { _ in }
        return try Person(place.socket)
    }

    @Test(arguments: ["crun", "runc"])
    func `a command has pipes or a terminal, by either runtime, and leaves nothing`(runtime: String)
        async throws
    {
        try await TestHost.run(runtimes: [runtime]) { host in
            try await host.launch(host.order(1))
            let sessions = HostSessions(host.platform)
            let pipes = try await open(
                host, sessions, [Self.box, "sh", "-c", "read x; echo got $x; \(Self.box) id -u >&2; exit 5"])
            pipes.say(.input(Array("hello\n".utf8)))
            pipes.say(.inputEnd)
            try await pipes.listen()
            #expect(pipes.output.contains("got hello\n") && pipes.output.contains("33\n"), "\(pipes.output)")
            #expect(pipes.end?.status == 5 && pipes.end?.outcome == .exited)

            let look = "\(Self.box) stty size"
            let terminal = try await open(
                host, sessions,
                [Self.box, "sh", "-c", "\(look); echo $TERM; read x; \(look); \(Self.box) cat"],
                terminal: Session.Terminal(columns: 91, rows: 29, type: "vt100"))
            try await terminal.listen(for: "29 91")
            terminal.say(.window(columns: 77, rows: 20))
            terminal.say(.input(Array("now\n".utf8)))
            try await terminal.listen(for: "20 77")
            terminal.say(.inputEnd)
            try await terminal.listen()
            #expect(
                terminal.output.contains("vt100") && terminal.end?.outcome == .exited, "\(terminal.output)")

            let missing = try await open(host, sessions, ["/bin/nothing"])
            try await missing.listen()
            #expect(missing.end?.outcome == .notStarted)
            #expect(
                missing.end?.message.contains("/bin/nothing") == true, "\(String(describing: missing.end))")
            await sessions.stop()
        }
    }

    @Test(arguments: ["crun", "runc"])
    func `a tool image's command is beside the instance, with its user and its processes`(runtime: String)
        async throws
    {
        try await TestHost.run(runtimes: [runtime]) { host in
            try await host.launch(host.order(1))
            let tools = TestImages.digest(.sleeper)
            try await host.platform.prepare(tools)
            let sessions = HostSessions(host.platform)
            let script = "\(Self.box) ps; \(Self.box) id -u; \(Self.box) wget -qO- http://127.0.0.1:8080/"
            let person = try await open(host, sessions, [Self.box, "sh", "-c", script], image: tools)
            try await person.listen()
            #expect(
                person.output.contains("httpd -f -p 8080") && person.output.contains("version 1"), "\(person)"
            )
            #expect(person.output.contains("\n33\n") && person.end?.status == 0, "\(person.output)")
            let terminal = try await open(
                host, sessions, [Self.box, "stty", "size"],
                terminal: Session.Terminal(columns: 50, rows: 10, type: "vt100"), image: tools)
            try await terminal.listen()
            #expect(terminal.output.contains("10 50") && terminal.end?.status == 0, "\(terminal.output)")
            await sessions.stop()
        }
    }

    @Test func `the instance's end is the session's, and a daemon that ends takes its sessions with it`()
        async throws
    {
        try await TestHost.run { host in
            try await host.launch(host.order(1))
            let sessions = HostSessions(host.platform)
            let first = try await open(
                host, sessions, [Self.box, "sh", "-c", "echo in; \(Self.box) sleep 600"])
            try await first.listen(for: "in")
            try await host.platform.remove(host.id(1), grace: .zero)
            try await first.listen()
            #expect(first.end?.outcome == .exited && first.end?.status == 137)

            try await host.launch(host.order(1))
            let second = try await open(
                host, sessions, [Self.box, "sh", "-c", "echo in; \(Self.box) sleep 600"])
            try await second.listen(for: "in")
            await sessions.stop()
            try await second.listen()
            #expect(second.end?.outcome == .stopped && second.end?.recording != nil)
            await #expect(throws: Failure.self) { _ = try await open(host, sessions, ["x"]) }
        }
    }

    @Test func `an end that was not told is told by the next daemon, and no more after that`() async throws {
        try await TestHost.run { host in
            let sessions = HostSessions(host.platform)
            let now = HostPlatform.now
            let begun = try await sessions.reserve(
                Session(
                    number: 0, kind: .exec, instance: host.id(1), key: host.key, by: "uid:0", reason: "test",
                    command: ["x"], begunAt: now, until: now + .seconds(60)))
            let over = await sessions.abandon(begun, SessionEnd(.notStarted, "no", at: now))
            // The daemon dies between the two.
            let next = HostSessions(host.platform)
            let left = try await next.recover()
            #expect(left.map(\.number) == [over.number] && left.first?.end?.outcome == .notStarted)
            await next.told(left[0])
            #expect(try await HostSessions(host.platform).recover() == [])
        }
    }

    @Test func `a session that makes processes without end is ended with all of them`() async throws {
        try await TestHost.run { host in
            try await host.launch(host.order(1))
            let sessions = HostSessions(host.platform)
            // Each of them makes another one and ends: by its number none can be hit.
            let script = "f() { (f &) ; }; f; f; f; f; echo in; \(Self.box) sleep 600"
            let person = try await open(host, sessions, [Self.box, "sh", "-c", script])
            try await person.listen(for: "in")
            await sessions.stop()
            try await person.listen()
            #expect(person.end?.outcome == .stopped)
            let group = "\(host.root.cgroup)/\(host.id(1))"
            let first = try #require(try await host.instance(host.id(1))?.processID)
            try await eventually {
                // What is above the instance's own server is gone.
                let groups = ControlGroups.detect().folders(of: group)
                return groups.allSatisfy { folder in
                    !Files.names(in: folder).contains { $0.hasPrefix(HostRoot.sessionPrefix) }
                }
            }
            #expect(ControlGroups.detect().processes(in: group).contains(Int32(first)))
        }
    }

    @Test func `what does not read what it is given, or writes without end, holds nobody up for ever`()
        async throws
    {
        try await TestHost.run { host in
            try await host.launch(host.order(1))
            let sessions = HostSessions(host.platform)
            let loud = try await open(host, sessions, [Self.box, "yes"])
            try await loud.listen()
            #expect(loud.end?.outcome == .recordingFull, "\(String(describing: loud.end))")
            let deaf = try await open(
                host, sessions, [Self.box, "sh", "-c", "exec <&-; \(Self.box) sleep 1; exit 6"])
            for _ in 0..<64 { deaf.say(.input([UInt8](repeating: 65, count: 4096))) }
            try await deaf.listen()
            #expect(deaf.end?.status == 6)
            await sessions.stop()
        }
    }
}
