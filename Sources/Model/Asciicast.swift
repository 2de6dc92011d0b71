/// The lines of a recorded terminal session: asciicast version 2, as asciinema plays it. The first line is a header,
/// each one after it an event: `[seconds, "o", text]`.
package enum Asciicast {
    package enum Kind: String, Hashable, Sendable {
        case output = "o"
        case input = "i"
        /// `COLUMNSxROWS`.
        case resize = "r"
    }

    package struct Event: Hashable, Sendable {
        /// Since the session began.
        package var milliseconds: Int
        package var kind: Kind
        package var text: String

        package init(milliseconds: Int, kind: Kind, text: String) {
            self.milliseconds = milliseconds
            self.kind = kind
            self.text = text
        }
    }

    package static func header(
        columns: Int, rows: Int, at: Instant, title: String, environment: [String: String]
    ) -> [UInt8] {
        JSONValue.object([
            "version": .number(2), "width": .number(columns), "height": .number(rows),
            "timestamp": .number(at.milliseconds / 1000), "title": .string(title),
            "env": .object(environment.mapValues { .string($0) }),
        ]).bytes + [UInt8(ascii: "\n")]
    }

    package static func line(_ event: Event) -> [UInt8] {
        let fraction = String(event.milliseconds % 1000)
        let padding = String(repeating: "0", count: 3 - fraction.count)
        let time = "[\(event.milliseconds / 1000).\(padding)\(fraction),\"\(event.kind.rawValue)\","
        return Array(time.utf8) + JSONValue.string(event.text).bytes + Array("]\n".utf8)
    }

    /// The event of a line; nil where it is none that is known here.
    package static func event(_ line: some Collection<UInt8>) -> Event? {
        guard line.first == UInt8(ascii: "["), let comma = line.firstIndex(of: UInt8(ascii: ",")) else {
            return nil
        }
        let time = String(decoding: line[line.index(after: line.startIndex)..<comma], as: UTF8.self)
        let rest = [UInt8(ascii: "[")] + line[line.index(after: comma)...]
        guard let seconds = Double(time.filter { $0 != " " }), seconds >= 0, seconds < 1e9,
            let parts = try? JSONValue(parsing: rest).elements, parts.count == 2,
            let kind = parts[0].text.flatMap(Kind.init(rawValue:)), let text = parts[1].text
        else { return nil }
        return Event(milliseconds: Int((seconds * 1000).rounded()), kind: kind, text: text)
    }
}

/// Bytes that become text as they come. A character may arrive in two parts: what is not whole yet waits for the rest.
package struct TextStream: Sendable {
    private var waiting: [UInt8] = []

    package init() {}

    /// The whole characters so far; what can be none becomes U+FFFD.
    package mutating func take(_ bytes: some Sequence<UInt8>) -> String {
        waiting += bytes
        let open = TextStream.openBytes(waiting)
        defer { waiting = Array(waiting.suffix(open)) }
        return String(decoding: waiting.dropLast(open), as: UTF8.self)
    }

    /// What waits and will never be whole.
    package mutating func end() -> String {
        defer { waiting = [] }
        return String(decoding: waiting, as: UTF8.self)
    }

    /// How many bytes at the end begin a character of UTF-8 (RFC 3629) that is not whole: at most 3.
    private static func openBytes(_ bytes: [UInt8]) -> Int {
        for (back, byte) in bytes.reversed().prefix(3).enumerated() {
            switch byte {
            case 0x80...0xbf: continue
            case 0xc2...0xdf: return back < 1 ? back + 1 : 0
            case 0xe0...0xef: return back < 2 ? back + 1 : 0
            case 0xf0...0xf4: return back < 3 ? back + 1 : 0
            default: return 0
            }
        }
        return 0
    }
}
