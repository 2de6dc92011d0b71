internal import ArgumentParser
internal import Foundation
internal import Model

/// What is kept of people's visits to instances. Reads the files of the root folder, so it needs no daemon.
struct SessionVerb: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "session",
        abstract: "List, show and play the recorded sessions of `kiln exec` and `kiln debug`.",
        discussion: """
            Examples:
              sudo kiln session list
              sudo kiln session play 7
            """,
        subcommands: [List.self, Show.self, Play.self])

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List the sessions, newest first.",
            discussion: """
                Example:
                  sudo kiln session list --output json
                """)

        @OptionGroup var root: RootOptions
        @OptionGroup var output: OutputOptions

        func run() async throws {
            let files = SessionFiles(root: root.path)
            let sessions = try files.numbers().reversed().map { try files.session($0) }
            guard output.output == .text else { return try Screen.answer(sessions) }
            guard !sessions.isEmpty else { return Screen.answer("no sessions are recorded here") }
            Screen.answer(
                Screen.table(
                    sessions.map { session in
                        [
                            "\(session.number)", "\(session.begunAt)", session.by, session.kind.rawValue,
                            session.instance.text, session.end?.outcome.rawValue ?? "goes on", session.reason,
                        ]
                    }))
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show who, why, when, and how a session ended.",
            discussion: """
                The digest of the recording is in the ledger too: `kiln ledger show --kind break-glass`.

                Example:
                  sudo kiln session show 7
                """)

        @Argument(help: "The session's number.")
        var number: Int
        @OptionGroup var root: RootOptions
        @OptionGroup var output: OutputOptions

        func run() async throws {
            let session = try SessionFiles(root: root.path).session(number)
            guard output.output == .text else { return try Screen.answer(session) }
            Screen.answer(Screen.table(session.lines))
        }
    }

    struct Play: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Print what was seen in a session, at once or as fast as it was.",
            discussion: """
                asciinema plays the same files: ROOT/sessions/N.cast, asciicast version 2.

                Examples:
                  sudo kiln session play 7
                  sudo kiln session play 7 --timed
                  sudo kiln session play 7 --input       what was typed
                """)

        @Argument(help: "The session's number.")
        var number: Int
        @Flag(help: "As fast as it was; nobody waits for more than two seconds.")
        var timed = false
        @Flag(help: "What was typed, instead of what was seen.")
        var input = false
        @OptionGroup var root: RootOptions

        private static let longestPause = 2000

        func run() async throws {
            var last = 0
            for event in try SessionFiles(root: root.path).events(number)
            where event.kind == (input ? .input : .output) {
                if timed {
                    let pause = min(max(0, event.milliseconds - last), Play.longestPause)
                    try await Task.sleep(for: .milliseconds(pause))
                }
                last = event.milliseconds
                Screen.draw(event.text)
            }
        }
    }
}

/// The records of sessions as the daemon keeps them.
struct SessionFiles {
    let folder: String

    private enum Limit {
        static let record = 256 << 10
        static let recording = 64 << 20
    }

    init(root: String) { folder = root + "/sessions" }

    func numbers() throws -> [Int] {
        guard FileManager.default.fileExists(atPath: folder) else { return [] }
        do {
            return try FileManager.default.contentsOfDirectory(atPath: folder)
                .compactMap { $0.hasSuffix(".json") ? Int($0.dropLast(5)) : nil }.sorted()
        } catch {
            throw Failure(
                .notPermitted, "only root can read what was recorded", at: folder,
                suggestion: "run the command with sudo")
        }
    }

    func session(_ number: Int) throws -> Session {
        do {
            return try JSONDecoder().decode(
                Session.self, from: Data(try read("\(number).json", Limit.record)))
        } catch let error as DecodingError {
            throw Failure(
                .internalError, "the record cannot be read", at: "\(folder)/\(number).json", cause: error)
        }
    }

    func events(_ number: Int) throws -> [Asciicast.Event] {
        try read("\(number).cast", Limit.recording).split(separator: UInt8(ascii: "\n"))
            .compactMap { Asciicast.event($0) }
    }

    private func read(_ name: String, _ limit: Int) throws -> [UInt8] {
        let path = "\(folder)/\(name)"
        guard let bytes = try KeyFolder.read(path, limit: limit) else {
            throw Failure(
                .notFound, "there is no such session, or it was not recorded", at: path,
                suggestion: "`kiln session list` lists them all")
        }
        return bytes
    }
}

extension Session {
    fileprivate var lines: [[String]] {
        var lines = [
            ["session", "\(number)"], ["kind", kind.rawValue], ["instance", "\(instance) of \(key)"],
            ["by", by], ["reason", reason], ["command", command.joined(separator: " ")],
        ]
        if let image { lines.append(["tools", "\(image)"]) }
        lines += [
            ["begun", "\(begunAt)"], ["until", "\(until)"],
            ["in traffic", isInTraffic ? "yes" : "no"],
        ]
        guard let end else { return lines + [["end", "it goes on, or the daemon died in it"]] }
        lines.append(["end", "\(end.at): \(end.message) (\(end.outcome.rawValue))"])
        if let recording = end.recording {
            lines.append(["recording", "\(recording), \(ByteCount(bytes: end.recordingBytes).readable)"])
        }
        return lines
    }
}
