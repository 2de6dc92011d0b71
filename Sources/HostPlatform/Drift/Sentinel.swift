internal import CLinux
internal import Glibc
internal import Logging
internal import Model
internal import Synchronization

/// Looks after all instances of a host: from time to time at everything, and at once where the kernel tells of a
/// program that is executed or of a write to an image. What it finds goes into the book; nothing is ever changed.
///
/// It has a thread of its own, because it goes into the instances' networks, and because a look must not wait for a
/// pool's other work, nor that for a look.
final class Sentinel: Sendable {
    /// An instance that is looked after.
    struct Watched: Sendable {
        let record: InstanceRecord
        let process: LiveProcess
        /// nil until it was seen running its own program.
        var baseline: InstanceBaseline?
        /// When it was taken over, by the clock that nobody sets.
        let since: Int
        /// What else is remembered between two looks.
        var memory = Memory()

        var id: InstanceID { record.id }
    }

    /// What makes the next look cheaper; nothing is lost with it.
    struct Memory: Sendable {
        /// The mount table that was compared last, byte for byte.
        var mountTable: [UInt8] = []
        /// Listening sockets that were found to be the instance's own.
        var ownSockets: Set<UInt32> = []
        var configurationIdentity: FileIdentity?
        /// The first process's environment that was compared last, and all that the kernel said of the network then.
        var environment: [UInt8] = []
        /// Where the kernel put it: elsewhere after each program that the first process executes in its own place.
        var environmentStart: UInt64 = 0
        /// What that program began with otherwise than the launch gave it: an entry point may set what it likes.
        var ownVariables: Set<String> = []
        var networkTables: [[UInt8]] = []
    }

    struct State: Sendable {
        var watched: [InstanceID: Watched] = [:]
        /// Those of them that have a baseline, made anew when that changes.
        var crowd = Crowd([])
        /// Found on a thread that must not write, and to be written down by ours.
        var pending: [Pending] = []
        var isStopped = false
        /// Somebody wants a look at everything now.
        var isAskedToLook = false
        var thread: pthread_t?
    }

    /// Instances with their baselines, and how to find the one that a process is in.
    final class Crowd: Sendable {
        let all: [Watched]
        let places: InstanceLook.Places
        private let members = Lineage.Members()

        init(_ all: some Sequence<Watched>) {
            self.all = all.filter { $0.baseline != nil }
            places = InstanceLook.Places(self.all)
        }

        /// Whether a process belongs to the instance at a place; nil where that one has no baseline.
        func answer(for process: ProcessView, at place: Int) -> Lineage.Answer? {
            let watched = all[place]
            guard let baseline = watched.baseline else { return nil }
            return Lineage(
                first: watched.process, namespaces: baseline.confinement.namespaces,
                mark: watched.record.mark, members: members
            ).answer(for: process)
        }
    }

    /// A finding on its way into the book.
    struct Pending: Sendable {
        var drift: Drift
        var watched: Watched
        /// The file that it is about, for its owner.
        var path: String?
    }

    /// Times in milliseconds.
    enum Limit {
        /// Findings that wait to be written down; there is room for as many in the book of eight instances.
        static let pending = 256
        /// From one look at everything to the next, give or take a fifth, so that nobody can count on a gap.
        static let interval = 5000
        /// How long after its launch an instance is first looked at: its launch comes first.
        static let rest = 20
        /// How long its first process may take to run a program of the image.
        static let settling = 60_000
        /// Between two looks at one that has not settled.
        static let settlingPause = 10
        /// One in so many looks asks an instance for its listening sockets, which costs more than all the rest.
        static let listenerRounds = 4
        /// Descriptors of processes that one look reads for that, over all instances: a quarter of a second.
        static let descriptors = 1 << 17
    }

    let root: HostRoot
    let groups: ControlGroups
    let book: DriftBook
    private let owners: OwnerDesk
    let log: Logger
    /// Reads the images again and again.
    let patrol: ImagePatrol
    let state = Mutex(State())
    /// Written to where the thread has to look up from its wait.
    private let flag = Descriptor(kiln_event_flag())

    init(
        _ root: HostRoot, groups: ControlGroups, book: DriftBook,
        owner: @escaping @Sendable (Digest, String) -> String?, log: Logger, patrol: ImagePatrol
    ) {
        self.patrol = patrol
        self.root = root
        self.groups = groups
        self.book = book
        owners = OwnerDesk(owner)
        self.log = log
    }

    // MARK: Who is watched

    func watch(_ record: InstanceRecord, _ running: RunningRecord) {
        let baseline = InstanceBaseline.read(root.instance(record.id), of: running.process)
        book.open(record.id)
        let watched = Watched(
            record: record, process: running.process, baseline: baseline, since: Monotonic.now)
        state.withLock { state in
            state.watched[record.id] = watched
            state.crowd = Crowd(state.watched.values)
        }
        wake()
    }

    /// It is being removed, which is nobody's drift.
    func forget(_ id: InstanceID) {
        book.close(id)
        state.withLock { state in
            guard state.watched.removeValue(forKey: id) != nil else { return }
            state.crowd = Crowd(state.watched.values)
        }
    }

    func baseline(of id: InstanceID) -> InstanceBaseline? { state.withLock { $0.watched[id]?.baseline } }

    var all: [Watched] { state.withLock { Array($0.watched.values) } }

    /// Those whose baseline is still to be taken.
    var unsettled: [Watched] {
        state.withLock { state in
            // Asked at every event, and nearly always none.
            state.crowd.all.count == state.watched.count
                ? [] : state.watched.values.filter { $0.baseline == nil }
        }
    }

    var memories: [InstanceID: Memory] { state.withLock { $0.watched.mapValues(\.memory) } }

    var crowd: Crowd { state.withLock { $0.crowd } }

    func settled(_ id: InstanceID, _ process: LiveProcess, _ baseline: InstanceBaseline) {
        keep(id, process) { $0.baseline = baseline }
        state.withLock { $0.crowd = Crowd($0.watched.values) }
    }

    func keep(_ id: InstanceID, _ process: LiveProcess, _ change: (inout Watched) -> Void) {
        state.withLock { state in
            guard state.watched[id]?.process == process else { return }
            change(&state.watched[id]!)
        }
    }

    /// Records something about an instance that is still watched. The owner of the file at `path` follows when it is
    /// known.
    func report(
        _ kind: Drift.Kind, _ subject: String, _ message: String, of watched: Watched, path: String? = nil,
        expected: String? = nil, found: String? = nil, source: Drift.Source
    ) {
        write(
            Pending(
                drift: Drift.cut(kind, subject, message, expected: expected, found: found, source: source),
                watched: watched, path: path))
    }

    /// Reports an altered image of every instance that runs from it.
    func report(_ finding: ImagePatrol.Finding) {
        for watched in all where watched.record.image == finding.image {
            // One that was launched from a file made anew has nothing to do with the old one.
            if let device = watched.baseline?.device, let altered = finding.device, device != altered {
                continue
            }
            leave(
                Pending(
                    drift: Drift.cut(
                        .image, finding.subject,
                        "the file system of the image was altered on disk: \(finding.subject)",
                        expected: "what was made of \(finding.image.short)", found: "other bytes",
                        source: .poll),
                    watched: watched, path: finding.path))
        }
    }

    /// Leaves a finding to our own thread: the caller's must not wait for a file. Of an altered image each instance has
    /// one, and nobody finds it again: those all have room.
    func leave(_ pending: Pending) {
        state.withLock { state in
            guard pending.drift.kind == .image || state.pending.count < Limit.pending else { return }
            state.pending.append(pending)
        }
        wake()
    }

    private func write(_ pending: Pending) {
        let (drift, watched, kind) = (pending.drift, pending.watched, pending.drift.kind)
        guard !book.knows(kind, drift.subject, of: watched.id) else { return }
        // One that is ending, or being removed, loses its things in any order.
        guard watched.process.isAlive, state.withLock({ $0.watched[watched.id]?.process == watched.process })
        else {
            return
        }
        guard book.add(drift, of: watched.id) else { return }
        if let path = pending.path {
            owners.find(path, of: watched.record.image) { [book] owner in
                book.fill(owner, kind, drift.subject, of: watched.id)
            }
        }
        log.warning(
            "drift found",
            metadata: [
                "instance.id": "\(watched.id)", "kind": "\(kind.rawValue)", "subject": "\(drift.subject)",
                "source": "\(drift.source.rawValue)",
            ])
    }

    // MARK: The thread

    func start() {
        let held = Unmanaged.passRetained(self)
        var thread = pthread_t()
        let code = pthread_create(
            &thread, nil,
            { held in
                let sentinel = Unmanaged<Sentinel>.fromOpaque(held!).takeRetainedValue()
                sentinel.run()
                return nil
            }, held.toOpaque())
        guard code == 0 else {
            held.release()
            log.error("drift is not looked for", metadata: ["error": "\(SystemFailure.text(code))"])
            return
        }
        state.withLock { $0.thread = thread }
    }

    /// Ends the thread and waits for it: one look at most.
    func stop() {
        let thread = state.withLock { state in
            state.isStopped = true
            defer { state.thread = nil }
            return state.thread
        }
        guard let thread else { return }
        wake()
        pthread_join(thread, nil)
    }

    /// Has everything looked at now, and not only when it is time again.
    func look() {
        state.withLock { $0.isAskedToLook = true }
        wake()
    }

    private func wake() {
        var one: UInt64 = 1
        _ = Glibc.write(flag.number, &one, 8)
    }

    private var isStopped: Bool { state.withLock { $0.isStopped } }

    private func run() {
        let events = SentinelEvents(self)
        let guardian = ExecGuard(self)
        defer { guardian.stop() }
        let look = InstanceLook(self)
        var next = Monotonic.now
        var round = 0
        var covered: Crowd?
        while !isStopped {
            let settling = look.settle()
            let crowd = crowd
            if crowd !== covered {
                covered = crowd
                guardian.cover(crowd.all)
                events.cover(crowd.all)
            }
            let pending = state.withLock { state in
                defer { state.pending = [] }
                return state.pending
            }
            for finding in pending { write(finding) }
            let isAsked = state.withLock { state in
                defer { state.isAskedToLook = false }
                return state.isAskedToLook
            }
            if isAsked || Monotonic.now >= next {
                look.atEverything(round: round)
                round += 1
                let jitter = Int.random(in: -Limit.interval / 5...Limit.interval / 5)
                next = Monotonic.now + Limit.interval + jitter
            }
            let pause = min(next - Monotonic.now, settling ?? Limit.interval)
            if events.wait(flag: flag.number, limit: max(0, pause), look) { next = Monotonic.now }
        }
    }
}
