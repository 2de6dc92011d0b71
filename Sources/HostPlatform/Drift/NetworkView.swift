internal import CLinux
internal import Glibc
internal import Model

/// What an instance's network namespace holds, in the form in which two looks can be compared.
///
/// Compared are: interfaces that were there at launch, and new ones that are up (the kernel itself adds tunnels that
/// are down, when somebody loads their module); IPv4 addresses, and permanent IPv6 ones that are not link-local (others
/// come from routers); IPv4 routes, and IPv6 ones that a program made; the rules by which tables are chosen; the
/// generation of the firewall's rules.
struct NetworkView: Hashable, Sendable, Codable {
    /// By their numbers.
    var links: [Int32: String] = [:]
    var downLinks: Set<Int32> = []
    var addresses: Set<String> = []
    var routes: Set<String> = []
    var rules: Set<String> = []
    /// nil where the kernel has no nftables yet.
    var generation: UInt32?

    init() {}

    /// From the replies of the kernel.
    init(_ tables: [[UInt8]], generation: UInt32?) {
        for reply in tables { NetworkScan.add(reply, to: &self) }
        self.generation = generation
    }

    func differences(from launch: NetworkView) -> [ProcessConfinement.Difference] {
        if self == launch { return [] }
        var found: [ProcessConfinement.Difference] = []
        for number in Set(links.keys).union(launch.links.keys).sorted() {
            let (now, then) = (links[number], launch.links[number])
            if now == then || (then == nil && downLinks.contains(number)) { continue }
            let name = (then ?? now ?? "").prefix { $0 != " " }
            found.append(
                ProcessConfinement.Difference(
                    subject: "interface \(name)", expected: then ?? "none", found: now ?? "none"))
        }
        found += NetworkView.differences("address", addresses, launch.addresses)
        found += NetworkView.differences("route", routes, launch.routes)
        found += NetworkView.differences("rule", rules, launch.rules)
        // A kernel that loads nftables begins to count then.
        if let generation, let then = launch.generation, generation != then {
            found.append(
                ProcessConfinement.Difference(
                    subject: "firewall", expected: "generation \(then)", found: "generation \(generation)"))
        }
        return found
    }

    private static func differences(
        _ what: String, _ now: Set<String>, _ then: Set<String>
    ) -> [ProcessConfinement.Difference] {
        if now == then { return [] }
        return now.subtracting(then).sorted().map {
            ProcessConfinement.Difference(subject: "\(what) \($0)", expected: "none", found: $0)
        }
            + then.subtracting(now).sorted().map {
                ProcessConfinement.Difference(subject: "\(what) \($0)", expected: $0, found: "none")
            }
    }
}

/// Looks into a network namespace over sockets that work there.
struct NetworkScan {
    private let sockets: @Sendable (_ protocolNumber: Int32) throws -> Descriptor

    /// In the namespace that `namespace` is open on. The calling thread goes there and back for each socket, so it has
    /// to be one of our own.
    init(namespace: Descriptor, home: Descriptor) {
        sockets = { number in
            let file = kiln_socket_in(namespace.number, home.number, number)
            guard file >= 0 else {
                throw SystemFailure.failure(-file, "cannot look into a network namespace")
            }
            return Descriptor(file)
        }
    }

    /// Where we are ourselves.
    init() {
        sockets = { number in
            let file = Descriptor(
                socket(AF_NETLINK, Int32(SOCK_RAW.rawValue) | Int32(SOCK_CLOEXEC.rawValue), number))
            guard file.number >= 0 else { throw SystemFailure.failure(errno, "cannot open a netlink socket") }
            return file
        }
    }

    private enum Number {
        static let route: Int32 = 0
        static let socketDiagnosis: Int32 = 4
        static let netfilter: Int32 = 12
        static let getRule: UInt16 = 34
        static let newRule: UInt16 = 32
        /// IFLA_EXT_MASK and RTEXT_FILTER_SKIP_STATS: counters change all the time.
        static let extendedMask: UInt16 = 29
        static let skipStatistics: UInt32 = 8
        static let up: UInt32 = 1
        static let cloned: UInt32 = 0x200
        static let permanent: UInt8 = 0x80
        static let linkScope: UInt8 = 253
        /// NFT_MSG_GETGEN in the subsystem nftables.
        static let getGeneration: UInt16 = 10 << 8 | 16
        static let generationID: UInt16 = 1
        /// NFT_MSG_GETTABLE, GETCHAIN, GETRULE, and the attribute that names the table in all of them.
        static let getFirewall: [UInt16] = [10 << 8 | 1, 10 << 8 | 4, 10 << 8 | 7]
        static let tableName: UInt16 = 1
        static let byFamily: UInt16 = 20
        static let listening: UInt32 = 1 << 10
    }

    func view() throws -> NetworkView {
        let (tables, generation) = try tables()
        return NetworkView(tables, generation: generation)
    }

    /// Interfaces and addresses alone. A host may have a million routes, and to list them takes seconds.
    func interfaces() throws -> NetworkView {
        NetworkView(try list([NetworkScan.links, NetworkScan.addresses]), generation: nil)
    }

    /// Every reply of the kernel about interfaces, addresses, routes and rules, as it came, with the message's type in
    /// front; and the generation of the firewall, which is among them too. Two looks at an idle network give the same.
    func tables() throws -> ([[UInt8]], generation: UInt32?) {
        var replies = try list([
            NetworkScan.links, NetworkScan.addresses, NetworkScan.dump(NetlinkType.getRoute, 12),
            NetworkScan.dump(Number.getRule, 12),
        ])
        let generation = try generation()
        replies.append(NetlinkMessage.raw(generation ?? 0))
        return (replies, generation)
    }

    private static var links: NetlinkMessage {
        var links = NetlinkMessage(
            NetlinkType.getLink, flags: NetlinkFlag.dump, body: NetlinkMessage.link())
        links.attribute(Number.extendedMask, Number.skipStatistics)
        return links
    }

    private static var addresses: NetlinkMessage { dump(NetlinkType.getAddress, 8) }

    private static func dump(_ type: UInt16, _ bytes: Int) -> NetlinkMessage {
        NetlinkMessage(type, flags: NetlinkFlag.dump, body: [UInt8](repeating: 0, count: bytes))
    }

    private func list(_ requests: [NetlinkMessage]) throws -> [[UInt8]] {
        let netlink = Netlink(try sockets(Number.route))
        do {
            return try requests.flatMap { request in
                try netlink.exchange(request, isDump: true).filter { !NetworkScan.isLearned($0) }.map {
                    NetlinkMessage.raw($0.type) + $0.body
                }
            }
        } catch let error as Netlink.Errno {
            throw SystemFailure.failure(error.code, "cannot list a network")
        }
    }

    /// How often the firewall of this namespace was changed; nil where the kernel has no nftables.
    func generation() throws -> UInt32? {
        let netlink = Netlink(try sockets(Number.netfilter))
        let request = NetlinkMessage(Number.getGeneration, flags: 0, body: [0, 0, 0, 0])
        guard let reply = (try? netlink.exchange(request))?.first, reply.body.count >= 4,
            let bytes = reply.attributes(from: 4)[Number.generationID], bytes.count == 4
        else { return nil }
        return bytes.reduce(0) { $0 << 8 | UInt32($1) }
    }

    /// All that the kernel says of a firewall table of the family ip, its chains and its rules; nil where it has none.
    func firewall(_ table: String) throws -> [UInt8]? {
        let netlink = Netlink(try sockets(Number.netfilter))
        let name = Array(table.utf8) + [0]
        var all: [UInt8] = []
        for what in Number.getFirewall {
            let request = NetlinkMessage(what, flags: NetlinkFlag.dump, body: [UInt8(AF_INET), 0, 0, 0])
            for reply in (try? netlink.exchange(request, isDump: true)) ?? []
            where reply.attributes(from: 4)[Number.tableName] == name {
                // What comes before the attributes counts the changes of all tables.
                all += reply.body.dropFirst(4)
            }
        }
        return all.isEmpty ? nil : all
    }

    /// Listening TCP sockets: their inodes and ports.
    func listeners() throws -> [UInt32: Int] {
        let netlink = Netlink(try sockets(Number.socketDiagnosis))
        var found: [UInt32: Int] = [:]
        for family in [UInt8(AF_INET), UInt8(AF_INET6)] {
            // struct inet_diag_req_v2: family, protocol, two bytes, states, and a socket's name that stays empty.
            let body =
                [family, UInt8(IPPROTO_TCP), 0, 0] + NetlinkMessage.raw(Number.listening)
                + [UInt8](repeating: 0, count: 48)
            let request = NetlinkMessage(Number.byFamily, flags: NetlinkFlag.dump, body: body)
            for reply in (try? netlink.exchange(request, isDump: true)) ?? []
            where reply.type == Number.byFamily && reply.body.count >= 72 {
                let bytes = Array(reply.body)
                found[UInt32(bitPattern: reply.number(at: 68))] = Int(bytes[4]) << 8 | Int(bytes[5])
            }
        }
        return found
    }

    // MARK: Replies

    fileprivate static func add(_ bytes: [UInt8], to view: inout NetworkView) {
        guard bytes.count > 2 else { return }
        let reply = Netlink.Reply(type: UInt16(bytes[0]) | UInt16(bytes[1]) << 8, body: bytes[2...])
        switch reply.type {
        case NetlinkType.newLink where reply.body.count >= 16: add(link: reply, to: &view)
        case NetlinkType.newAddress where reply.body.count >= 8: add(address: reply, to: &view)
        case NetlinkType.newRoute where reply.body.count >= 12: add(route: reply, to: &view)
        case Number.newRule where reply.body.count >= 12:
            let attributes = reply.attributes(from: 12).sorted { $0.key < $1.key }
            view.rules.insert(
                hexadecimal(Array(reply.body.prefix(8))) + " "
                    + attributes.map { "\($0.key):\(hexadecimal($0.value))" }.joined(separator: " "))
        default: break
        }
    }

    private static func add(link reply: Netlink.Reply, to view: inout NetworkView) {
        let attributes = reply.attributes(from: 16)
        let number = reply.number(at: 4)
        let isUp = UInt32(bitPattern: reply.number(at: 8)) & Number.up != 0
        let name =
            attributes[NetlinkType.linkName].map { String(decoding: $0.dropLast(), as: UTF8.self) } ?? "?"
        let hardware = attributes[NetlinkType.linkAddress].map(hexadecimal) ?? ""
        // IFLA_MTU
        let size = attributes[4].map { Netlink.Reply.number($0, at: 0) } ?? 0
        view.links[number] = "\(name) \(isUp ? "up" : "down") \(hardware) mtu \(size)"
        if !isUp { view.downLinks.insert(number) }
    }

    private static func add(address reply: Netlink.Reply, to view: inout NetworkView) {
        let header = Array(reply.body.prefix(8))
        let attributes = reply.attributes(from: 8)
        guard let bytes = attributes[NetlinkType.addressLocal] ?? attributes[NetlinkType.address] else {
            return
        }
        let (family, prefix, flags, scope) = (header[0], header[1], header[2], header[3])
        if family != UInt8(AF_INET), scope == Number.linkScope || flags & Number.permanent == 0 { return }
        view.addresses.insert("\(text(bytes))/\(prefix) of \(reply.number(at: 4))")
    }

    private static func add(route reply: Netlink.Reply, to view: inout NetworkView) {
        let header = Array(reply.body.prefix(8))
        let (family, prefix, maker) = (header[0], header[1], header[5])
        if isLearned(reply) { return }
        let attributes = reply.attributes(from: 12)
        // RTPROT_BOOT and above are programs; 9 is a router's announcement.
        if family != UInt8(AF_INET), maker < 3 || maker == 9 { return }
        let destination = attributes[NetlinkType.routeDestination].map(text) ?? "default"
        // RTA_OIF, RTA_PRIORITY, RTA_TABLE
        let rest = [4, 6, 15].map { key in attributes[key].map { "\(Netlink.Reply.number($0, at: 0))" } ?? "-"
        }
        let gateway = attributes[NetlinkType.routeGateway].map { " through \(text($0))" } ?? ""
        view.routes.insert(
            "\(destination)/\(prefix)\(gateway) of \(rest[0]) metric \(rest[1]) table \(rest[2]) "
                + "type \(header[7]) by \(maker)")
    }

    /// Whether it is no route that anybody set, but what the kernel learned of one destination, such as its path's MTU. A
    /// dump has those as well (RTM_F_CLONED in the flags of struct rtmsg).
    private static func isLearned(_ reply: Netlink.Reply) -> Bool {
        guard reply.type == NetlinkType.newRoute, reply.body.count >= 12 else { return false }
        return UInt32(bitPattern: reply.number(at: 8)) & Number.cloned != 0
    }

    private static func text(_ bytes: [UInt8]) -> String { IPv4(bytes)?.description ?? hexadecimal(bytes) }

    private static func hexadecimal(_ bytes: [UInt8]) -> String {
        let digits = Array("0123456789abcdef".utf8)
        return String(
            decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }
}
