package import Model

/// Decides what to do next for one service. Pure: the same situation always gives the same plan.
package enum Planner {
    package static func plan(_ situation: Situation) -> Plan {
        var draft = Draft(situation)
        draft.takeStock()
        draft.advanceRollout()
        draft.reconcileFleet()
        draft.reconcileRoute()
        return draft.finish()
    }
}

/// A plan in the making.
struct Draft {
    let situation: Situation
    var state: ServiceState
    var views: [InstanceView] = []
    var launches: [Step] = []
    var removals: [Step] = []
    var routing: [Step] = []
    var notes: [Note] = []
    var lookAgainAt: Instant
    /// Why an instance is being drained, where that was decided just now.
    var drainReasons: [InstanceID: RemovalReason] = [:]
    /// Instances that this plan removes although they run.
    var gone: Set<InstanceID> = []
    /// Releases of which an instance was found dead just now.
    var newlyFailed: Set<ReleaseNumber> = []
    /// Releases of which a sick instance was let go just now.
    var newlyReplaced: Set<ReleaseNumber> = []
    /// Why the router refuses what is asked of it now.
    var refusal: String?
    var isGone = false

    var now: Instant { situation.now }

    init(_ situation: Situation) {
        self.situation = situation
        state = situation.state
        // A clock that was set back must not make any wait longer.
        state.forgetFuture(after: situation.now)
        lookAgainAt = situation.now + Limits.settledLook
    }

    /// Remembers which instances have passed, forgets those that no longer exist, and judges each one.
    mutating func takeStock() {
        let mine = situation.seen.instances.values.filter { $0.key == state.key }
        let present = mine.filter { !situation.removing.contains($0.id) }.sorted { $0.id < $1.id }
        // What is being removed is remembered until it is gone: the removal may be interrupted.
        let ids = Set(mine.map(\.id))
        state.proven.formIntersection(ids)
        state.drainingSince = state.drainingSince.filter { ids.contains($0.key) }
        for instance in present where instance.phase == .running && !state.proven.contains(instance.id) {
            guard situation.health(of: instance) == .healthy else { continue }
            state.proven.insert(instance.id)
            notes.append(
                Note(
                    .instanceHealthy, "\(instance.id) is healthy", instance: instance.id,
                    release: instance.release,
                    details: ["afterMilliseconds": "\((now - instance.startedAt).milliseconds)"]))
        }
        views = present.map {
            InstanceView(seen: $0, condition: situation.condition(of: $0, proven: state.proven))
        }
        if let failure = situation.routeFailure, !matches(desiredRoute()) { refusal = failure }
    }

    mutating func lookAgain(after span: Span) { lookAgain(at: now + span) }
    mutating func lookAgain(at moment: Instant) { lookAgainAt = min(lookAgainAt, moment) }

    /// While something is on its way; a router that refuses is not asked again at once.
    mutating func lookSoon() { lookAgain(after: refusal == nil ? Limits.briskLook : Limits.watchLook) }

    func views(of release: ReleaseNumber) -> [InstanceView] {
        views.filter { $0.release == release && state.drainingSince[$0.id] == nil }
    }

    func fit(_ release: ReleaseNumber) -> [InstanceView] {
        views(of: release).filter { $0.condition == .fit }
    }

    /// The release that new requests should go to now.
    var servingRelease: ReleaseNumber? {
        guard !state.isRetiring else { return nil }
        return switch state.rollout?.phase {
        case .switching, .watching: state.rollout?.to
        case .launching, .returning, .ended, nil: state.current
        }
    }

    /// Routes first, so that nothing is removed while requests still go to it.
    func finish() -> Plan {
        Plan(
            state: state, steps: routing + launches + removals, notes: notes,
            lookAgainAt: max(lookAgainAt, now + Limits.briskLook), isGone: isGone)
    }
}

extension ServiceState {
    /// Puts every time that lies ahead of `now` at `now`.
    fileprivate mutating func forgetFuture(after now: Instant) {
        drainingSince = drainingSince.mapValues { min($0, now) }
        restarts.last = restarts.last.map { min($0, now) }
        standbyRestarts.last = standbyRestarts.last.map { min($0, now) }
        guard let rollout else { return }
        self.rollout?.startedAt = min(rollout.startedAt, now)
        self.rollout?.refusedSince = rollout.refusedSince.map { min($0, now) }
        self.rollout?.phase =
            switch rollout.phase {
            case .launching(let since): .launching(since: min(since, now))
            case .switching(let since): .switching(since: min(since, now))
            case .watching(let since): .watching(since: min(since, now))
            case .returning(let since, let reason): .returning(since: min(since, now), reason: reason)
            case .ended: rollout.phase
            }
    }
}
