import Model

/// A JSON value (RFC 8259) with the line that it begins on, so that a wrong one can be pointed at.
struct JSONText {
    enum Kind {
        case object([(name: String, value: JSONText)])
        case array([JSONText])
        case string(String)
        case integer(Int)
        case other
    }

    var kind: Kind
    var line: Int

    private enum Limit {
        static let depth = 16
    }

    /// Parses a whole text; `place` is the name that failures carry.
    static func parse(_ bytes: [UInt8], place: String) throws -> JSONText {
        var parser = Parser(bytes: bytes, place: place)
        let value = try parser.value(depth: 0)
        parser.skipSpace()
        guard parser.offset == bytes.count else { throw parser.failure("something follows the end") }
        return value
    }

    /// The text as a JSON string. Only what JSON asks for is escaped.
    static func quote(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\t": result += "\\t"
            default:
                if scalar.value < 0x20 {
                    let digits = String(scalar.value, radix: 16)
                    result += "\\u" + String(repeating: "0", count: 4 - digits.utf8.count) + digits
                } else {
                    result.unicodeScalars.append(scalar)
                }
            }
        }
        return result + "\""
    }

    private struct Parser {
        let bytes: [UInt8]
        let place: String
        var offset = 0
        var line = 1

        func failure(_ why: String) -> Failure {
            Failure(
                .invalidArgument, "the file is not a lock: \(why)", at: "\(place):\(line)",
                suggestion: "write it anew with `kiln lock`")
        }

        mutating func skipSpace() {
            while offset < bytes.count, [0x20, 0x09, 0x0a, 0x0d].contains(bytes[offset]) {
                if bytes[offset] == 0x0a { line += 1 }
                offset += 1
            }
        }

        /// Steps over one byte of punctuation if it is there.
        mutating func take(_ character: Character) -> Bool {
            skipSpace()
            guard offset < bytes.count, bytes[offset] == character.asciiValue else { return false }
            offset += 1
            return true
        }

        mutating func value(depth: Int) throws -> JSONText {
            guard depth < Limit.depth else { throw failure("it is nested too deeply") }
            skipSpace()
            let start = line
            guard offset < bytes.count else { throw failure("it ends too early") }
            switch bytes[offset] {
            case UInt8(ascii: "{"): return JSONText(kind: .object(try object(depth: depth)), line: start)
            case UInt8(ascii: "["):
                offset += 1
                var items: [JSONText] = []
                if take("]") { return JSONText(kind: .array(items), line: start) }
                repeat { items.append(try value(depth: depth + 1)) } while take(",")
                guard take("]") else { throw failure("a list has no end") }
                return JSONText(kind: .array(items), line: start)
            case UInt8(ascii: "\""): return JSONText(kind: .string(try string()), line: start)
            default:
                let word = bytes[offset...].prefix { !" \t\r\n,]}:".utf8.contains($0) }
                offset += word.count
                let text = String(decoding: word, as: UTF8.self)
                if let number = Int(text) { return JSONText(kind: .integer(number), line: start) }
                guard ["true", "false", "null"].contains(text) || Double(text) != nil else {
                    throw failure("\"\(text.prefix(20))\" is no value")
                }
                return JSONText(kind: .other, line: start)
            }
        }

        mutating func object(depth: Int) throws -> [(name: String, value: JSONText)] {
            offset += 1
            var members: [(name: String, value: JSONText)] = []
            if take("}") { return members }
            repeat {
                skipSpace()
                let name = try string()
                guard take(":") else { throw failure("after \"\(name)\" there is no colon") }
                guard !members.contains(where: { $0.name == name }) else {
                    throw failure("\"\(name)\" is there twice")
                }
                members.append((name, try value(depth: depth + 1)))
            } while take(",")
            guard take("}") else { throw failure("an object has no end") }
            return members
        }

        mutating func string() throws -> String {
            guard offset < bytes.count, bytes[offset] == UInt8(ascii: "\"") else {
                throw failure("a string is missing")
            }
            offset += 1
            var text: [UInt8] = []
            while offset < bytes.count, bytes[offset] != UInt8(ascii: "\"") {
                var byte = bytes[offset]
                guard byte >= 0x20 else { throw failure("a string holds a control character") }
                offset += 1
                if byte == UInt8(ascii: "\\") {
                    guard offset < bytes.count else { throw failure("a string has no end") }
                    byte = bytes[offset]
                    offset += 1
                    switch byte {
                    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(byte)
                    case UInt8(ascii: "n"): text.append(0x0a)
                    case UInt8(ascii: "t"): text.append(0x09)
                    case UInt8(ascii: "r"): text.append(0x0d)
                    case UInt8(ascii: "u"):
                        let digits = String(decoding: bytes[offset...].prefix(4), as: UTF8.self)
                        guard let code = UInt32(digits, radix: 16), let scalar = Unicode.Scalar(code) else {
                            throw failure("an escape is wrong")
                        }
                        offset += 4
                        text += Array(String(Character(scalar)).utf8)
                    default: throw failure("an escape is wrong")
                    }
                } else {
                    text.append(byte)
                }
            }
            guard offset < bytes.count else { throw failure("a string has no end") }
            offset += 1
            guard let valid = String(validating: text, as: UTF8.self) else {
                throw failure("a string is not UTF-8")
            }
            return valid
        }
    }
}
