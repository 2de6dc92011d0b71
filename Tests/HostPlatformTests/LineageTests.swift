import Foundation
import Glibc
import Model
import Testing

@testable import HostPlatform

/// Who belongs to an instance, asked about real processes of this host.
@Suite struct LineageTests {
    /// Runs a body beside a shell that runs a script.
    private func withShell(_ script: String, _ body: (LiveProcess) throws -> Void) throws {
        let null = Descriptor(open("/dev/null", O_RDWR | O_CLOEXEC))
        let child = try Child.start(
            Command("/bin/sh", ["-c", script]), input: null.number, output: null.number, errors: null.number,
            newSession: true)
        defer {
            kill(-child.pid, SIGKILL)
            _ = child.wait()
        }
        try body(try #require(LiveProcess(child.pid)))
    }

    private func lineage(_ first: LiveProcess, _ members: Lineage.Members? = nil) -> Lineage {
        Lineage(first: first, namespaces: Namespaces(), mark: "none", members: members)
    }

    @Test func `of an instance that is over, nobody is a stranger`() throws {
        // This host's first process descends from nobody.
        let stranger = try #require(ProcessView(1))
        var gone: LiveProcess?
        try withShell("sleep 600") { first in
            #expect(lineage(first).answer(for: stranger) == .foreign)
            gone = first
        }
        #expect(lineage(try #require(gone)).answer(for: stranger) == .gone)
    }

    @Test func `a long line of processes is walked once, whoever is asked about first`() throws {
        let depth = 60
        let script = "f() { if [ $1 -gt 0 ]; then (f $(($1 - 1)); true); else sleep 600; fi; }; f \(depth)"
        try withShell(script) { first in
            var line: [ProcessView] = []
            for _ in 0..<6000 where line.count < depth {
                let all = ProcessFile.numbers().compactMap { ProcessView($0) }
                line = []
                var parent = first.pid
                while let next = all.first(where: { $0.parent == parent }) {
                    line.append(next)
                    parent = next.pid
                }
                usleep(10_000)
            }
            let youngest = try #require(line.last)
            #expect(line.count >= depth)
            let members = Lineage.Members()
            #expect(lineage(first, members).answer(for: youngest) == .member)
            #expect(members.count >= depth)
            #expect(line.allSatisfy { members.has($0, of: first) })
            #expect(!members.has(try #require(ProcessView(1)), of: first))
            // Another instance's first process knows nothing of them.
            try withShell("sleep 600") { other in
                #expect(line.allSatisfy { !members.has($0, of: other) })
                #expect(lineage(other, members).answer(for: youngest) == .foreign)
            }
        }
    }

    @Test func `a command of ours is known by its own mark, whatever became of the one who began it`() throws
    {
        try withShell("\(Lineage.variable)=abc exec sleep 600") { command in
            try withShell("sleep 600") { first in
                let view = try #require(ProcessView(command.pid))
                func answer(_ mark: String) -> Lineage.Answer {
                    Lineage(first: first, namespaces: Namespaces(), mark: mark).answer(for: view)
                }
                // The program has its environment a moment after it has its number.
                for _ in 0..<6000 where answer("abc") != .ours { usleep(10_000) }
                #expect(answer("abc") == .ours && answer("abd") == .foreign)
            }
        }
    }

    @Test func `no more descriptors are read than there are left to read`() throws {
        var budget = 5
        _ = SocketOwner.sockets(of: getpid(), budget: &budget)
        #expect(budget == 0)
        budget = 100_000
        let sockets = (0..<10).map { _ in Descriptor(socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)) }
        let found = SocketOwner.sockets(of: getpid(), budget: &budget)
        #expect(found.count >= sockets.count && budget > 0 && budget < 100_000)
    }
}
