import Foundation
import Model
import Ports
import TestKit
import Testing
import Trust

@testable import Storage

/// Processes that append and are killed.
@Suite struct LedgerCrashTests {
    private static let variable = "KILN_TEST_LEDGER"

    /// Runs only in a process that another of these tests started: appends until it is killed, and says each number that
    /// was acknowledged.
    @Test(.enabled(if: ProcessInfo.processInfo.environment[variable] != nil, "run by other tests only"))
    func `child that appends`() async throws {
        let path = try #require(ProcessInfo.processInfo.environment[LedgerCrashTests.variable])
        let ledger = try LedgerFile(path)
        for number in 0..<100_000 {
            let batch = number % 3 + 1
            let entries = (0..<batch).map {
                LedgerEntry(.gate, "\(getpid()) \(number) \($0)", at: LedgerFixture.start, by: "test")
            }
            let first = try await ledger.append(entries)
            let line = Array("ack \(first) \(getpid()) \(number) \(batch)\n".utf8)
            _ = line.withUnsafeBytes { write(1, $0.baseAddress!, $0.count) }
        }
    }

    @Test func `kill -9 of two that append loses nothing that was acknowledged, and the log is whole`()
        async throws
    {
        let folder = try TemporaryFolder()
        let path = folder.path + "/kiln.db"
        var random = SeededGenerator(seed: 9)
        var acknowledged: [(first: Int, text: String, count: Int)] = []
        for round in 0..<6 {
            let children = try (0..<2).map { try Child(path, folder.path + "/\(round)-\($0)") }
            for child in children { try await child.wait(for: Int.random(in: 20...200, using: &random)) }
            for child in children { acknowledged += try child.kill() }
            let report = try LedgerFile.reading(path).verify()
            #expect(report.problem == nil)
        }
        let ledger = try LedgerFile.reading(path)
        try #require(acknowledged.count > 100)
        #expect(Set(acknowledged.map(\.text).map { $0.prefix { $0 != " " } }).count == 12)
        for ack in acknowledged {
            let entries = try ledger.entries(
                LedgerQuery(numbers: ack.first..<ack.first + ack.count), order: .oldestFirst, limit: 10)
            #expect(
                try entries.map { try $0.parsed().message } == (0..<ack.count).map { "\(ack.text) \($0)" })
        }
        print("ledger: \(acknowledged.count) acknowledged appends of 12 killed processes, all there")
    }

    private final class Child {
        private let process = Process()
        private let output: String

        init(_ path: String, _ output: String) throws {
            self.output = output
            _ = FileManager.default.createFile(atPath: output, contents: nil)
            process.executableURL = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
            process.arguments = ["--testing-library", "swift-testing", "--filter", "child that appends"]
            process.environment = ProcessInfo.processInfo.environment.merging([variable: path]) { $1 }
            process.standardOutput = FileHandle(forWritingAtPath: output)
            process.standardError = FileHandle.nullDevice
            try process.run()
        }

        /// Until it has said so much, however slow the machine is today.
        func wait(for acknowledgements: Int) async throws {
            for _ in 1...Child.looks {
                let said = try Data(contentsOf: URL(fileURLWithPath: output))
                if said.count(where: { $0 == UInt8(ascii: "\n") }) >= acknowledgements { return }
                try await Task.sleep(for: .milliseconds(20))
            }
            throw Failure(.timedOut, "the child did not begin to append")
        }

        /// Two minutes.
        private static let looks = 6000

        func kill() throws -> [(first: Int, text: String, count: Int)] {
            Foundation.kill(process.processIdentifier, SIGKILL)
            process.waitUntilExit()
            let text = try String(contentsOfFile: output, encoding: .utf8)
            return text.split(separator: "\n").compactMap { line in
                let words = line.split(separator: " ").map(String.init)
                guard words.first == "ack", words.count == 5, let first = Int(words[1]),
                    let count = Int(words[4])
                else { return nil }
                return (first, "\(words[2]) \(words[3])", count)
            }
        }
    }
}
