import enum Crypto.Insecure
import Model

/// The names that OpenSSL looks up certificates by in a folder: `X509_subject_name_hash`.
package enum CertificateName {
    private static let sequence: UInt8 = 0x30
    private static let set: UInt8 = 0x31
    private static let utf8: UInt8 = 0x0c

    /// The eight hexadecimal digits for the first certificate in a PEM text; throws `corruptArchive` without
    /// one.
    package static func hash(pem: [UInt8]) throws -> String { try hash(der: decode(pem)) }

    /// The eight hexadecimal digits for a certificate in DER.
    package static func hash(der: [UInt8]) throws -> String {
        let sum = Insecure.SHA1.hash(data: try canonicalSubject(der))
        let digits = Array("0123456789abcdef".utf8)
        let text = sum.prefix(4).reversed().flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }
        return String(decoding: text, as: UTF8.self)
    }

    /// The bytes of the first certificate in a PEM text.
    package static func decode(_ pem: [UInt8]) throws -> [UInt8] {
        let begin = Array("-----BEGIN CERTIFICATE-----".utf8)
        let end = Array("-----END CERTIFICATE-----".utf8)
        guard let first = position(of: begin, in: pem[...]),
            let last = position(of: end, in: pem[(first + begin.count)...])
        else {
            throw Failure(
                .corruptArchive, "this is no PEM certificate",
                suggestion: "a certificate begins with -----BEGIN CERTIFICATE-----")
        }
        return try decodeBase64(pem[first + begin.count..<last])
    }

    private static func position(of text: [UInt8], in bytes: ArraySlice<UInt8>) -> Int? {
        guard bytes.count >= text.count else { return nil }
        return (bytes.startIndex...bytes.endIndex - text.count).first {
            bytes[$0] == text[0] && bytes[$0..<$0 + text.count].elementsEqual(text)
        }
    }

    private static func decodeBase64(_ text: ArraySlice<UInt8>) throws -> [UInt8] {
        var output: [UInt8] = []
        output.reserveCapacity(text.count * 3 / 4)
        var bits: UInt32 = 0
        var count = 0
        var isPadded = false
        for byte in text {
            let value: UInt8
            switch byte {
            case UInt8(ascii: "A")...UInt8(ascii: "Z"): value = byte - UInt8(ascii: "A")
            case UInt8(ascii: "a")...UInt8(ascii: "z"): value = byte - UInt8(ascii: "a") + 26
            case UInt8(ascii: "0")...UInt8(ascii: "9"): value = byte - UInt8(ascii: "0") + 52
            case UInt8(ascii: "+"): value = 62
            case UInt8(ascii: "/"): value = 63
            case 0x20, 0x09, 0x0a, 0x0d: continue
            case UInt8(ascii: "="):
                isPadded = true
                continue
            default: throw DERReader.damage
            }
            guard !isPadded else { throw DERReader.damage }
            bits = bits << 6 | UInt32(value)
            count += 6
            if count >= 8 {
                count -= 8
                output.append(UInt8(bits >> count & 0xff))
            }
        }
        return output
    }

    /// The subject as OpenSSL compares it: each text in UTF-8, lower case, single spaces; without the outer
    /// header.
    static func canonicalSubject(_ der: [UInt8]) throws -> [UInt8] {
        var file = DERReader(der[...])
        var certificate = DERReader(try file.next(sequence).content)
        var body = DERReader(try certificate.next(sequence).content)
        // The version is optional; then serial number, algorithm, issuer, validity.
        if try body.next().tag == 0xa0 { _ = try body.next() }
        for _ in 0..<3 { _ = try body.next(sequence) }
        var names = DERReader(try body.next(sequence).content)
        var output: [UInt8] = []
        while !names.isAtEnd {
            var parts = DERReader(try names.next(set).content)
            var encoded: [[UInt8]] = []
            while !parts.isAtEnd {
                var attribute = DERReader(try parts.next(sequence).content)
                let type = try attribute.next()
                let value = try attribute.next()
                encoded.append(DERReader.encode(sequence, Array(type.whole) + (try canonical(value))))
            }
            // DER sorts the members of a set by their bytes.
            encoded.sort { $0.lexicographicallyPrecedes($1) }
            output += DERReader.encode(set, encoded.flatMap { $0 })
        }
        return output
    }

    private static func canonical(_ value: DERReader.Element) throws -> [UInt8] {
        let text: [UInt8]
        switch value.tag {
        case utf8: text = Array(value.content)
        // Printable, T61, IA5 and visible strings: a byte is a character.
        case 0x13, 0x14, 0x16, 0x1a: text = try encodeUTF8(value.content, width: 1)
        case 0x1c: text = try encodeUTF8(value.content, width: 4)
        case 0x1e: text = try encodeUTF8(value.content, width: 2)
        default: return Array(value.whole)
        }
        func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0d).contains(byte) }
        var output: [UInt8] = []
        for word in text.split(whereSeparator: isSpace) {
            if !output.isEmpty { output.append(0x20) }
            output += word.map { (0x41...0x5a).contains($0) ? $0 + 32 : $0 }
        }
        return DERReader.encode(utf8, output)
    }

    private static func encodeUTF8(_ content: ArraySlice<UInt8>, width: Int) throws -> [UInt8] {
        guard content.count.isMultiple(of: width) else { throw DERReader.damage }
        var output: [UInt8] = []
        for start in stride(from: content.startIndex, to: content.endIndex, by: width) {
            let code = content[start..<start + width].reduce(0) { $0 << 8 | UInt32($1) }
            guard let scalar = Unicode.Scalar(code) else { throw DERReader.damage }
            output += Array(String(Character(scalar)).utf8)
        }
        return output
    }
}
