internal import Foundation
internal import Model
internal import Synchronization

/// What is written for people and programs: answers to standard output, progress to standard error.
enum Screen {
    /// Colour and moving lines only where a person looks.
    static let isTerminal = isatty(2) == 1 && ProcessInfo.processInfo.environment["TERM"] != "dumb"
    static let hasColour =
        isatty(1) == 1 && isTerminal && (ProcessInfo.processInfo.environment["NO_COLOR"] ?? "").isEmpty

    enum Colour: String {
        case red = "31"
        case green = "32"
        case yellow = "33"
        case bold = "1"
        case faint = "2"
    }

    static func coloured(_ text: String, _ colour: Colour) -> String {
        hasColour ? "\u{1B}[\(colour.rawValue)m\(text)\u{1B}[0m" : text
    }

    static func answer(_ text: String) { write(text + "\n", to: 1) }

    static func answer(_ value: some Encodable) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        answer(String(decoding: try encoder.encode(value), as: UTF8.self))
    }

    /// A line about what is going on.
    static func tell(_ text: String) { write(clearLine() + text + "\n", to: 2) }

    static func warn(_ text: String) { tell(coloured("warning: ", .yellow) + text) }

    static func note(_ text: String) { tell("note: " + text) }

    static func fail(_ failures: [Failure]) {
        for failure in failures {
            tell(coloured("error: ", .red) + failure.description)
        }
    }

    /// Whether what was answered can be drawn over.
    static let canRedraw = isatty(1) == 1 && ProcessInfo.processInfo.environment["TERM"] != "dumb"

    /// Writes as it is, to standard output.
    static func draw(_ text: String) { write(text, to: 1) }

    private static let movingLine = Mutex(false)

    /// A line that the next one replaces; nothing where no person looks.
    static func progress(_ text: String) {
        guard isTerminal else { return }
        write("\r\u{1B}[K" + text, to: 2)
        movingLine.withLock { $0 = true }
    }

    private static func clearLine() -> String {
        movingLine.withLock { isMoving in
            defer { isMoving = false }
            return isMoving ? "\r\u{1B}[K" : ""
        }
    }

    private static func write(_ text: String, to file: Int32) {
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            let count = bytes.withUnsafeBytes { Foundation.write(file, $0.baseAddress!, $0.count) }
            guard count > 0 else { return }
            bytes = bytes.dropFirst(count)
        }
    }

    private static let width = 100

    /// Items with commas between them, on as many lines as they need.
    static func filled(_ items: [String], indent: String) -> [String] {
        var lines: [String] = []
        for item in items {
            if let last = lines.last, last.count + item.count + 2 <= width {
                lines[lines.count - 1] = "\(last), \(item)"
            } else {
                if !lines.isEmpty { lines[lines.count - 1] += "," }
                lines.append(indent + item)
            }
        }
        return lines
    }

    /// Columns wide enough for their content, two spaces apart.
    static func table(_ rows: [[String]]) -> String {
        let columns = rows.map(\.count).max() ?? 0
        let widths = (0..<columns).map { column in
            rows.map { column < $0.count ? $0[column].count : 0 }.max() ?? 0
        }
        return rows.map { row in
            row.enumerated().map { column, cell in
                column == row.count - 1
                    ? cell : cell + String(repeating: " ", count: widths[column] - cell.count)
            }.joined(separator: "  ")
        }.joined(separator: "\n")
    }
}

/// Lines on a terminal that are drawn again in their own place.
struct ScreenPicture {
    private var lines = 0

    mutating func draw(_ text: String) {
        let up = lines > 0 ? "\u{1B}[\(lines)A" : ""
        // A line that is too long is cut off: one that wraps would be counted as one and take two.
        Screen.draw("\(up)\r\u{1B}[J\u{1B}[?7l\(text)\n\u{1B}[?7h")
        lines = text.count(where: \.isNewline) + 1
    }
}

extension ByteCount {
    /// `19.4 MB`, for people.
    var readable: String {
        let units = [(1_000_000_000.0, "GB"), (1_000_000, "MB"), (1000, "kB")]
        for (size, unit) in units where Double(bytes) >= size {
            return String(format: "%.1f %@", Double(bytes) / size, unit)
        }
        return "\(bytes) B"
    }
}

extension Span {
    /// `3m 20s`, for people.
    var readable: String {
        let seconds = milliseconds / 1000
        switch seconds {
        case ..<1: return "\(milliseconds)ms"
        case ..<60: return "\(seconds)s"
        case ..<3600: return "\(seconds / 60)m \(seconds % 60)s"
        case ..<86_400: return "\(seconds / 3600)h \(seconds / 60 % 60)m"
        default: return "\(seconds / 86_400)d \(seconds / 3600 % 24)h"
        }
    }
}

extension Instant {
    /// The time of this machine.
    static var fromClock: Instant { Instant(milliseconds: Int(Date().timeIntervalSince1970 * 1000)) }
}
