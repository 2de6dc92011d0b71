/// A recursive descent over JSON text (RFC 8259), bounded in depth.
struct JSONParser {
    private let bytes: [UInt8]
    private var position = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    static func damage(_ why: String, at position: Int) -> Failure {
        Failure(.corruptArchive, "the JSON document cannot be read: \(why)", at: "byte \(position)")
    }

    private func damage(_ why: String) -> Failure { JSONParser.damage(why, at: position) }

    mutating func document() throws -> JSONValue {
        let value = try value(depth: 0)
        skipSpaces()
        guard position == bytes.count else { throw damage("something follows its end") }
        return value
    }

    private mutating func skipSpaces() {
        while position < bytes.count, [0x20, 0x09, 0x0a, 0x0d].contains(bytes[position]) { position += 1 }
    }

    private mutating func take(_ byte: UInt8) -> Bool {
        guard position < bytes.count, bytes[position] == byte else { return false }
        position += 1
        return true
    }

    private mutating func expect(_ text: String) throws {
        for byte in text.utf8 where !take(byte) { throw damage("\"\(text)\" is expected") }
    }

    private mutating func value(depth: Int) throws -> JSONValue {
        guard depth < JSONValue.Limit.depth else { throw damage("it is nested too deeply") }
        skipSpaces()
        guard position < bytes.count else { throw damage("it is cut off") }
        switch bytes[position] {
        case UInt8(ascii: "{"): return try object(depth: depth)
        case UInt8(ascii: "["): return try array(depth: depth)
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"):
            try expect("true")
            return .bool(true)
        case UInt8(ascii: "f"):
            try expect("false")
            return .bool(false)
        case UInt8(ascii: "n"):
            try expect("null")
            return .null
        default: return try number()
        }
    }

    private mutating func object(depth: Int) throws -> JSONValue {
        var members: [String: JSONValue] = [:]
        try expect("{")
        skipSpaces()
        if take(UInt8(ascii: "}")) { return .object(members) }
        repeat {
            skipSpaces()
            let key = try string()
            skipSpaces()
            try expect(":")
            guard members.updateValue(try value(depth: depth + 1), forKey: key) == nil else {
                throw damage("the key \"\(key.prefix(80))\" occurs twice")
            }
            skipSpaces()
        } while take(UInt8(ascii: ","))
        try expect("}")
        return .object(members)
    }

    private mutating func array(depth: Int) throws -> JSONValue {
        var elements: [JSONValue] = []
        try expect("[")
        skipSpaces()
        if take(UInt8(ascii: "]")) { return .array(elements) }
        repeat {
            elements.append(try value(depth: depth + 1))
            skipSpaces()
        } while take(UInt8(ascii: ","))
        try expect("]")
        return .array(elements)
    }

    private mutating func number() throws -> JSONValue {
        let start = position
        _ = take(UInt8(ascii: "-"))
        let digits = position
        while position < bytes.count, (0x30...0x39).contains(bytes[position]) { position += 1 }
        guard position > digits, bytes[digits] != 0x30 || position == digits + 1 else {
            throw damage("a value is expected")
        }
        let whole = bytes[start..<position]
        var isWhole = true
        if take(UInt8(ascii: ".")) {
            isWhole = false
            try skipDigits()
        }
        if take(UInt8(ascii: "e")) || take(UInt8(ascii: "E")) {
            isWhole = false
            if !take(UInt8(ascii: "+")) { _ = take(UInt8(ascii: "-")) }
            try skipDigits()
        }
        guard isWhole, let number = Int(String(decoding: whole, as: UTF8.self)) else { return .null }
        return .number(number)
    }

    private mutating func skipDigits() throws {
        let start = position
        while position < bytes.count, (0x30...0x39).contains(bytes[position]) { position += 1 }
        guard position > start else { throw damage("a digit is expected") }
    }

    private mutating func string() throws -> String {
        try expect("\"")
        var content: [UInt8] = []
        while position < bytes.count {
            let byte = bytes[position]
            position += 1
            switch byte {
            case UInt8(ascii: "\""):
                guard let text = String(validating: content, as: UTF8.self) else {
                    throw damage("a text is not UTF-8")
                }
                return text
            case UInt8(ascii: "\\"): try escape(into: &content)
            case 0..<0x20: throw damage("a text holds a control character")
            default: content.append(byte)
            }
        }
        throw damage("it is cut off")
    }

    private mutating func escape(into content: inout [UInt8]) throws {
        guard position < bytes.count else { throw damage("it is cut off") }
        let byte = bytes[position]
        position += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): content.append(byte)
        case UInt8(ascii: "b"): content.append(0x08)
        case UInt8(ascii: "f"): content.append(0x0c)
        case UInt8(ascii: "n"): content.append(0x0a)
        case UInt8(ascii: "r"): content.append(0x0d)
        case UInt8(ascii: "t"): content.append(0x09)
        case UInt8(ascii: "u"):
            var code = try hexadecimal()
            if (0xd800...0xdbff).contains(code) {
                try expect("\\u")
                let low = try hexadecimal()
                guard (0xdc00...0xdfff).contains(low) else { throw damage("half a character is missing") }
                code = 0x10000 + (code - 0xd800) << 10 + (low - 0xdc00)
            }
            guard let scalar = Unicode.Scalar(code) else { throw damage("half a character is missing") }
            content += Array(String(Character(scalar)).utf8)
        default: throw damage("an escape is unknown")
        }
    }

    private mutating func hexadecimal() throws -> UInt32 {
        guard bytes.count - position >= 4 else { throw damage("it is cut off") }
        var value: UInt32 = 0
        for byte in bytes[position..<position + 4] {
            guard let digit = Character(Unicode.Scalar(byte)).hexDigitValue else {
                throw damage("a hexadecimal digit is expected")
            }
            value = value << 4 | UInt32(digit)
        }
        position += 4
        return value
    }
}
