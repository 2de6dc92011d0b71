internal import CLinux
internal import Glibc
internal import Model

/// One look at the instances, on the sentinel's thread: reads of /proc, of control groups and over netlink.
struct InstanceLook {
    private let sentinel: Sentinel
    /// Our own network, to come back to.
    private let home = Descriptor(open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC))
    private let prefix: [UInt8]

    init(_ sentinel: Sentinel) {
        self.sentinel = sentinel
        prefix = Array("/\(sentinel.root.cgroup)/".utf8)
    }

    // MARK: Settling

    /// Takes the baselines that are missing. Milliseconds until it should be called again, nil where all have one.
    func settle() -> Int? {
        var pause: Int?
        for watched in sentinel.unsettled {
            let age = Monotonic.now - watched.since
            if age < Sentinel.Limit.rest {
                pause = min(pause ?? .max, Sentinel.Limit.rest - age)
                continue
            }
            guard let view = ProcessView(watched.process.pid), view.startTime == watched.process.startTime,
                !view.hasEnded
            else { continue }
            let device = InstanceLook.device(at: "/proc/\(view.pid)/root")
            // The runtime's own program becomes the image's a moment after the launch.
            guard let device, view.program?.device == device || age > Sentinel.Limit.settling else {
                pause = min(pause ?? .max, Sentinel.Limit.settlingPause)
                continue
            }
            take(watched, view, device: device)
        }
        return pause
    }

    private func take(_ watched: Sentinel.Watched, _ view: ProcessView, device: UInt64) {
        let folder = sentinel.root.instance(watched.id)
        guard let network = try? networkScan(view.pid)?.view(),
            var baseline = InstanceBaseline(
                of: watched.process, view: view, device: device,
                groups: sentinel.groups.folders(of: "\(sentinel.root.cgroup)/\(watched.id)"),
                network: network,
                bundle: folder.bundle)
        else { return }
        widen(&baseline.confinement, by: watched)
        sentinel.book.write(in: watched.id) { try baseline.write(to: $0) }
        sentinel.settled(watched.id, watched.process, baseline)
    }

    /// A first process may have given up rights already that a helper of its own keeps. Who descends from it got no more
    /// than the launch gave.
    private func widen(_ confinement: inout ProcessConfinement, by watched: Sentinel.Watched) {
        let lineage = Lineage(first: watched.process, namespaces: confinement.namespaces, mark: nil)
        for pid in sentinel.groups.processes(in: "\(sentinel.root.cgroup)/\(watched.id)") {
            guard pid != watched.process.pid, let view = ProcessView(pid),
                lineage.answer(for: view) == .member,
                let other = ProcessConfinement(of: view)
            else { continue }
            confinement.widen(by: other)
        }
    }

    private static func device(at path: String) -> UInt64? {
        var info = stat()
        return stat(path, &info) == 0 ? UInt64(info.st_dev) : nil
    }

    private func networkScan(_ pid: Int32) -> NetworkScan? {
        let namespace = Descriptor(open("/proc/\(pid)/ns/net", O_RDONLY | O_CLOEXEC))
        return namespace.number >= 0 && home.number >= 0 ? NetworkScan(namespace: namespace, home: home) : nil
    }

    // MARK: Everything

    func atEverything(round: Int) {
        let crowd = sentinel.crowd
        let (all, places) = (crowd.all, crowd.places)
        guard !all.isEmpty else { return }
        var members = [[Int32]](repeating: [], count: all.count)
        for pid in ProcessFile.numbers() {
            guard let view = ProcessView(pid), !view.isKernel, !view.hasEnded else { continue }
            guard
                let place = places.instance(of: view)
                    ?? group(of: pid).flatMap({ places.instance(named: $0) })
            else {
                continue
            }
            members[place].append(pid)
            judge(view, crowd, at: place, source: .poll)
        }
        let memories = sentinel.memories
        var budget = Sentinel.Limit.descriptors
        for (place, watched) in all.enumerated() where watched.process.isAlive {
            var now = watched
            now.memory = memories[watched.id] ?? watched.memory
            let isTurn = (round + place) % Sentinel.Limit.listenerRounds == 0
            look(at: now, listenersOf: isTurn ? members[place] : nil, &budget)
        }
    }

    /// Which instance a process is in, by its namespaces.
    struct Places: Sendable {
        private var byNamespace: [UInt64: Int] = [:]
        private var byName: [String: Int] = [:]

        init(_ all: [Sentinel.Watched]) {
            let own = ProcessView(getpid())?.namespaces ?? Namespaces()
            for (place, watched) in all.enumerated() {
                byName[watched.id.text] = place
                guard let inodes = watched.baseline?.confinement.namespaces.inodes else { continue }
                // One that it has in common with us says nothing.
                for index in 0..<Namespaces.own where inodes[index] != 0 && inodes[index] != own.inodes[index]
                {
                    // The number of a namespace that is gone is given again: one that lives has it.
                    if let other = byNamespace[inodes[index]], all[other].process.isAlive { continue }
                    byNamespace[inodes[index]] = place
                }
            }
        }

        func instance(of view: ProcessView) -> Int? {
            for index in 0..<Namespaces.own {
                if let place = byNamespace[view.namespaces.inodes[index]] { return place }
            }
            return nil
        }

        func instance(named name: String) -> Int? { byName[name] }
    }

    /// The name of the instance whose control group, or a group below it, a process is in.
    private func group(of pid: Int32) -> String? {
        guard let table = ProcessFile.read(pid, "cgroup", limit: 8192) else { return nil }
        return InstanceLook.group(in: table, prefix: prefix)
    }

    static func group(in table: [UInt8], prefix: [UInt8]) -> String? {
        for line in table.split(separator: UInt8(ascii: "\n")) {
            // number:controllers:path
            guard let first = line.firstIndex(of: UInt8(ascii: ":")),
                let second = line[(first + 1)...].firstIndex(of: UInt8(ascii: ":"))
            else { continue }
            let path = line[(second + 1)...]
            guard path.starts(with: prefix) else { continue }
            let name = path.dropFirst(prefix.count).prefix { $0 != UInt8(ascii: "/") }
            if !name.isEmpty { return String(decoding: name, as: UTF8.self) }
        }
        return nil
    }

    // MARK: One process

    /// A process that was just told of.
    func atProcess(_ pid: Int32) {
        guard let view = ProcessView(pid), !view.isKernel, !view.hasEnded else { return }
        let crowd = sentinel.crowd
        guard let place = crowd.places.instance(of: view) else { return }
        judge(view, crowd, at: place, source: .event)
    }

    private func judge(_ view: ProcessView, _ crowd: Sentinel.Crowd, at place: Int, source: Drift.Source) {
        let watched = crowd.all[place]
        guard let baseline = watched.baseline else { return }
        switch crowd.answer(for: view, at: place) {
        case .gone, .ours, nil: return
        case .foreign:
            let program = view.programPath ?? "?"
            guard view.isAlive else { return }
            sentinel.report(
                .process, program,
                "process \(view.pid) runs \(program) in the instance and does not descend from its first process",
                of: watched, path: program, expected: "a descendant of process \(watched.process.pid)",
                found: "a child of process \(view.parent)", source: source)
        case .member:
            judgeProgram(of: view, watched, baseline, source: source)
            guard let now = ProcessConfinement(of: view, launch: baseline.confinement) else { return }
            for difference in now.looser(than: baseline.confinement) {
                guard view.isAlive else { return }
                sentinel.report(
                    .confinement, difference.subject,
                    "\(difference.subject) of process \(view.pid) is not what it was launched with",
                    of: watched, expected: difference.expected, found: difference.found, source: source)
            }
        }
    }

    private func judgeProgram(
        of view: ProcessView, _ watched: Sentinel.Watched, _ baseline: InstanceBaseline, source: Drift.Source
    ) {
        guard let program = view.program, program.device != baseline.device, let path = view.programPath,
            view.isAlive
        else { return }
        sentinel.report(
            .program, path, "process \(view.pid) runs \(path), which is not in the image", of: watched,
            expected: "a program of the image", found: path, source: source)
    }

    // MARK: One instance

    /// - Parameter members: its processes, where its listening sockets are to be looked at as well
    private func look(
        at watched: Sentinel.Watched, listenersOf members: [Int32]?, _ budget: inout Int
    ) {
        guard let baseline = watched.baseline else { return }
        lookAtMounts(watched, baseline)
        lookAtSettings(watched, baseline)
        for difference in baseline.limits.differences {
            sentinel.report(
                .limits, difference.subject, "\(difference.subject) of the control group was changed",
                of: watched,
                expected: difference.expected, found: difference.found, source: .poll)
        }
        guard let scan = networkScan(watched.process.pid) else { return }
        if let (table, generation) = try? scan.tables(), table != watched.memory.networkTables {
            let now = NetworkView(table, generation: generation)
            let differences = now.differences(from: baseline.network)
            if differences.isEmpty {
                sentinel.keep(watched.id, watched.process) { $0.memory.networkTables = table }
            }
            for difference in differences {
                sentinel.report(
                    .network, difference.subject, "the instance's network has another \(difference.subject)",
                    of: watched, expected: difference.expected, found: difference.found, source: .poll)
            }
        }
        if let members { lookAtListeners(watched, scan, members, &budget) }
    }

    private func lookAtMounts(_ watched: Sentinel.Watched, _ baseline: InstanceBaseline) {
        guard let table = ProcessFile.read(watched.process.pid, "mountinfo"), !table.isEmpty,
            table != watched.memory.mountTable
        else { return }
        let differences = MountList(table).differences(from: baseline.mounts)
        for difference in differences {
            sentinel.report(
                .confinement, difference.subject, "\(difference.subject) is not what it was launched with",
                of: watched, path: String(difference.subject.dropFirst(6)), expected: difference.expected,
                found: difference.found, source: .poll)
        }
        guard differences.isEmpty else { return }
        sentinel.keep(watched.id, watched.process) { $0.memory.mountTable = table }
    }

    private func lookAtSettings(_ watched: Sentinel.Watched, _ baseline: InstanceBaseline) {
        let bundle = sentinel.root.instance(watched.id).bundle
        let identity = FileIdentity(bundle + "/config.json")
        var memory = watched.memory
        if identity != memory.configurationIdentity || identity == nil {
            guard InstanceBaseline.digest(of: bundle) == baseline.configuration else {
                return sentinel.report(
                    .confinement, "config.json", "the configuration that it was launched with was changed",
                    of: watched, source: .poll)
            }
            memory.configurationIdentity = identity
            memory.environment = []
        }
        defer {
            sentinel.keep(watched.id, watched.process) {
                $0.memory.configurationIdentity = memory.configurationIdentity
                $0.memory.environment = memory.environment
                $0.memory.environmentStart = memory.environmentStart
                $0.memory.ownVariables = memory.ownVariables
            }
        }
        guard let seen = ProcessFile.read(watched.process.pid, "environ"), seen != memory.environment,
            let given = InstanceBaseline.environment(of: bundle)
        else { return }
        let different = given.changed(in: seen)
        let start = ProcessFile.environmentStart(of: watched.process.pid)
        if start != memory.environmentStart {
            memory.environmentStart = start
            memory.ownVariables = Set(different)
        }
        let changed = different.filter { !memory.ownVariables.contains($0) }
        if changed.isEmpty { memory.environment = seen }
        for name in changed {
            sentinel.report(
                .confinement, "environment \(name)",
                "the variable \(name) has another value than it was given",
                of: watched, source: .poll)
        }
    }

    /// A server opens what ports it likes: a listening socket is drift only where another process of this host holds it
    /// and none of the instance does. Nothing is said where the budget was over before all descriptors were seen that
    /// could be the socket's.
    private func lookAtListeners(
        _ watched: Sentinel.Watched, _ scan: NetworkScan, _ members: [Int32], _ budget: inout Int
    ) {
        guard let seen = try? scan.listeners() else { return }
        var unknown = Set(seen.keys).subtracting(watched.memory.ownSockets)
        defer {
            let own = Set(seen.keys).subtracting(unknown)
            sentinel.keep(watched.id, watched.process) { $0.memory.ownSockets = own }
        }
        for pid in members where !unknown.isEmpty {
            unknown.subtract(SocketOwner.sockets(of: pid, budget: &budget))
        }
        guard !unknown.isEmpty, budget > 0 else { return }
        let places = Places([watched])
        var others: [(pid: Int32, inode: UInt32)] = []
        for pid in ProcessFile.numbers() where !unknown.isEmpty {
            guard let view = ProcessView(pid), !view.isKernel, !view.hasEnded else { continue }
            let held = SocketOwner.sockets(of: pid, budget: &budget).intersection(unknown)
            if held.isEmpty { continue }
            if places.instance(of: view) != nil || group(of: pid) == watched.id.text {
                unknown.subtract(held)
            } else {
                others += held.map { (pid, $0) }
            }
        }
        guard budget > 0 else { return }
        for (pid, inode) in others where unknown.contains(inode) {
            let program = ProcessFile.link(pid, "exe") ?? "?"
            sentinel.report(
                .network, "port \(seen[inode] ?? 0)",
                "process \(pid) (\(program)), which is not in the instance, listens in its network",
                of: watched,
                expected: "sockets of the instance's own processes", found: program, source: .poll)
        }
    }
}
