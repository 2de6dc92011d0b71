import Foundation

/// Requests without a pause, by `wrk`, until they are to end.
final class Load {
    private let process = Process()
    private let output = NSTemporaryDirectory() + "kiln-load-\(UUID().uuidString)"

    init(port: Int, connections: Int = 4) throws {
        // Threads of a test block signals, and wrk sums up when it gets one.
        let unblock = "use POSIX; sigprocmask(SIG_SETMASK, POSIX::SigSet->new); exec @ARGV"
        process.executableURL = URL(fileURLWithPath: "/usr/bin/perl")
        process.arguments = [
            "-e", unblock, "wrk", "-t1", "-c\(connections)", "-d30m", "--timeout", "120s",
            "http://127.0.0.1:\(port)/",
        ]
        // A file, because the children of others would keep a pipe open.
        _ = FileManager.default.createFile(atPath: output, contents: nil)
        process.standardOutput = FileHandle(forWritingAtPath: output)
        try process.run()
    }

    deinit {
        if process.isRunning { kill(process.processIdentifier, SIGKILL) }
        try? FileManager.default.removeItem(atPath: output)
    }

    /// How many requests had no good answer, and how many there were.
    func end() throws -> (failed: Int, all: Int) {
        kill(process.processIdentifier, SIGINT)
        process.waitUntilExit()
        let text = try String(contentsOfFile: output, encoding: .utf8)
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
