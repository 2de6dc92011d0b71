/// One rtnetlink request being put together (man 7 netlink, man 7 rtnetlink). All numbers are in host byte order.
struct NetlinkMessage {
    private(set) var bytes: [UInt8]

    /// Begins with the header and the fixed part that belongs to the type.
    init(_ type: UInt16, flags: UInt16, body: [UInt8]) {
        bytes = []
        append(UInt32(0))
        append(type)
        append(flags | NetlinkFlag.request)
        append(UInt32(1))
        append(UInt32(0))
        bytes += body
    }

    /// struct ifinfomsg
    static func link(index: Int32 = 0, flags: UInt32 = 0, change: UInt32 = 0) -> [UInt8] {
        var body: [UInt8] = [0, 0, 0, 0]
        body += raw(index) + raw(flags) + raw(change)
        return body
    }

    /// struct ifaddrmsg for an IPv4 address
    static func address(prefix: UInt8, index: Int32) -> [UInt8] { [2, prefix, 0, 0] + raw(UInt32(index)) }

    /// struct rtmsg for an IPv4 unicast route made by a program, in the main table
    static func route(prefix: UInt8) -> [UInt8] { [2, prefix, 0, 0, 254, 3, 0, 1] + raw(UInt32(0)) }

    mutating func attribute(_ type: UInt16, _ value: [UInt8]) {
        append(UInt16(4 + value.count))
        append(type)
        bytes += value
        bytes += [UInt8](repeating: 0, count: (4 - bytes.count % 4) % 4)
    }

    mutating func attribute(_ type: UInt16, _ text: String) { attribute(type, Array(text.utf8) + [0]) }
    mutating func attribute(_ type: UInt16, _ value: UInt32) { attribute(type, NetlinkMessage.raw(value)) }

    /// An attribute made of others.
    mutating func nested(_ type: UInt16, _ fill: (inout NetlinkMessage) -> Void) {
        let start = bytes.count
        append(UInt16(0))
        append(type)
        fill(&self)
        let length = UInt16(bytes.count - start)
        withUnsafeBytes(of: length) { bytes.replaceSubrange(start..<(start + 2), with: $0) }
    }

    /// Fixed bytes inside a nested attribute.
    mutating func append(raw value: [UInt8]) { bytes += value }

    /// The message with its length filled in.
    var finished: [UInt8] {
        var copy = bytes
        withUnsafeBytes(of: UInt32(bytes.count)) { copy.replaceSubrange(0..<4, with: $0) }
        return copy
    }

    private mutating func append(_ value: some FixedWidthInteger) { bytes += NetlinkMessage.raw(value) }

    static func raw(_ value: some FixedWidthInteger) -> [UInt8] { withUnsafeBytes(of: value) { Array($0) } }
}

/// Flags of a request (linux/netlink.h).
enum NetlinkFlag {
    static let request: UInt16 = 1
    static let acknowledge: UInt16 = 4
    static let dump: UInt16 = 0x300
    static let exclusive: UInt16 = 0x200
    static let create: UInt16 = 0x400
}

/// Types of messages and attributes (linux/rtnetlink.h, if_link.h, if_addr.h, veth.h).
enum NetlinkType {
    static let newLink: UInt16 = 16
    static let deleteLink: UInt16 = 17
    static let getLink: UInt16 = 18
    static let newAddress: UInt16 = 20
    static let getAddress: UInt16 = 22
    static let newRoute: UInt16 = 24
    static let getRoute: UInt16 = 26

    static let linkAddress: UInt16 = 1
    static let linkName: UInt16 = 3
    static let linkMaster: UInt16 = 10
    static let linkInfo: UInt16 = 18
    static let linkNamespace: UInt16 = 28
    static let infoKind: UInt16 = 1
    static let infoData: UInt16 = 2
    static let cablePeer: UInt16 = 1

    static let address: UInt16 = 1
    static let addressLocal: UInt16 = 2

    static let routeDestination: UInt16 = 1
    static let routeGateway: UInt16 = 5
}
