internal import Model

/// Walks over JSON text (RFC 8259) of any size without building values of it: of what nobody asks for only the structure
/// is checked. So a document is whole to its end, or nothing in it is believed.
///
/// It lives no longer than the bytes that it was lent.
struct JSONScanner {
    private let bytes: UnsafeRawBufferPointer
    private(set) var position = 0
    private var depth = 0

    enum Limit {
        /// Of one text that is looked at.
        static let textBytes = 4096
    }

    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    func damage(_ why: String, at place: Int? = nil) -> Failure {
        Failure(
            .corruptArchive, why, at: "byte \(place ?? position)", suggestion: "fetch the feed again, whole")
    }

    // MARK: Places

    /// The next byte that matters; nil at the end.
    mutating func peek() -> UInt8? {
        while position < bytes.count {
            let byte = bytes[position]
            if byte != 0x20 && byte != 0x0a && byte != 0x0d && byte != 0x09 { return byte }
            position += 1
        }
        return nil
    }

    private mutating func expect(_ byte: UInt8) throws {
        guard peek() == byte else {
            throw damage(
                position < bytes.count
                    ? "\"\(Character(Unicode.Scalar(byte)))\" is expected" : "it is cut off")
        }
        position += 1
    }

    /// What stands between two places.
    func copy(from start: Int) -> [UInt8] { Array(bytes[start..<position]) }

    // MARK: Values

    /// Calls `body` at each member's value, which it has to read or to skip. The keys of an object that is walked
    /// over so have to differ only where `body` looks: it sees each of them.
    mutating func object(_ body: (inout JSONScanner, String) throws -> Void) throws {
        try container(open: UInt8(ascii: "{"), close: UInt8(ascii: "}")) { scanner in
            let key = try scanner.text()
            try scanner.expect(UInt8(ascii: ":"))
            try body(&scanner, key)
        }
    }

    /// Calls `body` at each element, which it has to read or to skip.
    mutating func array(_ body: (inout JSONScanner) throws -> Void) throws {
        try container(open: UInt8(ascii: "["), close: UInt8(ascii: "]"), body)
    }

    private mutating func container(
        open: UInt8, close: UInt8, _ body: (inout JSONScanner) throws -> Void
    ) throws {
        try expect(open)
        depth += 1
        defer { depth -= 1 }
        guard depth <= JSONValue.Limit.depth else { throw damage("it is nested too deeply") }
        if peek() == close {
            position += 1
            return
        }
        while true {
            try body(&self)
            guard peek() == UInt8(ascii: ",") else { break }
            position += 1
        }
        try expect(close)
    }

    mutating func skip() throws {
        switch peek() {
        case nil: throw damage("it is cut off")
        case UInt8(ascii: "{"):
            try container(open: UInt8(ascii: "{"), close: UInt8(ascii: "}")) { scanner in
                try scanner.skipText()
                try scanner.expect(UInt8(ascii: ":"))
                try scanner.skip()
            }
        case UInt8(ascii: "["): try array { try $0.skip() }
        case UInt8(ascii: "\""): try skipText()
        case UInt8(ascii: "t"): try skip(word: "true")
        case UInt8(ascii: "f"): try skip(word: "false")
        case UInt8(ascii: "n"): try skip(word: "null")
        default: try skipNumber()
        }
    }

    private mutating func skip(word: StaticString) throws {
        for offset in 0..<word.utf8CodeUnitCount {
            guard position < bytes.count, bytes[position] == word.utf8Start[offset] else {
                throw damage("a value is expected")
            }
            position += 1
        }
    }

    private mutating func skipNumber() throws {
        let start = position
        if position < bytes.count, bytes[position] == UInt8(ascii: "-") { position += 1 }
        let first = position
        guard skipDigits(), bytes[first] != 0x30 || position == first + 1 else {
            throw damage("a value is expected", at: start)
        }
        if position < bytes.count, bytes[position] == UInt8(ascii: ".") {
            position += 1
            guard skipDigits() else { throw damage("a digit is expected") }
        }
        if position < bytes.count, bytes[position] | 0x20 == UInt8(ascii: "e") {
            position += 1
            if position < bytes.count, bytes[position] == 0x2b || bytes[position] == 0x2d { position += 1 }
            guard skipDigits() else { throw damage("a digit is expected") }
        }
    }

    private mutating func skipDigits() -> Bool {
        let start = position
        while position < bytes.count, bytes[position] &- 0x30 < 10 { position += 1 }
        return position > start
    }

    /// Checks a text and gives whether anything in it is escaped.
    @discardableResult
    private mutating func skipText() throws -> Bool {
        try expect(UInt8(ascii: "\""))
        var hasEscapes = false
        while position < bytes.count {
            let byte = bytes[position]
            position += 1
            if byte == UInt8(ascii: "\"") { return hasEscapes }
            if byte == UInt8(ascii: "\\") {
                // Whatever follows is no end; what it means is looked at where the text is read.
                hasEscapes = true
                position += 1
            } else if byte < 0x20 {
                throw damage("a text holds a control character", at: position - 1)
            }
        }
        throw damage("it is cut off")
    }

    mutating func text() throws -> String {
        guard peek() == UInt8(ascii: "\"") else { throw damage("a text is expected") }
        let start = position
        let hasEscapes = try skipText()
        guard position - start <= Limit.textBytes else { throw damage("a text is too long", at: start) }
        if hasEscapes {
            guard case .string(let text)? = try? JSONValue(parsing: copy(from: start)) else {
                throw damage("a text cannot be read", at: start)
            }
            return text
        }
        guard let text = String(validating: bytes[(start + 1)..<(position - 1)], as: UTF8.self) else {
            throw damage("a text is not UTF-8", at: start)
        }
        return text
    }

    /// Builds the value that began at `start` and ended here.
    func value(from start: Int) throws -> JSONValue {
        do {
            return try JSONValue(parsing: copy(from: start))
        } catch {
            throw damage(Failure.list(error)[0].message, at: start)
        }
    }
}
