import Glibc
import Model
import Testing

@testable import Baking

@Suite struct CommandRunnerTests {
    private func run(_ script: String, timeout: Span = .seconds(60)) async throws -> CommandRunner.Output {
        try await CommandRunner.run(Command("sh", ["-c", script]), package: "dash", timeout: timeout)
    }

    @Test func `output is read to its end, and the status is the program's`() async throws {
        let output = try await run("echo one; echo two >&2; exit 3")
        #expect(output.out == "one\n" && output.err == "two\n" && output.status == 3)
    }

    @Test func `a program of its own session that holds the output open holds nobody up`() async throws {
        let clock = ContinuousClock()
        let start = clock.now
        let output = try await run("echo said; setsid sleep 120 & exit 0")
        #expect(output.status == 0 && output.out == "said\n")
        #expect(clock.now - start < .seconds(60))
    }

    @Test func `after the deadline too`() async throws {
        let clock = ContinuousClock()
        let start = clock.now
        let found = await failures {
            _ = try await run("setsid sleep 120 & sleep 120", timeout: .milliseconds(200))
        }
        #expect(found.map(\.code) == [.timedOut])
        #expect(clock.now - start < .seconds(60))
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
