/// A package's version, ordered as deb-version(7) says: `[epoch:]upstream[-revision]`, with `~` before everything.
package struct DebianVersion: Sendable, Comparable, CustomStringConvertible {
    package let text: String

    package init(_ text: String) { self.text = text }

    package var description: String { text }

    package static func == (left: DebianVersion, right: DebianVersion) -> Bool { left.order(right) == 0 }
    package static func < (left: DebianVersion, right: DebianVersion) -> Bool { left.order(right) < 0 }

    private var parts: (epoch: ArraySlice<UInt8>, upstream: ArraySlice<UInt8>, revision: ArraySlice<UInt8>) {
        var rest = Array(text.utf8)[...]
        var epoch: ArraySlice<UInt8> = []
        if let colon = rest.firstIndex(of: UInt8(ascii: ":")) {
            epoch = rest[..<colon]
            rest = rest[(colon + 1)...]
        }
        guard let dash = rest.lastIndex(of: UInt8(ascii: "-")) else { return (epoch, rest, []) }
        return (epoch, rest[..<dash], rest[(dash + 1)...])
    }

    /// Below 0 where this is the older one.
    private func order(_ other: DebianVersion) -> Int {
        let (left, right) = (parts, other.parts)
        for (one, two) in [
            (left.epoch, right.epoch), (left.upstream, right.upstream), (left.revision, right.revision),
        ] {
            let order = DebianVersion.order(one, two)
            if order != 0 { return order }
        }
        return 0
    }

    /// Text and numbers in turns; the end comes before letters, letters before other signs, and `~` before the end.
    private static func order(_ left: ArraySlice<UInt8>, _ right: ArraySlice<UInt8>) -> Int {
        var (left, right) = (left, right)
        while !left.isEmpty || !right.isEmpty {
            while left.first.map(isDigit) == false || right.first.map(isDigit) == false {
                let difference = weight(left.first) - weight(right.first)
                if difference != 0 { return difference }
                left = left.dropFirst()
                right = right.dropFirst()
            }
            let (one, two) = (number(&left), number(&right))
            if one.count != two.count { return one.count - two.count }
            for (first, second) in zip(one, two) where first != second { return Int(first) - Int(second) }
        }
        return 0
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }

    private static func weight(_ byte: UInt8?) -> Int {
        switch byte {
        case nil: 0
        case UInt8(ascii: "~"): -1
        case let byte? where isDigit(byte): 0
        case let byte? where (0x41...0x5a).contains(byte) || (0x61...0x7a).contains(byte): Int(byte)
        case let byte?: Int(byte) + 256
        }
    }

    /// The digits at the front, without zeros before them: of any length.
    private static func number(_ bytes: inout ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        let digits = bytes.prefix(while: isDigit)
        bytes = bytes.dropFirst(digits.count)
        return digits.drop { $0 == UInt8(ascii: "0") }
    }
}
