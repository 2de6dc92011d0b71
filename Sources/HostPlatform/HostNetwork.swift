internal import CLinux
internal import FoundationEssentials
internal import Glibc
internal import Model
internal import Synchronization

/// The bridge of one root, and the cables from it into the instances' namespaces.
///
/// Instances reach each other and the host. They reach further only where the host forwards IPv4 already
/// (`net.ipv4.ip_forward` is 1): then their addresses are masqueraded by an nftables table of our own. Kiln never
/// changes a host's settings, and never touches a table that is not its own; a host whose FORWARD policy is DROP
/// keeps them in.
final class HostNetwork: Sendable {
    private struct State {
        var network: IPv4Network?
        var bridge: Int32 = 0
        var taken: Set<Int> = []
        var lastGiven = 1
        /// The firewall table as the kernel had it right after it was made; nil where none was made.
        var firewall: [UInt8]?
        /// Whether this host forwarded when the network was made.
        var forwarded = false
    }

    private struct Record: Codable { var subnet: String }

    private let root: HostRoot
    private let runner = ProcessRunner()
    private let state = Mutex(State())

    init(_ root: HostRoot) { self.root = root }

    /// Makes bridge, address and firewall table where they are missing. `inUse` are the numbers of the instances that
    /// exist; with none of them, a network that meanwhile overlaps with another one is exchanged.
    func ensure(inUse: Set<Int>) throws {
        let lock = try HostLock("/run")
        defer { lock.release() }
        let netlink = try Netlink()
        let bridge = try netlink.index(of: root.bridge)
        let others = try netlink.networksInUse().filter { $0.interface == nil || $0.interface != bridge }.map(
            \.network)
        let stored = Files.read(root.networkFile).flatMap {
            try? JSONDecoder().decode(Record.self, from: Data($0))
        }.flatMap { IPv4Network($0.subnet) }
        let network: IPv4Network
        if let stored, !inUse.isEmpty || !others.contains(where: stored.overlaps) {
            network = stored
        } else {
            if bridge != nil { try netlink.remove(root.bridge) }
            network = try HostNetwork.choose(seed: root.tag, avoiding: others)
            try Files.replace(
                root.networkFile, with: Array(JSONEncoder().encode(Record(subnet: network.description))),
                durably: true)
        }
        try netlink.addBridge(root.bridge, hardware: network.address(1).hardware)
        guard let index = try netlink.index(of: root.bridge) else {
            throw Failure(.internalError, "the bridge \(root.bridge) vanished")
        }
        try netlink.addAddress(network.address(1), prefix: network.prefix, to: index)
        state.withLock {
            $0.network = network
            $0.bridge = index
            // A launch may have taken a number that no record names yet.
            $0.taken.formUnion(inUse)
        }
        addFirewallTable(network)
    }

    /// One of the /22 networks in 10.128.0.0/9, begun at a place that the root's tag gives.
    static func choose(seed: String, avoiding others: [IPv4Network]) throws -> IPv4Network {
        let count = 1 << 13
        let start = seed.utf8.reduce(0) { ($0 * 33 + Int($1)) % count }
        for step in 0..<count {
            let base = IPv4(0x0a80_0000 + UInt32((start + step) % count) << 10)
            let network = IPv4Network(base, prefix: 22)
            if !others.contains(where: network.overlaps) { return network }
        }
        throw Failure(.conflict, "no free network in 10.128.0.0/9 for the instances")
    }

    /// Takes a number that no instance has. They go round, so that a fresh instance does not get the address of one
    /// that just left.
    func reserve() throws -> Int {
        try state.withLock { state in
            guard let network = state.network else {
                throw Failure(.internalError, "the network was used before it was made")
            }
            let numbers = network.instanceNumbers
            for step in 1...numbers.count {
                let number =
                    numbers.lowerBound + (state.lastGiven - numbers.lowerBound + step) % numbers.count
                if state.taken.insert(number).inserted {
                    state.lastGiven = number
                    return number
                }
            }
            throw Failure(
                .conflict, "all \(numbers.count) addresses of \(network) are in use",
                suggestion: "retire services or lower their replicas")
        }
    }

    func free(_ number: Int) { state.withLock { _ = $0.taken.remove(number) } }

    func address(_ number: Int) -> String {
        state.withLock { $0.network?.address(number).description ?? "" }
    }

    var gateway: String { address(1) }

    /// Makes a namespace with `lo` and `eth0` up and reachable. It has no name: it lives as long as the returned
    /// descriptor or a process inside, so that no crash can leave one behind.
    func connect(_ number: Int) throws -> Descriptor {
        let (network, bridge) = state.withLock { ($0.network, $0.bridge) }
        guard let network else { throw Failure(.internalError, "the network was used before it was made") }
        var namespaceNumber: Int32 = -1
        var socketNumber: Int32 = -1
        let code = kiln_network_namespace(&namespaceNumber, &socketNumber)
        guard code == 0 else { throw SystemFailure.failure(code, "cannot make a network namespace") }
        let namespace = Descriptor(namespaceNumber)
        let inside = Netlink(Descriptor(socketNumber))
        let here = try Netlink()
        let cable = root.cable(number)
        // A namespace that ended a moment ago may still hold the old cable of this number.
        try here.remove(cable)
        let address = network.address(number)
        try here.addCable(
            cable, on: bridge, peer: "eth0", hardware: address.hardware, in: namespace.number)
        guard let index = try inside.index(of: "eth0") else {
            throw Failure(.internalError, "the cable \(cable) has no other end")
        }
        try inside.raise("lo")
        try inside.addAddress(address, prefix: network.prefix, to: index)
        try inside.raise("eth0")
        try inside.addDefaultRoute(through: network.address(1))
        return namespace
    }

    func disconnect(_ number: Int) throws { try Netlink().remove(root.cable(number)) }

    /// Removes everything outside of the instances.
    func tearDown() throws {
        try Netlink().remove(root.bridge)
        state.withLock { $0.network = nil }
        guard HostNetwork.forwards, Tool.find("nft") != nil else { return }
        _ = try? runner.runNow(
            Command("nft", ["delete", "table", "ip", root.firewallTable]), limit: Limit.firewall)
    }

    private static var forwards: Bool { Files.text("/proc/sys/net/ipv4/ip_forward")?.hasPrefix("1") ?? false }

    /// What nft is told; making the table anew is one transaction.
    static func firewallScript(table: String, bridge: String, network: IPv4Network) -> String {
        """
        add table ip \(table)
        delete table ip \(table)
        table ip \(table) {
            chain postrouting {
                type nat hook postrouting priority 100; policy accept;
                ip saddr \(network) oifname != "\(bridge)" masquerade
            }
        }

        """
    }

    private func addFirewallTable(_ network: IPv4Network) {
        guard HostNetwork.forwards, Tool.find("nft") != nil else { return }
        let script = HostNetwork.firewallScript(
            table: root.firewallTable, bridge: root.bridge, network: network)
        // Without it instances serve as well; they only cannot call out.
        let result = try? runner.runNow(Command("nft", ["-f", "-"]), input: script, limit: Limit.firewall)
        guard result?.status == 0 else { return }
        let made = try? NetworkScan().firewall(root.firewallTable)
        state.withLock {
            $0.firewall = made
            $0.forwarded = true
        }
    }

    // MARK: Drift

    /// What differs of that which instances depend on: bridge, address, firewall table, forwarding.
    func drifts() throws -> [Drift] {
        let (network, firewall, forwarded) = state.withLock { ($0.network, $0.firewall, $0.forwarded) }
        guard let network else { return [] }
        func drift(_ subject: String, _ message: String) -> Drift {
            .cut(.host, subject, message, source: .poll)
        }
        var found: [Drift] = []
        let scan = NetworkScan()
        let address = "\(network.address(1))/\(network.prefix)"
        if let index = try Netlink().index(of: root.bridge) {
            let view = try scan.interfaces()
            if view.downLinks.contains(index) {
                found.append(drift("bridge \(root.bridge)", "the instances' bridge is down"))
            }
            if !view.addresses.contains("\(address) of \(index)") {
                found.append(drift("address \(address)", "the bridge \(root.bridge) lost its address"))
            }
        } else {
            found.append(drift("bridge \(root.bridge)", "the instances' bridge is gone"))
        }
        if let firewall, try scan.firewall(root.firewallTable) != firewall {
            found.append(drift("firewall \(root.firewallTable)", "the instances' firewall table was changed"))
        }
        if forwarded, !HostNetwork.forwards {
            found.append(
                .cut(
                    .host, Drift.forwarding, "this host no longer forwards what instances send",
                    expected: "1",
                    found: "0", source: .poll))
        }
        return found
    }

    /// Makes bridge, address, firewall table and cables again where they are missing.
    func repair(inUse: Set<Int>) throws {
        try ensure(inUse: inUse)
        let netlink = try Netlink()
        let bridge = state.withLock { $0.bridge }
        for number in inUse { try netlink.attach(root.cable(number), to: bridge) }
    }
}

/// A lock among all processes of this host, on a folder that exists anyway.
struct HostLock {
    private let file: Descriptor

    init(_ path: String) throws {
        file = Descriptor(open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC))
        guard file.number >= 0, flock(file.number, LOCK_EX) == 0 else {
            throw SystemFailure.failure(errno, "cannot lock", at: path)
        }
    }

    func release() { _ = flock(file.number, LOCK_UN) }
}
