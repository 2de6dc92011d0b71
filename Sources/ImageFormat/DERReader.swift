import Model

/// Reads the DER of certificates (X.690), element by element, never beyond its bytes.
struct DERReader {
    struct Element {
        var tag: UInt8
        var content: ArraySlice<UInt8>
        /// Tag, length and content.
        var whole: ArraySlice<UInt8>
    }

    private var rest: ArraySlice<UInt8>

    init(_ bytes: ArraySlice<UInt8>) { rest = bytes }

    var isAtEnd: Bool { rest.isEmpty }

    static let damage = Failure(
        .corruptArchive, "the certificate cannot be read", suggestion: "fetch the certificate again")

    mutating func next() throws -> Element {
        let start = rest.startIndex
        guard rest.count >= 2, rest[start] & 0x1f != 0x1f else { throw DERReader.damage }
        var length = Int(rest[start + 1])
        var header = 2
        if length >= 0x80 {
            let digits = length & 0x7f
            guard (1...4).contains(digits), rest.count >= 2 + digits else { throw DERReader.damage }
            length = rest[start + 2..<start + 2 + digits].reduce(0) { $0 << 8 | Int($1) }
            header += digits
        }
        guard length <= rest.count - header else { throw DERReader.damage }
        let end = start + header + length
        let element = Element(
            tag: rest[start], content: rest[start + header..<end], whole: rest[start..<end])
        rest = rest[end...]
        return element
    }

    /// The next element, which must be of this tag.
    mutating func next(_ tag: UInt8) throws -> Element {
        let element = try next()
        guard element.tag == tag else { throw DERReader.damage }
        return element
    }

    /// Tag, shortest length and content.
    static func encode(_ tag: UInt8, _ content: [UInt8]) -> [UInt8] {
        var length: [UInt8] = []
        var rest = content.count
        while rest > 0 {
            length.insert(UInt8(rest & 0xff), at: 0)
            rest >>= 8
        }
        let header = content.count < 0x80 ? [UInt8(content.count)] : [0x80 | UInt8(length.count)] + length
        return [tag] + header + content
    }
}
