/// An IPv4 address as a number.
struct IPv4: Hashable, Sendable, CustomStringConvertible {
    var value: UInt32

    init(_ value: UInt32) { self.value = value }

    /// Four bytes in network order.
    init?(_ bytes: [UInt8]) {
        guard bytes.count == 4 else { return nil }
        value = bytes.reduce(0) { $0 << 8 | UInt32($1) }
    }

    init?(_ text: String) {
        let fields = text.split(separator: ".").compactMap { UInt8($0) }
        self.init(fields)
    }

    /// A locally administered hardware address, the same for the same IPv4 address: whoever still knows the last holder's
    /// reaches the next one. Otherwise a packet to an address that is used again may go astray for half a minute.
    var hardware: [UInt8] { [0x02, 0x4b] + bytes }

    var bytes: [UInt8] { [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: value >> $0) } }
    var description: String { bytes.map(String.init).joined(separator: ".") }
}

/// A range of addresses, `10.130.4.0/22`.
struct IPv4Network: Hashable, Sendable, CustomStringConvertible {
    let first: IPv4
    let prefix: Int

    init(_ address: IPv4, prefix: Int) {
        self.prefix = prefix
        first = IPv4(prefix == 0 ? 0 : address.value & ~UInt32(0) << UInt32(32 - prefix))
    }

    init?(_ text: String) {
        let parts = text.split(separator: "/")
        guard parts.count == 2, let address = IPv4(String(parts[0])), let prefix = Int(parts[1]),
            (0...32).contains(prefix)
        else { return nil }
        self.init(address, prefix: prefix)
    }

    var description: String { "\(first)/\(prefix)" }

    func overlaps(_ other: IPv4Network) -> Bool {
        let shorter = min(prefix, other.prefix)
        return IPv4Network(first, prefix: shorter) == IPv4Network(other.first, prefix: shorter)
    }

    func address(_ number: Int) -> IPv4 { IPv4(first.value + UInt32(number)) }

    /// Numbers that instances can have: 1 is the bridge, the last one is broadcast.
    var instanceNumbers: Range<Int> { 2..<((1 << (32 - prefix)) - 1) }
}
