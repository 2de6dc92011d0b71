package import Model

/// Decides what to do next for one service. Pure: the same situation always gives the same plan.
package enum Planner {
    package static func plan(_ situation: Situation) -> Plan {
        var draft = Draft(situation)
        draft.answerDrifts()
        draft.takeStock()
        draft.autoscale()
        draft.advanceRollout()
        draft.replaceAged()
        draft.reconcileFleet()
        draft.removeTasks()
        draft.reconcileRoute()
        return draft.finish()
    }
}

/// A plan in the making.
struct Draft {
    let situation: Situation
    let now: Instant
    /// What the router was seen to do for this service.
    let route: ObservedRoute?
    var state: ServiceState
    /// What serves or should, by release and in the order of the names; and what runs gates' commands.
    var views: [InstanceView] = []
    var tasks: [InstanceView] = []
    /// Where each release's instances stand in `views`.
    private(set) var places: [ReleaseNumber: Range<Int>] = [:]
    /// The router sends new requests to instances that are not in `views`.
    private(set) var areStrangersServing = false
    var launches: [Step] = []
    var removals: [Step] = []
    var routing: [Step] = []
    /// How many instances that take traffic may be let go.
    var spareCapacity = Int.max
    var checks: [Step] = []
    var corrections: [Step] = []
    var usesTraffic = false
    var notes: [Note] = []
    var lookAgainAt: Instant
    /// Why an instance is being drained, where that was decided just now.
    var drainReasons: [InstanceID: RemovalReason] = [:]
    /// Instances that this plan removes although they run.
    var gone: Set<InstanceID> = []
    private var newlyProven: [InstanceID] = []
    /// Releases of which an instance was found dead just now.
    var newlyFailed: Set<ReleaseNumber> = []
    /// Releases of which instances were launched in the place of sick ones just now.
    var newlyReplaced: Set<ReleaseNumber> = []
    /// Why the router refuses what is asked of it now.
    var refusal: String?
    var isGone = false

    init(_ situation: Situation) {
        self.situation = situation
        now = situation.now
        route = situation.route
        state = situation.state
        // A clock that was set back must not make any wait longer.
        state.forgetFuture(after: situation.now)
        lookAgainAt = situation.now + Limits.settledLook
    }

    /// Remembers which instances have passed, forgets those that no longer exist, and judges each one.
    mutating func takeStock() {
        let servers = route?.servers ?? [:]
        let known = state.proven
        var proven = 0
        var releases: [KnownRelease] = []
        func release(_ number: ReleaseNumber) -> KnownRelease {
            // Few releases have instances at once.
            if let known = releases.first(where: { $0.number == number }) { return known }
            releases.append(KnownRelease(number, situation.releases[number]))
            return releases[releases.count - 1]
        }
        views.reserveCapacity(situation.seen.instances.count)
        for instance in situation.seen.instances.values where instance.key == state.key {
            var isProven = known.contains(instance.id)
            if isProven { proven += 1 }
            // What is being removed is remembered until it is gone: the removal may be interrupted.
            guard !situation.removing.contains(instance.id) else { continue }
            let server = servers[instance.id]
            let release = release(instance.release)
            let health = situation.health(of: instance, server, release)
            if !isProven, instance.phase == .running, !instance.isTask, health == .healthy {
                isProven = true
                state.proven.insert(instance.id)
                newlyProven.append(instance.id)
            }
            var view = InstanceView(
                id: instance.id, release: instance.release, ordinal: instance.id.ordinal,
                condition: situation.condition(of: instance, isProven: isProven, health: health, release),
                isProven: isProven, isRunning: instance.phase == .running,
                isKnown: release.deadline != nil, routed: server?.state,
                isDraining: state.drainingSince[instance.id] != nil)
            if view.condition == .sick { view.replacement = .replaced }
            mark(&view)
            if instance.isTask { tasks.append(view) } else { views.append(view) }
        }
        forgetWhatIsGone(areProven: proven)
        views.sort { ($0.release.value, $0.ordinal, $0.id.text) < ($1.release.value, $1.ordinal, $1.id.text) }
        var start = 0
        for place in views.indices
        where place + 1 == views.count || views[place + 1].release != views[start].release {
            places[views[start].release] = start..<(place + 1)
            start = place + 1
        }
        bridgeKept()
        areStrangersServing =
            servers.values.count { $0.state.isServing } != views.count { $0.isTaking }
        noteHealthy()
        if let failure = situation.routeFailure, !isRouteRight() { refusal = failure }
    }

    /// One that a person takes serves on until the release has as many fit ones without it.
    private mutating func bridgeKept() {
        for place in views.indices where views[place].isKept && views[place].condition == .fit {
            let release = views[place].release
            views[place].isBridging = views[place].isTaking && fitCount(release) < size(of: release)
        }
    }

    private mutating func forgetWhatIsGone(areProven count: Int) {
        let (seen, key, launching) = (situation.seen.instances, state.key, situation.launching)
        let isMine = { (id: InstanceID) in seen[id]?.key == key }
        if count + newlyProven.count < state.proven.count { state.proven = state.proven.filter(isMine) }
        if !state.drainingSince.isEmpty {
            state.drainingSince = state.drainingSince.filter { isMine($0.key) }
        }
        state.tainted.removeAll { !isMine($0.id) }
        state.drift?.told.removeAll { !isMine($0.id) }
        guard let baseline = state.rollout?.baseline, !baseline.isEmpty else { return }
        state.rollout?.baseline = baseline.filter { isMine($0) || launching.contains($0) }
    }

    private mutating func noteHealthy() {
        for id in newlyProven.sorted() {
            guard let instance = situation.seen.instances[id] else { continue }
            notes.append(
                Note(
                    .instanceHealthy, "\(id) is healthy", instance: id, release: instance.release,
                    details: ["afterMilliseconds": "\((now - instance.startedAt).milliseconds)"]))
        }
    }

    mutating func lookAgain(after span: Span) { lookAgain(at: now + span) }
    mutating func lookAgain(at moment: Instant) { lookAgainAt = min(lookAgainAt, moment) }

    /// While something is on its way; a router that refuses is not asked again at once.
    mutating func lookSoon() { lookAgain(after: refusal == nil ? Limits.briskLook : Limits.watchLook) }

    /// The places of a release's instances in `views`.
    func range(of release: ReleaseNumber) -> Range<Int> { places[release] ?? 0..<0 }

    func view(_ id: InstanceID) -> InstanceView? {
        guard let release = situation.seen.instances[id]?.release else { return nil }
        return views[range(of: release)].first { $0.id == id }
    }

    /// Those of a release that are not on their way out.
    func views(of release: ReleaseNumber) -> [InstanceView] {
        views[range(of: release)].filter { !$0.isDraining }
    }

    func fit(_ release: ReleaseNumber) -> [InstanceView] { views[range(of: release)].filter(\.isFit) }
    func fitCount(_ release: ReleaseNumber) -> Int { views[range(of: release)].count { $0.isFit } }
    func hasFit(_ release: ReleaseNumber) -> Bool { views[range(of: release)].contains { $0.isFit } }

    /// The release that new requests should go to now, or, where two share them, the one that had them before.
    var servingRelease: ReleaseNumber? {
        guard !state.isRetiring else { return nil }
        guard let rollout = state.rollout, rollout.split != .none else { return state.current }
        return rollout.split == .share(100) ? rollout.to : state.current ?? rollout.to
    }

    /// Routes first, so that nothing is removed while requests still go to it.
    func finish() -> Plan {
        Plan(
            state: state, steps: routing + launches + checks + corrections + removals, notes: notes,
            usesTraffic: usesTraffic, lookAgainAt: max(lookAgainAt, now + Limits.briskLook), isGone: isGone)
    }
}

extension ServiceState {
    /// Puts every time that lies ahead of `now` at `now`.
    fileprivate mutating func forgetFuture(after now: Instant) {
        if drainingSince.values.contains(where: { $0 > now }) {
            drainingSince = drainingSince.mapValues { min($0, now) }
        }
        restarts.last = restarts.last.map { min($0, now) }
        if let last = drift?.rounds.last, last > now { drift?.rounds.last = now }
        if let asked = repaveBefore, asked > now { repaveBefore = now }
        standbyRestarts.last = standbyRestarts.last.map { min($0, now) }
        guard let rollout else { return }
        self.rollout?.startedAt = min(rollout.startedAt, now)
        self.rollout?.refusedSince = rollout.refusedSince.map { min($0, now) }
        self.rollout?.phase =
            switch rollout.phase {
            case .launching(let since): .launching(since: min(since, now))
            case .switching(let since): .switching(since: min(since, now))
            case .waiting(let since): .waiting(since: min(since, now))
            case .returning(let since, let reason): .returning(since: min(since, now), reason: reason)
            case .ended: rollout.phase
            }
        self.rollout?.pause?.since = min(rollout.pause?.since ?? now, now)
        self.rollout?.analysis?.lookedAt = min(rollout.analysis?.lookedAt ?? now, now)
        self.rollout?.gates = rollout.gates.mapValues {
            if case .open(let since, let task) = $0 { .open(since: min(since, now), task: task) } else { $0 }
        }
    }
}
