import Foundation

/// The repository's own files that tests read.
enum Repository {
    static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    static func text(_ path: String) throws -> String {
        try String(contentsOf: root.appending(path: path), encoding: .utf8)
    }

    /// Compares with a recorded file; `RECORD_GOLDEN=1` in the environment writes it anew instead.
    static func golden(_ path: String, is text: String) throws -> Bool {
        if ProcessInfo.processInfo.environment["RECORD_GOLDEN"] == "1" {
            try text.write(to: root.appending(path: path), atomically: true, encoding: .utf8)
        }
        return try self.text(path) == text
    }
}

/// A spec without problems, one setting a line, that tests spoil.
enum SoundSpec {
    static let lines = [
        "kiln: 1",
        "service: hello",
        "image:",
        "  distribution: debian/bookworm",
        "  packages: [nginx-light]",
        "  files: [{from: site/, to: /srv/www}]",
        "  command: [nginx, -g, daemon off;]",
        "run:",
        "  replicas: 3",
        "  port: 8080",
        "  health: {path: /}",
        "  scratch: [/run]",
        "  limits: {memory: 64M}",
        "  config: {GREETING: hello}",
        "rollout:",
        "  drain: 10s",
        "listen: 127.0.0.1:8000",
    ]

    static var text: String { with(line: 1, lines[0]) }

    /// The spec with one line (counted from 1) written otherwise.
    static func with(line: Int, _ text: String) -> String {
        var lines = lines
        lines[line - 1] = text
        return lines.joined(separator: "\n") + "\n"
    }
}
