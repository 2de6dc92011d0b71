internal import Foundation

/// Base64 (RFC 4648). Writes the standard alphabet with padding; reads that one and the URL-safe one, as DSSE asks.
package enum Base64 {
    package static func encode(_ bytes: [UInt8]) -> String { Data(bytes).base64EncodedString() }

    /// nil for anything but one text of the alphabet, with all of its padding or none: no spaces, no bits beyond the
    /// last byte, no mixture of the two alphabets. So bytes have few texts, and none can be varied unseen.
    package static func decode(_ text: String) -> [UInt8]? { decode(text, allowsURLSafe: true) }

    /// The same for formats that know the standard alphabet only.
    package static func decodeStandard(_ text: String) -> [UInt8]? { decode(text, allowsURLSafe: false) }

    private static func decode(_ text: String, allowsURLSafe: Bool) -> [UInt8]? {
        var digits = Array(text.utf8)
        if digits.last == UInt8(ascii: "=") {
            guard digits.count.isMultiple(of: 4) else { return nil }
            digits.removeLast()
            if digits.last == UInt8(ascii: "=") { digits.removeLast() }
        }
        guard digits.count % 4 != 1 else { return nil }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(digits.count / 4 * 3 + 2)
        var (pending, bits): (UInt32, Int) = (0, 0)
        var (isStandard, isURLSafe) = (false, false)
        for digit in digits {
            let value: UInt8
            switch digit {
            case UInt8(ascii: "A")...UInt8(ascii: "Z"): value = digit - UInt8(ascii: "A")
            case UInt8(ascii: "a")...UInt8(ascii: "z"): value = digit - UInt8(ascii: "a") + 26
            case UInt8(ascii: "0")...UInt8(ascii: "9"): value = digit - UInt8(ascii: "0") + 52
            case UInt8(ascii: "+"), UInt8(ascii: "/"):
                isStandard = true
                value = digit == UInt8(ascii: "+") ? 62 : 63
            case UInt8(ascii: "-"), UInt8(ascii: "_"):
                isURLSafe = true
                value = digit == UInt8(ascii: "-") ? 62 : 63
            default: return nil
            }
            pending = pending << 6 | UInt32(value)
            bits += 6
            if bits >= 8 {
                bits -= 8
                bytes.append(UInt8(truncatingIfNeeded: pending >> UInt32(bits)))
                pending &= 1 << UInt32(bits) - 1
            }
        }
        guard pending == 0, !(isStandard && isURLSafe), allowsURLSafe || !isURLSafe else { return nil }
        return bytes
    }
}
