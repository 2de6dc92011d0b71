import Glibc
import Model
import Testing
import TestKit

@testable import Baking

@Suite struct CommandRunnerTests {
    private func run(_ script: String, timeout: Span = .seconds(60)) async throws -> CommandRunner.Output {
        try await CommandRunner.run(Command("sh", ["-c", script]), package: "dash", timeout: timeout)
    }

    @Test func `output is read to its end, and the status is the program's`() async throws {
        let output = try await run("echo one; echo two >&2; exit 3")
        #expect(output.out == "one\n" && output.err == "two\n" && output.status == 3)
    }

    /// After its end, and after its deadline.
    @Test(
        arguments: [(":", Span.seconds(600), nil), ("sleep 600", .milliseconds(200), .timedOut)]
            as [(String, Span, Failure.Code?)])
    func `a program of its own session that holds the output open holds nobody up`(
        rest: String, timeout: Span, code: Failure.Code?
    ) async throws {
        let folder = try TemporaryFolder()
        let clock = ContinuousClock()
        let start = clock.now
        let found = await failures {
            let output = try await run(
                "setsid sleep 600 & echo $! > \(folder.path)/pid; \(rest)", timeout: timeout)
            #expect(output.status == 0)
        }
        #expect(found.map(\.code) == (code.map { [$0] } ?? []))
        // Far more than it takes, on a machine that has much else to do.
        #expect(clock.now - start < .seconds(400))
        let text = String(decoding: try HostFiles.read(folder.path + "/pid", limit: 20), as: UTF8.self)
        _ = pid_t(text.dropLast()).map { kill($0, SIGKILL) }
    }

    @Test func `nobody can have put a link where a file is written`() throws {
        let folder = try TemporaryFolder()
        let victim = try folder.write("victim", "kept")
        let path = folder.path + "/kiln.lock"
        try folder.link("kiln.lock.\(getpid()).new", to: victim)
        try HostFiles.replace(path, with: "new".utf8)
        #expect(try HostFiles.read(victim, limit: 100) == Array("kept".utf8))
        #expect(try HostFiles.read(path, limit: 100) == Array("new".utf8))
    }
}
