internal import CLinux
internal import Glibc
internal import Model

/// Links, addresses and routes of one network namespace, over its own rtnetlink socket. Every act may be repeated.
struct Netlink: Sendable {
    private let socket: Descriptor

    /// In this process's own namespace.
    init() throws {
        let number = kiln_netlink_socket()
        guard number >= 0 else { throw SystemFailure.failure(-number, "cannot open a netlink socket") }
        self.init(Descriptor(number))
    }

    /// With a socket that was opened in another namespace and works there.
    init(_ socket: Descriptor) { self.socket = socket }

    // MARK: Acts

    /// Makes a bridge and raises it.
    /// With a hardware address of its own: a bridge without one changes its address as cables come and go, and what
    /// instances answer goes astray until they notice.
    func addBridge(_ name: String, hardware: [UInt8]) throws {
        var message = NetlinkMessage(
            NetlinkType.newLink, flags: NetlinkFlag.create | NetlinkFlag.exclusive,
            body: NetlinkMessage.link(flags: Netlink.up, change: Netlink.up))
        message.attribute(NetlinkType.linkName, name)
        message.attribute(NetlinkType.linkAddress, hardware)
        message.nested(NetlinkType.linkInfo) { $0.attribute(NetlinkType.infoKind, "bridge") }
        try act(message, "make the bridge \(name)", fine: [EEXIST])
        try raise(name)
    }

    /// Makes a pair of linked interfaces: `name` on the bridge here, `peer` in another namespace.
    func addCable(
        _ name: String, on bridge: Int32, peer: String, hardware: [UInt8], in namespace: Int32
    ) throws {
        var message = NetlinkMessage(
            NetlinkType.newLink, flags: NetlinkFlag.create | NetlinkFlag.exclusive,
            body: NetlinkMessage.link(flags: Netlink.up, change: Netlink.up))
        message.attribute(NetlinkType.linkName, name)
        message.attribute(NetlinkType.linkMaster, UInt32(bridge))
        message.nested(NetlinkType.linkInfo) { info in
            info.attribute(NetlinkType.infoKind, "veth")
            info.nested(NetlinkType.infoData) { data in
                data.nested(NetlinkType.cablePeer) { end in
                    end.append(raw: NetlinkMessage.link())
                    end.attribute(NetlinkType.linkName, peer)
                    end.attribute(NetlinkType.linkAddress, hardware)
                    end.attribute(NetlinkType.linkNamespace, UInt32(namespace))
                }
            }
        }
        try act(message, "make the cable \(name)")
    }

    func raise(_ name: String) throws {
        var message = NetlinkMessage(
            NetlinkType.newLink, flags: 0, body: NetlinkMessage.link(flags: Netlink.up, change: Netlink.up))
        message.attribute(NetlinkType.linkName, name)
        try act(message, "raise \(name)")
    }

    /// Puts an interface on a bridge. One that is on it already stays.
    func attach(_ name: String, to bridge: Int32) throws {
        var message = NetlinkMessage(NetlinkType.newLink, flags: 0, body: NetlinkMessage.link())
        message.attribute(NetlinkType.linkName, name)
        message.attribute(NetlinkType.linkMaster, UInt32(bridge))
        try act(message, "put \(name) on the bridge", fine: [ENODEV])
    }

    /// Removes an interface; one that does not exist is already removed.
    func remove(_ name: String) throws {
        var message = NetlinkMessage(NetlinkType.deleteLink, flags: 0, body: NetlinkMessage.link())
        message.attribute(NetlinkType.linkName, name)
        try act(message, "remove \(name)", fine: [ENODEV])
    }

    func addAddress(_ address: IPv4, prefix: Int, to index: Int32) throws {
        var message = NetlinkMessage(
            NetlinkType.newAddress, flags: NetlinkFlag.create | NetlinkFlag.exclusive,
            body: NetlinkMessage.address(prefix: UInt8(prefix), index: index))
        message.attribute(NetlinkType.addressLocal, address.bytes)
        message.attribute(NetlinkType.address, address.bytes)
        try act(message, "give the address \(address)", fine: [EEXIST])
    }

    func addDefaultRoute(through gateway: IPv4) throws {
        var message = NetlinkMessage(
            NetlinkType.newRoute, flags: NetlinkFlag.create | NetlinkFlag.exclusive,
            body: NetlinkMessage.route(prefix: 0))
        message.attribute(NetlinkType.routeGateway, gateway.bytes)
        try act(message, "set the route through \(gateway)", fine: [EEXIST])
    }

    // MARK: Looks

    /// The number of an interface, or nil where there is none.
    func index(of name: String) throws -> Int32? {
        var message = NetlinkMessage(NetlinkType.getLink, flags: 0, body: NetlinkMessage.link())
        message.attribute(NetlinkType.linkName, name)
        let replies: [Reply]
        do { replies = try exchange(message) } catch let error as Errno {
            if error.code == ENODEV { return nil }
            throw SystemFailure.failure(error.code, "cannot look up the interface \(name)")
        }
        return replies.first { $0.type == NetlinkType.newLink }.map { $0.number(at: 4) }
    }

    /// IPv4 networks that this host has a route or an address in, with the interface of the addresses.
    func networksInUse() throws -> [(network: IPv4Network, interface: Int32?)] {
        var found: [(IPv4Network, Int32?)] = []
        do {
            let routes = NetlinkMessage(
                NetlinkType.getRoute, flags: NetlinkFlag.dump, body: [2] + [UInt8](repeating: 0, count: 11))
            for reply in try exchange(routes, isDump: true)
            where reply.type == NetlinkType.newRoute && reply.body.count >= 12 {
                let prefix = Int(reply.body[1])
                let attributes = reply.attributes(from: 12)
                guard prefix > 0, let destination = attributes[NetlinkType.routeDestination],
                    let address = IPv4(destination)
                else { continue }
                // RTA_OIF, so that the caller can leave its own bridge aside.
                let interface = attributes[4].map { Reply.number($0, at: 0) }
                found.append((IPv4Network(address, prefix: prefix), interface))
            }
            let addresses = NetlinkMessage(
                NetlinkType.getAddress, flags: NetlinkFlag.dump, body: [2] + [UInt8](repeating: 0, count: 7))
            for reply in try exchange(addresses, isDump: true)
            where reply.type == NetlinkType.newAddress && reply.body.count >= 8 {
                guard let bytes = reply.attributes(from: 8)[NetlinkType.addressLocal],
                    let address = IPv4(bytes)
                else { continue }
                found.append((IPv4Network(address, prefix: Int(reply.body[1])), reply.number(at: 4)))
            }
        } catch let error as Errno {
            throw SystemFailure.failure(error.code, "cannot list the networks of this host")
        }
        return found
    }

    // MARK: The wire

    private static let up: UInt32 = 1
    /// A dump of routes has many parts; a part is at most 32 KiB.
    private static let partsAtMost = 4096

    struct Errno: Error { let code: Int32 }

    private func act(_ message: NetlinkMessage, _ what: String, fine: [Int32] = []) throws {
        do { _ = try exchange(message) } catch let error as Errno {
            if fine.contains(error.code) { return }
            throw SystemFailure.failure(error.code, "cannot \(what)")
        }
    }

    struct Reply {
        var type: UInt16
        var body: ArraySlice<UInt8>

        init(type: UInt16, body: ArraySlice<UInt8>) {
            self.type = type
            self.body = ArraySlice(Array(body))
        }

        static func number(_ bytes: [UInt8], at offset: Int) -> Int32 {
            guard bytes.count >= offset + 4 else { return 0 }
            return bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: offset, as: Int32.self) }
        }

        func number(at offset: Int) -> Int32 { Reply.number(Array(body), at: offset) }

        func attributes(from start: Int) -> [UInt16: [UInt8]] {
            var found: [UInt16: [UInt8]] = [:]
            let bytes = Array(body)
            var offset = start
            while offset + 4 <= bytes.count {
                let length = Int(bytes[offset]) | Int(bytes[offset + 1]) << 8
                let type = UInt16(bytes[offset + 2]) | UInt16(bytes[offset + 3]) << 8
                guard length >= 4, offset + length <= bytes.count else { break }
                found[type] = Array(bytes[(offset + 4)..<(offset + length)])
                offset += (length + 3) & ~3
            }
            return found
        }
    }

    /// Sends one request and reads up to its acknowledgement or the end of its dump.
    func exchange(_ message: NetlinkMessage, isDump: Bool = false) throws -> [Reply] {
        var request = message.finished
        if !isDump { request[6] |= UInt8(NetlinkFlag.acknowledge) }
        guard send(socket.number, request, request.count, 0) == request.count else {
            throw Errno(code: errno)
        }
        var replies: [Reply] = []
        for _ in 0..<Netlink.partsAtMost {
            var count = 0
            let buffer = [UInt8](unsafeUninitializedCapacity: 32_768) { buffer, initialized in
                count = recv(socket.number, buffer.baseAddress, buffer.count, 0)
                initialized = max(0, count)
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw Errno(code: errno) }
            var offset = 0
            while offset + 16 <= count {
                let length = Int(Reply.number(Array(buffer[offset..<(offset + 4)]), at: 0))
                guard length >= 16, offset + length <= count else { break }
                let type = UInt16(buffer[offset + 4]) | UInt16(buffer[offset + 5]) << 8
                let body = buffer[(offset + 16)..<(offset + length)]
                switch type {
                case 2:
                    // NLMSG_ERROR; 0 is the acknowledgement.
                    let code = -Reply.number(Array(body), at: 0)
                    if code != 0 { throw Errno(code: code) }
                    return replies
                case 3: return replies
                default: replies.append(Reply(type: type, body: body))
                }
                offset += (length + 3) & ~3
            }
        }
        throw Errno(code: EMSGSIZE)
    }
}
