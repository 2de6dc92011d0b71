internal import CLinux
internal import Glibc
package import Logging
package import Model
package import Ports
internal import Synchronization
internal import Threads

/// Instances on this one Linux host: containers by crun or runc, each with conmon as its monitor, on read-only EROFS
/// images, behind a bridge.
///
/// Everything that exists is found through ROOT/instances: a launch begins by writing an instance's folder there, and
/// a removal ends by deleting it. A crash in between leaves something that `observe` shows and `remove` removes.
package final class HostPlatform: Platform {
    package let root: HostRoot
    /// Shared with the router, so that the end of the proxy is told as well.
    package let watch: ProcessWatch
    let fileSystem: RootFileSystem
    let network: HostNetwork
    let runtime: ContainerRuntime
    let state = Mutex(State())
    let turns = KeyedLock<InstanceID>()
    let drifts: DriftBook
    let sentinel: Sentinel
    /// Called after each stage of a launch; throwing there is like dying there. Tests use it.
    let afterStage: @Sendable (LaunchStage) throws -> Void

    struct Known: Sendable {
        var record: InstanceRecord
        var running: RunningRecord?
    }

    struct State {
        var known: [InstanceID: Known] = [:]
        var launching: Set<InstanceID> = []
        /// Held until an instance is removed: while its network exists, a dead instance refuses connections at once,
        /// and the router gives the request to another one. Without it, connecting would hang.
        var namespaces: [InstanceID: Descriptor] = [:]
    }

    /// Takes over a root folder: makes the bridge, mounts the images, sweeps what a crash left half-made, and watches
    /// the instances that live.
    ///
    /// - Parameter owner: names the package, or the line of the recipe, that a path of an image belongs to. It may take
    ///   its time: it is asked about what drifted only.
    package convenience init(
        root: HostRoot, reader: any ImageReader, log: Logger,
        owner: @escaping @Sendable (Digest, String) -> String? = { _, _ in nil }
    ) async throws {
        try await self.init(root: root, reader: reader, log: log, owner: owner) { _ in }
    }

    /// With a choice of runtimes, and with a hook that tests die in.
    package init(
        root: HostRoot, reader: any ImageReader, log: Logger, runtimes: [String] = ["crun", "runc"],
        owner: @escaping @Sendable (Digest, String) -> String? = { _, _ in nil },
        wantsUserNamespaces: Bool = true,
        afterStage: @escaping @Sendable (LaunchStage) throws -> Void
    ) async throws {
        self.root = root
        self.afterStage = afterStage
        // Monitors put themselves into the background. Where the host's first process reaps nobody, as in many
        // containers, they would stay as zombies; as our children, they are reaped when they end.
        _ = kiln_adopt_orphans()
        watch = ProcessWatch()
        fileSystem = RootFileSystem(root, reader: reader)
        network = HostNetwork(root)
        runtime = try await ContainerRuntime.detect(
            root, among: runtimes, wantsUserNamespaces: wantsUserNamespaces)
        drifts = DriftBook(root) { [watch] in watch.notify() }
        let patrol = ImagePatrol(root, log: log)
        sentinel = Sentinel(
            root, groups: runtime.groups, book: drifts, owner: owner, log: log, patrol: patrol)
        log.info(
            "container runtime found",
            metadata: [
                "runtime": "\(runtime.path)", "cgroups": "\(runtime.groups.isHybrid ? "hybrid" : "plain")",
            ])
        if let reason = runtime.lacksUserNamespaces {
            log.warning("instances have no user namespaces", metadata: ["reason": "\(reason)"])
        }
        await fileSystem.onAltered { [sentinel] in sentinel.report($0) }
        try await recover()
        sentinel.start()
        patrol.start { [sentinel, fileSystem] finding in
            sentinel.report(finding)
            Task { await fileSystem.quarantine(finding.image, inode: finding.inode) }
        }
    }

    deinit { stopLooking() }

    private func stopLooking() {
        sentinel.patrol.stop()
        sentinel.stop()
    }

    package var changes: AsyncStream<Void> { watch.changes }

    // MARK: Looking

    /// Reads the instances' folders and /proc, and starts no process.
    package func observe(_ key: ServiceKey?) async throws -> [ObservedInstance] {
        let ids = instanceIDs
        var views: [ObservedInstance] = []
        for id in ids {
            guard let (known, isLaunching) = known(id), key == nil || known.record.key == key else {
                continue
            }
            views.append(view(known, isLaunching: isLaunching))
        }
        let present = Set(ids)
        state.withLock { state in state.known = state.known.filter { present.contains($0.key) } }
        return views
    }

    private var instanceIDs: [InstanceID] {
        Files.names(in: root.instances).compactMap { try? InstanceID($0) }
    }

    /// What is on disk about an instance; it never changes once it is complete, so it is read once.
    func known(_ id: InstanceID) -> (Known, isLaunching: Bool)? {
        let (cached, isLaunching) = state.withLock { ($0.known[id], $0.launching.contains(id)) }
        if let cached, cached.running != nil || isLaunching { return (cached, isLaunching) }
        let folder = root.instance(id)
        guard let record = cached?.record ?? InstanceRecord.read(folder), record.id == id else { return nil }
        let known = Known(record: record, running: isLaunching ? nil : RunningRecord.read(folder))
        state.withLock { $0.known[id] = known }
        return (known, isLaunching)
    }

    private func view(_ known: Known, isLaunching: Bool) -> ObservedInstance {
        let record = known.record
        var phase = ObservedInstance.Phase.launching
        var isMonitored = true
        if let running = known.running, !isLaunching {
            isMonitored = running.isMonitored
            if running.isRunning {
                phase = .running
            } else if let status = exitStatus(of: record.id) {
                phase = .exited(status: status)
            } else {
                // The monitor writes the status within milliseconds of the end, and we are told when it is done.
                phase = isMonitored ? .running : .exited(status: nil)
            }
        }
        return ObservedInstance(
            id: record.id, key: record.key, release: record.release, phase: phase, address: record.address,
            startedAt: record.startedAt,
            processID: phase == .running ? known.running.map { Int($0.process.pid) } : nil,
            isMonitored: isMonitored, isTask: record.isTask == true,
            cpuMicroseconds: known.running == nil
                ? nil : runtime.groups.processorTime(of: runtime.group(of: record.id.text)),
            drifts: drifts.drifts(of: record.id))
    }

    private func exitStatus(of id: InstanceID) -> Int? {
        Files.text(root.instance(id).exitFolder + "/" + id.text, limit: 64).flatMap {
            Int($0.filter { $0.isNumber || $0 == "-" })
        }
    }

    package func log(of id: InstanceID, lines: Int) async throws -> [LogLine] {
        let file = LogFile(path: root.log(id))
        return try await Blocking.run { file.lines(lines) }
    }

    // MARK: Images

    package func prepare(_ image: Digest) async throws { try await fileSystem.prepare(image) }

    package func forgetImages(except images: Set<Digest>) async throws {
        let used = instanceIDs.compactMap { known($0)?.0.record.image }
        try await fileSystem.forget(except: images.union(used))
    }

    // MARK: Launching

    package func launch(_ order: LaunchOrder) async throws {
        try await turns.locked(order.id) { try await launchInTurn(order) }
    }

    private func launchInTurn(_ order: LaunchOrder) async throws {
        if let (known, _) = known(order.id) {
            if let running = known.running, running.isRunning || known.record.isTask == true { return }
            // Half-made by a crash: nothing of it has served, and it begins anew.
            try await removeInTurn(order.id, grace: .zero)
        }
        let config = try await fileSystem.config(order.release.content.image)
        let mounted = root.imageMount(order.release.content.image)
        guard Files.isMountPoint(mounted) else {
            throw Failure(
                .notFound, "the image \(order.release.content.image.short) has not been prepared", at: mounted
            )
        }
        try await fileSystem.requireIntact(order.release.content.image)
        let number = try network.reserve()
        let record = InstanceRecord(
            id: order.id, key: order.release.key, release: order.release.number,
            image: order.release.content.image, number: number, address: network.address(number),
            startedAt: HostPlatform.now, isTask: order.task == nil ? nil : true,
            mark: InstanceRecord.newMark(), allow: order.release.content.run.allow)
        let folder = root.instance(order.id)
        do { try record.write(to: folder) } catch {
            network.free(number)
            throw error
        }
        state.withLock {
            $0.launching.insert(order.id)
            $0.known[order.id] = Known(record: record)
        }
        defer { state.withLock { _ = $0.launching.remove(order.id) } }
        let running: RunningRecord
        do {
            let mounts = try await fileSystem.mounts(for: record.image, of: runtime)
            Blocking.begin { [runtime] in runtime.groups.prepareForMoves() }
            running = try await Blocking.run { [self] in
                try make(order, record, config: config, imageRoot: mounted, folder: folder, mounts: mounts)
            }
        } catch {
            throw explained(error, order.id)
        }
        state.withLock { $0.known[order.id]?.running = running }
        watch.watch(order.id.text, [running.process] + (running.monitor.map { [$0] } ?? []))
        sentinel.watch(record, running)
    }

    /// The stages of a launch, on a thread that may block.
    private func make(
        _ order: LaunchOrder, _ record: InstanceRecord, config: ImageConfig, imageRoot: String,
        folder: InstanceFolder, mounts: PrivateMounts
    ) throws -> RunningRecord {
        try afterStage(.recorded)
        try Files.makeFolder(folder.exitFolder)
        try Files.makeFolder(folder.bundle)
        let monitor = try Monitor(runtime: runtime, id: order.id, folder: folder).start(mounts)
        let namespace = try network.connect(record.number)
        state.withLock { $0.namespaces[order.id] = namespace }
        try afterStage(.connected)
        let bundle = RuntimeBundle(
            id: order.id, run: order.release.content.run, image: config,
            command: order.task ?? config.command,
            imageRoot: imageRoot, users: try ownUsers(of: order, record, imageRoot, folder, mounts),
            network: "/proc/\(getpid())/fd/\(namespace.number)",
            cgroup: "/" + runtime.group(of: order.id.text), folder: folder.bundle, address: record.address,
            limitsSwap: runtime.groups.limitsSwap, mark: record.mark)
        try bundle.write()
        try afterStage(.bundled)
        let created = try withExtendedLifetime(namespace) { try monitor.create() }
        try afterStage(.created)
        guard let process = LiveProcess(created.process) else {
            throw Failure(.launchFailed, "the container ended before it began")
        }
        try confine(process, folder, mounts)
        try runtime.startNow(order.id)
        try afterStage(.started)
        let running = RunningRecord(
            process: process, monitor: LiveProcess(created.monitor), boot: Boot.id)
        try running.write(to: folder)
        return running
    }

    /// A launch's failure with the instance's last words.
    private func explained(_ error: any Error, _ id: InstanceID) -> any Error {
        guard var failure = error as? Failure else { return error }
        failure = failure.at(id.text)
        let words = LogFile(path: root.log(id)).lines(20).map(\.text)
        if failure.cause == nil, !words.isEmpty { failure.cause = words.joined(separator: "\n") }
        return failure
    }

    /// What the clock on the wall shows, for what people read.
    static var now: Instant {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Instant(milliseconds: time.tv_sec * 1000 + time.tv_nsec / 1_000_000)
    }

    // MARK: Beginning and end

    private func recover() async throws {
        await fileSystem.recover()
        try Files.makeFolder(root.runtimeState, mode: 0o700)
        try Files.makeFolder(root.attachFolder, mode: 0o700)
        // Instances find what is mounted for them in here; they know no names but their own.
        try Files.makeFolder(root.bundles, mode: 0o711)
        chmod(root.bundles, 0o711)
        var numbers: Set<Int> = []
        for name in Files.names(in: root.instances) {
            guard let id = try? InstanceID(name), let (known, _) = known(id) else {
                // Died between making the folder and writing the record: nothing else was made.
                try Files.removeTree("\(root.instances)/\(name)")
                continue
            }
            numbers.insert(known.record.number)
            guard let running = known.running, running.boot == Boot.id else { continue }
            watch.watch(name, [running.process] + (running.monitor.map { [$0] } ?? []))
            drifts.load(id)
            sentinel.watch(known.record, running)
            let namespace = open("/proc/\(running.process.pid)/ns/net", O_RDONLY | O_CLOEXEC)
            if namespace >= 0 { state.withLock { $0.namespaces[id] = Descriptor(namespace) } }
        }
        let inUse = numbers
        try await Blocking.run { [network] in try network.ensure(inUse: inUse) }
    }

    /// Lets go of everything outside the root folder once there is no instance: bridge, firewall table, image mounts,
    /// cgroups and the folder in /run. Does nothing while instances exist. The root can be taken over again.
    package func tearDown() async throws {
        guard Files.names(in: root.instances).isEmpty else { return }
        try await Blocking.run { [self] in stopLooking() }
        try await fileSystem.unmountAll()
        try await Blocking.run { [self] in
            try network.tearDown()
            _ = runtime.groups.clear(root.cgroup)
            try Files.removeTree(root.runtimeState)
            for folder in [root.attachFolder, root.bundles] { try Files.removeTree(folder) }
            // The router's sockets are in there as well, for as long as it has a service.
            if !Files.exists(root.proxySocket) { try Files.removeTree(root.runFolder) }
        }
    }
}

/// How far a launch has come.
package enum LaunchStage: CaseIterable, Sendable {
    case recorded, connected, bundled, created, started
}
