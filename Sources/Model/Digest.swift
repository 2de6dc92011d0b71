/// A SHA-256 content address. Every value is a valid one: it was parsed or computed.
package struct Digest: Hashable, Sendable, Comparable, CustomStringConvertible {
    /// The 64 lowercase hexadecimal digits.
    package let hex: String

    /// Takes 32 raw bytes, as a hash function gives them.
    package init(bytes: some Sequence<UInt8>) {
        let digits = Array("0123456789abcdef".utf8)
        var text: [UInt8] = []
        text.reserveCapacity(64)
        for byte in bytes {
            text.append(digits[Int(byte >> 4)])
            text.append(digits[Int(byte & 15)])
        }
        precondition(text.count == 64, "a SHA-256 has 32 bytes")
        hex = String(decoding: text, as: UTF8.self)
    }

    /// Takes 64 lowercase hexadecimal digits.
    package init(hex: String) throws {
        let isValid =
            hex.utf8.count == 64
            && hex.utf8.allSatisfy { ($0 >= 0x30 && $0 <= 0x39) || ($0 >= 0x61 && $0 <= 0x66) }
        guard isValid else {
            throw Failure(
                .invalidArgument, "\"\(hex.prefix(80))\" is not a SHA-256 digest",
                suggestion: "a digest is sha256: and 64 digits 0-9 a-f")
        }
        self.hex = hex
    }

    /// Takes the OCI form, `sha256:<hex>`.
    package init(parsing text: String) throws {
        try self.init(hex: text.hasPrefix("sha256:") ? String(text.dropFirst(7)) : text)
    }

    package var description: String { "sha256:" + hex }

    /// The first twelve digits, for screens; never for lookups in a ledger.
    package var short: String { String(hex.prefix(12)) }

    package static func < (left: Digest, right: Digest) -> Bool { left.hex < right.hex }
}

extension Digest: Codable {
    package init(from decoder: any Decoder) throws {
        try self.init(parsing: try decoder.singleValueContainer().decode(String.self))
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}
