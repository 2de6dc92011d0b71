internal import Foundation
internal import Model
internal import WireAPI

/// A daemon of the demo's own, in a folder of its own.
struct DemoDaemon {
    let root: String
    private let process: Process

    static let pause = Duration.milliseconds(20)
    static let looksUntilUp = 500
    static let looksUntilDown = 6000

    static func start(root: String) async throws -> DemoDaemon {
        let daemon = DemoDaemon(root: root)
        try daemon.process.run()
        for _ in 1...looksUntilUp {
            if !daemon.process.isRunning { break }
            let client = DaemonClient(socket: daemon.socket)
            let answer = try? await client.get(WirePath.status, as: StatusAnswer.self)
            if answer != nil { return daemon }
            try await Task.sleep(for: pause)
        }
        if daemon.process.isRunning { daemon.process.terminate() }
        let log = (try? String(contentsOfFile: root + "/daemon.log", encoding: .utf8)) ?? ""
        throw Failure(
            .daemonUnreachable, "the demo's daemon did not start:\n\(log.suffix(2000))",
            suggestion: "`kiln doctor` says what this host lacks")
    }

    var socket: String { root + "/kiln.sock" }

    private init(root: String) {
        self.root = root
        process = Process()
        process.executableURL = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
        process.arguments = ["serve", "--root", root, "--ephemeral"]
        _ = FileManager.default.createFile(atPath: root + "/daemon.log", contents: nil)
        let log = FileHandle(forWritingAtPath: root + "/daemon.log")
        process.standardOutput = log
        process.standardError = log
    }

    /// Asks the daemon to retire everything and end, and waits for it.
    func stop() async throws {
        if process.isRunning { process.terminate() }
        for _ in 1...DemoDaemon.looksUntilDown where process.isRunning {
            try await Task.sleep(for: DemoDaemon.pause)
        }
    }
}
