import Foundation

/// Requests without a pause, by `wrk`, until they are to end.
final class Load {
    private let process = Process()
    private let output = Pipe()

    init(port: Int, connections: Int = 4) throws {
        process.executableURL = URL(fileURLWithPath: "/usr/bin/wrk")
        process.arguments = [
            "-t1", "-c\(connections)", "-d30m", "--timeout", "10s", "http://127.0.0.1:\(port)/",
        ]
        process.standardOutput = output
        try process.run()
    }

    /// How many requests there were, and how many had no good answer.
    func end() throws -> (count: Int, all: Int) {
        kill(process.processIdentifier, SIGINT)
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        let all = text.firstMatch(of: #/(\d+) requests in/#).flatMap { Int($0.1) } ?? 0
        var failed = text.firstMatch(of: #/Non-2xx or 3xx responses: (\d+)/#).flatMap { Int($0.1) } ?? 0
        if let errors = text.firstMatch(
            of: #/Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/#)
        {
            failed += [errors.1, errors.2, errors.3, errors.4].compactMap { Int($0) }.reduce(0, +)
        }
        return (failed, all)
    }
}
