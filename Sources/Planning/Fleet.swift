import Model

/// Which instances should exist: launch what is missing, drain and remove what is too many, replace what is sick.
extension Draft {
    /// The releases to be kept running, the serving one first.
    private var wanted: [ReleaseNumber] {
        guard !state.isRetiring else { return [] }
        var releases: [ReleaseNumber] = []
        let candidates = [servingRelease, state.current, state.rollout?.to] + state.standbys
        for release in candidates.compactMap({ $0 }) where !releases.contains(release) {
            releases.append(release)
        }
        return releases
    }

    mutating func reconcileFleet() {
        let wanted = wanted
        for view in views where view.isDead { removeDead(view) }
        countRestarts(newlyFailed.union(situation.launchFailures.map(\.release)))
        for release in wanted { keepRunning(release) }
        countRestarts(newlyReplaced)
        for view in views where !view.isDead && !wanted.contains(view.release) {
            let isKnown = situation.releases[view.release] != nil
            drainIfSafe(view, reason: isKnown ? .retired : .unknown)
        }
        for view in views where !view.isDead && state.drainingSince[view.id] != nil {
            removeWhenDrained(view)
        }
        if views.contains(where: { $0.condition == .pending || $0.condition == .starting }) {
            lookSoon()
        }
        if state.isRetiring, views.isEmpty, situation.removing.isEmpty { finishRetiring() }
    }

    private mutating func removeDead(_ view: InstanceView) {
        guard case .dead(let reason) = view.condition else { return }
        if state.drainingSince[view.id] == nil {
            notes.append(
                Note(
                    .instanceFailed, failureText(view, reason), instance: view.id, release: view.release,
                    details: ["reason": reason.rawValue]))
            // Told and counted once, however often the removal has to be tried.
            state.drainingSince[view.id] = now
            if reason != .halfMade { newlyFailed.insert(view.release) }
        }
        removals.append(.remove(view.id, reason: reason, grace: grace(view)))
    }

    /// Counts what failed since the last look as one restart: instances that end together, as when the machine
    /// restarts, do not wait for each other.
    private mutating func countRestarts(_ releases: Set<ReleaseNumber>) {
        let failed = releases.filter { wanted.contains($0) && !isBeingProven($0) }
        for isStandby in [false, true] where failed.contains(where: { isMereStandby($0) == isStandby }) {
            let history = isStandby ? \ServiceState.standbyRestarts : \ServiceState.restarts
            state[keyPath: history].count(at: now)
            guard let next = state[keyPath: history].nextLaunch, next > now else { continue }
            let wait = next - now
            notes.append(Note(.backingOff, "instances keep failing: the next launch waits \(wait)"))
        }
    }

    private func isMereStandby(_ release: ReleaseNumber) -> Bool {
        ![servingRelease, state.current, state.rollout?.to].contains(release)
    }

    /// A release that is being proven is not held back: the number of its failures is bounded by itself.
    private func isBeingProven(_ release: ReleaseNumber) -> Bool {
        state.rollout?.to == release && state.rollout?.isLaunching == true
    }

    private func failureText(_ view: InstanceView, _ reason: RemovalReason) -> String {
        switch reason {
        case .exited: "\(view.id) ended\(view.seen.exitText)"
        case .halfMade: "\(view.id) could not be launched"
        default: "\(view.id) did not become healthy in time"
        }
    }

    private mutating func keepRunning(_ release: ReleaseNumber) {
        let size = situation.size(of: release)
        let mine = views(of: release).filter { !$0.isDead }
        let sick = mine.filter { $0.condition == .sick }
        let usable = mine.filter { $0.condition != .sick }
        // What is on its way out is not filled up again.
        let isLeaving =
            state.rollout?.to == release && state.rollout?.isReturning == true && state.current != release
        if usable.count < size, !isLeaving { launch(size - usable.count, of: release) }
        let fitCount = usable.count { $0.condition == .fit }
        // Sick ones stay until others can do their work: they may recover, or still serve a little. Of a release
        // whose replacements fall sick too, only as many are kept as it should have.
        let spare = fitCount >= size ? sick.count : max(0, sick.count - size)
        for view in sick.prefix(spare) {
            startDraining(view, reason: .replaced)
            newlyReplaced.insert(release)
        }
        if usable.count > size {
            let leastUseful = usable.sorted {
                ($0.condition.usefulness, $0.id) < ($1.condition.usefulness, $1.id)
            }
            for view in leastUseful.prefix(usable.count - size) { startDraining(view, reason: .surplus) }
        }
    }

    private mutating func launch(_ count: Int, of release: ReleaseNumber) {
        let history = isMereStandby(release) ? state.standbyRestarts : state.restarts
        if !isBeingProven(release), let next = history.nextLaunch, next > now {
            return lookAgain(at: next)
        }
        for _ in 0..<count {
            state.instancesNamed += 1
            let id = InstanceID(state.key, release: release, ordinal: state.instancesNamed)
            assert(situation.seen.instances[id] == nil, "an instance name is never reused")
            launches.append(.launch(id, release: release))
        }
        lookSoon()
    }

    /// Lets go of an instance of an unwanted release; one that has traffic only once the serving release can take it.
    private mutating func drainIfSafe(_ view: InstanceView, reason: RemovalReason) {
        let isAnybodyToServe = servingRelease != nil || state.rollout != nil
        if !state.isRetiring, isAnybodyToServe, isTakingTraffic(view) {
            guard let servingRelease, fit(servingRelease).count >= situation.size(of: servingRelease) else {
                return
            }
        }
        startDraining(view, reason: reason)
    }

    private func isTakingTraffic(_ view: InstanceView) -> Bool {
        if case .serving = situation.route?.servers[view.id]?.state { true } else { false }
    }

    private mutating func startDraining(_ view: InstanceView, reason: RemovalReason) {
        if state.drainingSince[view.id] == nil { state.drainingSince[view.id] = now }
        drainReasons[view.id] = reason
    }

    private mutating func removeWhenDrained(_ view: InstanceView) {
        // Removing beneath a launch that is under way could leave half of it behind.
        guard let since = state.drainingSince[view.id], view.condition != .pending else { return }
        let limit = situation.releases[view.release]?.content.rollout.drain ?? .zero
        let server = situation.route?.servers[view.id]
        let isTaking = isTakingTraffic(view)
        let isDrained = !isTaking && (server?.sessions ?? 0) == 0
        // Requests in flight may be cut at the limit; new ones are first to go elsewhere, however long that takes.
        let isCut = situation.elapsed(since: since) >= limit && (!isTaking || state.isRetiring)
        guard isDrained || isCut else { return lookSoon() }
        let reason = drainReasons[view.id] ?? (view.condition == .sick ? .replaced : .surplus)
        removals.append(.remove(view.id, reason: reason, grace: grace(view)))
        gone.insert(view.id)
        lookSoon()
    }

    private func grace(_ view: InstanceView) -> Span {
        situation.releases[view.release]?.content.run.stopGrace ?? .zero
    }

    private mutating func finishRetiring() {
        if situation.route != nil {
            routing.append(.removeRoute(state.key))
            lookSoon()
        } else {
            notes.append(Note(.retired, "\(state.key) is retired: nothing of it runs"))
            state.retire()
            isGone = true
        }
    }
}

extension InstanceView.Condition {
    /// What to keep when there are too many: higher is more useful.
    fileprivate var usefulness: Int {
        switch self {
        case .dead: 0
        case .sick: 1
        case .pending: 2
        case .starting: 3
        case .fit: 4
        }
    }
}

extension ServiceState {
    /// Forgets what ran; numbers go on from where they are.
    fileprivate mutating func retire() {
        var empty = ServiceState(key: key)
        empty.releasesMade = releasesMade
        empty.instancesNamed = instancesNamed
        empty.rolloutsBegun = rolloutsBegun
        empty.generation = generation
        empty.lastRollout = lastRollout
        self = empty
    }
}
