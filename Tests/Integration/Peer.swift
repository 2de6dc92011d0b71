import Foundation
import Model
import TestKit

/// Other people's programs, which read what Kiln makes. `make setup-peers` installs them; where one is missing, its
/// tests are skipped.
enum Peer {
    static let skipped = "it is not here; `make setup-peers` installs it"

    /// Where a program is; programs of the Python Package Index are in `.build/peers`.
    static func find(_ program: String) -> String? {
        let path = shell("PATH='\(KilnProgram.repository)/.build/peers/bin':$PATH command -v \(program)")
        return path.status == 0 ? path.output.trimmingCharacters(in: .whitespacesAndNewlines) : nil
    }

    static func has(_ program: String) -> Bool { find(program) != nil }

    /// A daemon of a test's own, in its own folder. It ends by a request, so that it can clean up.
    final class Daemon {
        private let process = Process()

        /// Returns once `probe`, a shell command, succeeds. What it writes goes to `log`.
        init(_ program: String, _ arguments: [String], log: String, probe: String) throws {
            guard let path = Peer.find(program) else {
                throw Failure(.toolMissing, Peer.skipped, at: program)
            }
            process.executableURL = URL(fileURLWithPath: path)
            process.arguments = arguments
            _ = FileManager.default.createFile(atPath: log, contents: nil)
            process.standardOutput = FileHandle(forWritingAtPath: log)
            process.standardError = process.standardOutput
            try process.run()
            try eventually("\(program) answers") { shell(probe).status == 0 || !process.isRunning }
            guard process.isRunning else {
                throw Failure(.commandFailed, (try? String(contentsOfFile: log, encoding: .utf8)) ?? log)
            }
        }

        func stop() {
            guard process.isRunning else { return }
            kill(process.processIdentifier, SIGTERM)
            process.waitUntilExit()
        }

        deinit { stop() }
    }
}
