/// The ASCII armour of OpenPGP (RFC 4880, section 6.2).
enum Armor {
    /// The bytes of every block in a text, one after the other; nil where there is none or it is damaged.
    static func decode(_ text: String) -> [UInt8]? {
        var bytes: [UInt8] = []
        var block: String?
        var isHeader = false
        for rawLine in text.split(separator: "\n", omittingEmptySubsequences: false) {
            let line = rawLine.filter { !$0.isWhitespace }
            if rawLine.hasPrefix("-----BEGIN PGP") {
                block = ""
                isHeader = true
            } else if rawLine.hasPrefix("-----END PGP") {
                guard let body = block, let part = base64(body) else { return nil }
                bytes += part
                block = nil
            } else if block != nil {
                if line.isEmpty {
                    isHeader = false
                } else if isHeader, line.contains(":") {
                    continue
                } else if !line.hasPrefix("=") {
                    isHeader = false
                    block! += line
                }
            }
        }
        return bytes.isEmpty || block != nil ? nil : bytes
    }

    private static func base64(_ text: String) -> [UInt8]? {
        var bytes: [UInt8] = []
        var value = 0
        var bits = 0
        for character in text.utf8 where character != UInt8(ascii: "=") {
            let digit: Int
            switch character {
            case UInt8(ascii: "A")...UInt8(ascii: "Z"): digit = Int(character) - 65
            case UInt8(ascii: "a")...UInt8(ascii: "z"): digit = Int(character) - 71
            case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = Int(character) + 4
            case UInt8(ascii: "+"): digit = 62
            case UInt8(ascii: "/"): digit = 63
            default: return nil
            }
            value = (value << 6 | digit) & 0xffff
            bits += 6
            if bits >= 8 {
                bits -= 8
                bytes.append(UInt8(truncatingIfNeeded: value >> bits))
            }
        }
        return bytes
    }
}
