internal import Model

/// One message on a session's socket: a byte that says what it is, the length of what follows in four bytes with the
/// greatest first, and that many bytes.
///
///     person → command   1 input · 2 the input ends · 3 the window is COLUMNS × ROWS (two bytes each)
///     command → person  16 output · 17 error output · 18 a note for the person (UTF-8) · 19 the end (JSON)
///
/// Whoever sends anything else has lost the connection.
package enum SessionFrame: Hashable, Sendable {
    case input([UInt8])
    case inputEnd
    case window(columns: Int, rows: Int)
    case output([UInt8])
    case errors([UInt8])
    case note(String)
    /// A `SessionEnd` in JSON, and the last frame.
    case end([UInt8])

    /// The longest payload.
    package static let longest = 64 << 10
    package static let headBytes = 5

    private enum Kind: UInt8 {
        case input = 1, inputEnd, window
        case output = 16, errors, note, end
    }

    package var bytes: [UInt8] {
        let (kind, payload): (Kind, [UInt8]) =
            switch self {
            case .input(let bytes): (.input, bytes)
            case .inputEnd: (.inputEnd, [])
            case .window(let columns, let rows):
                (.window, [columns, rows].flatMap { [UInt8($0 >> 8 & 255), UInt8($0 & 255)] })
            case .output(let bytes): (.output, bytes)
            case .errors(let bytes): (.errors, bytes)
            case .note(let text): (.note, Array(text.utf8.prefix(SessionFrame.longest)))
            case .end(let bytes): (.end, bytes)
            }
        assert(payload.count <= SessionFrame.longest, "a frame that nobody would take")
        let count = UInt32(payload.count)
        return [kind.rawValue] + (0..<4).map { UInt8(count >> (24 - 8 * $0) & 255) } + payload
    }

    /// Takes bytes as they come, and gives whole frames.
    package struct Reader: Sendable {
        private var waiting: [UInt8] = []

        package init() {}

        /// Throws `invalidArgument` at the first thing that is no frame: nothing after it can be understood.
        package mutating func take(_ bytes: some Sequence<UInt8>) throws -> [SessionFrame] {
            waiting += bytes
            var frames: [SessionFrame] = []
            var start = 0
            while waiting.count - start >= headBytes {
                guard let kind = Kind(rawValue: waiting[start]) else {
                    throw Reader.malformed("a frame of kind \(waiting[start])")
                }
                let length = waiting[start + 1..<start + headBytes].reduce(0) { $0 << 8 | Int($1) }
                guard length <= longest else { throw Reader.malformed("a frame of \(length) bytes") }
                guard waiting.count - start - headBytes >= length else { break }
                let payload = Array(waiting[start + headBytes..<start + headBytes + length])
                frames.append(try Reader.frame(kind, payload))
                start += headBytes + length
            }
            waiting.removeFirst(start)
            return frames
        }

        private static func frame(_ kind: Kind, _ payload: [UInt8]) throws -> SessionFrame {
            switch kind {
            case .input: return .input(payload)
            case .output: return .output(payload)
            case .errors: return .errors(payload)
            case .note: return .note(String(decoding: payload, as: UTF8.self))
            case .end: return .end(payload)
            case .inputEnd:
                guard payload.isEmpty else { throw malformed("an end of the input with bytes in it") }
                return .inputEnd
            case .window:
                guard payload.count == 4 else { throw malformed("a window of \(payload.count) bytes") }
                return .window(
                    columns: Int(payload[0]) << 8 | Int(payload[1]),
                    rows: Int(payload[2]) << 8 | Int(payload[3]))
            }
        }

        private static func malformed(_ what: String) -> Failure {
            Failure(
                .invalidArgument, "\(what) is not part of a session",
                suggestion: "are kiln and its daemon of the same version?")
        }
    }
}
