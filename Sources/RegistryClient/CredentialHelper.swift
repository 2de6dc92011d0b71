internal import Foundation
internal import ImageFormat
internal import Model
internal import Synchronization
internal import Threads

/// `docker-credential-NAME get`: the server on its standard input, JSON on its standard output.
struct CredentialHelper: Sendable {
    private let program: String

    enum Limit {
        static let answer = 64 << 10
        /// A helper may ask a person to unlock something.
        static let patience = Span.seconds(60)
    }

    init(_ name: String) { program = "docker-credential-\(name)" }

    /// Who we are to a server; nil where the helper says that it does not know.
    func credential(for server: String) async throws -> Credential? {
        let (status, output) = try await run(server)
        if status != 0 {
            // The protocol's own words: helpers print them on standard output and end with 1.
            let text = String(decoding: output, as: UTF8.self).lowercased()
            if text.contains("credentials not found") { return nil }
            throw Failure(
                .notSignedIn, "\(program) ended with \(status) when it was asked about \(server)",
                suggestion: "sign in again with the tool that this helper belongs to")
        }
        return try CredentialHelper.parse(output, program: program)
    }

    static func parse(_ output: [UInt8], program: String) throws -> Credential {
        guard output.count <= Limit.answer, let json = try? JSONValue(parsing: output),
            let user = json["Username"]?.text, let secret = json["Secret"]?.text
        else {
            throw Failure(
                .notSignedIn, "\(program) answered with something that is no credential", at: program,
                suggestion: "see what `\(program) get` prints, or name another file with --auth-file")
        }
        return user == "<token>" ? .identityToken(secret) : .password(user: user, password: secret)
    }

    private func run(_ server: String) async throws -> (status: Int32, output: [UInt8]) {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = [program, "get"]
        // Pipes, never files: what goes through them is a secret.
        let (input, output) = (Pipe(), Pipe())
        process.standardInput = input
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        let running = Running(process)
        return try await withTaskCancellationHandler {
            try await Blocking.run {
                do { try process.run() } catch {
                    throw Failure(
                        .toolMissing, "\(program) cannot be run", at: program,
                        suggestion: "install it, or take it out of credHelpers and credsStore in "
                            + "~/.docker/config.json", cause: error)
                }
                let deadline = DispatchWorkItem { running.stop() }
                DispatchQueue.global().asyncAfter(
                    deadline: .now() + .milliseconds(Limit.patience.milliseconds), execute: deadline)
                try? input.fileHandleForWriting.write(contentsOf: Data(server.utf8))
                try? input.fileHandleForWriting.close()
                var bytes: [UInt8] = []
                while let data = try? output.fileHandleForReading.read(upToCount: Limit.answer),
                    !data.isEmpty
                {
                    bytes += data
                    if bytes.count > Limit.answer { running.stop() }
                }
                process.waitUntilExit()
                deadline.cancel()
                return (process.terminationStatus, bytes)
            }
        } onCancel: {
            running.stop()
        }
    }

    /// A process that may be stopped from elsewhere.
    private final class Running: Sendable {
        private let process: Mutex<Process>
        init(_ process: sending Process) { self.process = Mutex(process) }
        func stop() { process.withLock { if $0.isRunning { $0.terminate() } } }
    }
}
