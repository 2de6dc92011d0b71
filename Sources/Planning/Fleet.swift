import Model

/// Which instances should exist: launch what is missing, drain and remove what is too many, replace what is sick.
extension Draft {
    /// The releases to be kept running, the serving one first.
    private var wanted: [ReleaseNumber] {
        guard !state.isRetiring else { return [] }
        var releases: [ReleaseNumber] = []
        // Where two releases may never run at once, a standby would keep the new one out.
        let standbys = isExclusive ? [] : state.standbys
        let candidates = [servingRelease, state.current, state.rollout?.to] + standbys
        for release in candidates.compactMap({ $0 }) where !releases.contains(release) {
            releases.append(release)
        }
        return releases
    }

    mutating func reconcileFleet() {
        let wanted = wanted
        for place in views.indices where views[place].isDead { removeDead(place) }
        countRestarts(newlyFailed.union(situation.launchFailures.filter { !isTask($0.id) }.map(\.release)))
        for release in wanted { takeBack(release) }
        split()
        spareCapacity = capacityToSpare()
        for release in wanted { keepRunning(release) }
        countRestarts(newlyReplaced)
        // Those that go on serving until others can are let go later.
        for place in views.indices
        where !views[place].isDead && !views[place].isHeld && (!views[place].isKept || state.isRetiring) {
            let release = views[place].release
            guard !wanted.contains(release) else { continue }
            startDraining(place, reason: situation.releases[release] != nil ? .retired : .unknown)
        }
        for view in views where !view.isDead && view.isDraining { removeWhenDrained(view) }
        if views.contains(where: { $0.condition == .pending || $0.condition == .starting }) {
            lookSoon()
        }
        if state.isRetiring, views.isEmpty, tasks.isEmpty, situation.removing.isEmpty { finishRetiring() }
    }

    /// How many instances that take traffic may be let go at once.
    private func capacityToSpare() -> Int {
        guard let serving = servingRelease else { return .max }
        let capacity = views.count { $0.weight > 0 && $0.isFit }
        let size = size(of: serving)
        let release = state.rollout?.to ?? serving
        return switch situation.releases[release]?.content.rollout.strategy {
        case .rolling(let rolling): max(0, capacity - rolling.minHealthy.of(size))
        case .recreate: .max
        case .blueGreen, .canary, nil: max(0, capacity - size)
        }
    }

    /// How many instances of a release should run now, those to compare with aside.
    private func wantedCount(_ release: ReleaseNumber) -> Int {
        let size = size(of: release)
        guard let rollout = state.rollout else { return size }
        if release == state.current { return release == rollout.to ? size : rollout.stablePart.of(size) }
        return release == rollout.to ? rollout.currentStage.candidate.of(size) : size
    }

    func size(of release: ReleaseNumber) -> Int { situation.size(of: release, state) }

    private mutating func removeDead(_ place: Int) {
        let view = views[place]
        guard case .dead(let reason) = view.condition else { return }
        if !view.isDraining {
            notes.append(
                Note(
                    .instanceFailed, failureText(view, reason), instance: view.id, release: view.release,
                    details: ["reason": reason.rawValue]))
            // Told and counted once, however often the removal has to be tried.
            state.drainingSince[view.id] = now
            views[place].isDraining = true
            if reason != .halfMade { newlyFailed.insert(view.release) }
        }
        removals.append(.remove(view.id, reason: reason, grace: grace(view)))
    }

    /// Counts what failed since the last look as one restart: instances that end together, as when the machine
    /// restarts, do not wait for each other.
    private mutating func countRestarts(_ releases: Set<ReleaseNumber>) {
        // What failed and is on its way out must not hold back what takes its traffic.
        let failed = releases.filter { wanted.contains($0) && !isBeingProven($0) && !isLeaving($0) }
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
        case .exited: "\(view.id) ended\(situation.seen.instances[view.id]?.exitText ?? "")"
        case .halfMade: "\(view.id) could not be launched"
        default: "\(view.id) did not become healthy in time"
        }
    }

    private func isLeaving(_ release: ReleaseNumber) -> Bool {
        guard let rollout = state.rollout else { return false }
        return rollout.isReturning && rollout.to == release && state.current != release
    }

    /// Keeps what was on its way out and is wanted again: nothing is lost by staying, and a launch is saved.
    private mutating func takeBack(_ release: ReleaseNumber) {
        guard !isLeaving(release) else { return }
        let places = range(of: release).filter { !views[$0].isKept }
        var missing = wantedCount(release) - places.count { !views[$0].isDead && !views[$0].isDraining }
        let hasFit = views.contains { $0.isFit }
        for place in places where missing > 0 && views[place].isDraining {
            // With nobody fit, one that still serves and may recover is better than none.
            let view = views[place]
            let isClean = view.condition == .fit && view.replacement == nil
            let mayRecover = view.condition == .sick || view.replacement != nil
            guard isClean || !hasFit && mayRecover && view.isTaking else { continue }
            stopDraining(place)
            missing -= 1
        }
    }

    private mutating func keepRunning(_ release: ReleaseNumber) {
        let mine = range(of: release).filter {
            !views[$0].isDead && !views[$0].isDraining && !views[$0].isKept
        }
        if isLeaving(release) {
            // What failed is not filled up again, and only serves on while nobody else can.
            for place in mine where !views[place].isHeld { startDraining(place, reason: .retired) }
            return
        }
        guard let rollout = state.rollout, release == state.current, release != rollout.to,
            rollout.currentStage.hasBaseline, !rollout.isReturning
        else { return keepRunning(release, mine, count: wantedCount(release)) }
        let (compared, others) = (
            mine.filter { rollout.baseline.contains(views[$0].id) },
            mine.filter { !rollout.baseline.contains(views[$0].id) }
        )
        keepRunning(release, others, count: wantedCount(release))
        let before = state.instancesNamed
        keepRunning(release, compared, count: rollout.currentStage.candidate.of(size(of: release)))
        for ordinal in (before + 1)..<(state.instancesNamed + 1) {
            state.rollout?.baseline.insert(InstanceID(state.key, release: release, ordinal: ordinal))
        }
    }

    /// Makes those at `places` as many as they should be.
    private mutating func keepRunning(_ release: ReleaseNumber, _ places: [Int], count: Int) {
        let sick = places.filter { views[$0].replacement != nil }
        let usable = sick.isEmpty ? places : places.filter { views[$0].replacement == nil }
        if usable.count < count {
            let before = launches.count
            launch(count - usable.count, of: release)
            // Counted when they are launched: where sick ones recover before that, nothing is ever replaced.
            if sick.contains(where: { views[$0].replacement == .replaced }), launches.count > before {
                newlyReplaced.insert(release)
            }
        }
        // Sick ones stay until others can do their work: they may recover, or still serve a little. Of a release
        // whose replacements fall sick too, only as many are kept as it should have.
        if !sick.isEmpty {
            let fitCount = usable.count { views[$0].condition == .fit }
            for place in sick.prefix(fitCount >= count ? sick.count : max(0, sick.count - count)) {
                startDraining(place, reason: views[place].replacement ?? .replaced)
            }
        }
        guard usable.count > count else { return }
        // Those that were only launched to be compared with carry the smaller part: they go first.
        let compared = state.rollout?.baseline ?? []
        let leastUseful = usable.map { place in
            let view = views[place]
            return (use: view.condition.usefulness, part: compared.contains(view.id) ? 0 : 1, place: place)
        }.sorted { ($0.use, $0.part, $0.place) < ($1.use, $1.part, $1.place) }.map(\.place)
        for place in leastUseful.prefix(usable.count - count) {
            if views[place].isFit, views[place].weight > 0 {
                guard spareCapacity > 0 else { return }
                spareCapacity -= 1
            }
            startDraining(place, reason: .surplus)
        }
    }

    private mutating func launch(_ count: Int, of release: ReleaseNumber) {
        let history = isMereStandby(release) ? state.standbyRestarts : state.restarts
        if !isBeingProven(release), let next = history.nextLaunch, next > now {
            return lookAgain(at: next)
        }
        for _ in 0..<min(count, max(0, room(for: release))) {
            state.instancesNamed += 1
            let id = InstanceID(state.key, release: release, ordinal: state.instancesNamed)
            assert(situation.seen.instances[id] == nil, "an instance name is never reused")
            launches.append(.launch(id, release: release))
        }
        lookSoon()
    }

    /// How many more may be launched beside what runs already.
    private func room(for release: ReleaseNumber) -> Int {
        if isExclusive { return existing { $0 != release } == 0 ? .max : 0 }
        guard let rollout = state.rollout, let current = state.current,
            [rollout.to, current].contains(release),
            case .rolling(let rolling) = situation.releases[rollout.to]?.content.rollout.strategy,
            rollout.stages.contains(where: { $0.split == .even })
        else { return .max }
        let most = max(size(of: rollout.to), size(of: current))
        // A service that was scaled up meanwhile has larger batches than those that the surge was meant for.
        let batch = rollout.isReturning ? 0 : wantedCount(current) + wantedCount(rollout.to)
        let isStuck = rolling.surge.of(most) == 0 && rolling.minHealthy.of(most) >= most
        let excess = isStuck ? 1 : rolling.surge.of(most)
        return max(most + excess, batch) - existing { $0 == rollout.to || $0 == current }
    }

    /// Whether two releases of the service may never run at once: as the newest one says.
    var isExclusive: Bool {
        guard let release = state.rollout?.to ?? state.current else { return false }
        return situation.releases[release]?.content.rollout.strategy == .recreate
    }

    /// Instances that take up room: whatever may have a process, what is being removed or drained included.
    private func existing(_ isCounted: (ReleaseNumber) -> Bool) -> Int {
        let there = situation.seen.instances.values.count {
            if case .exited = $0.phase { return false }
            return $0.key == state.key && !$0.isTask && isCounted($0.release)
        }
        // A broken release whose replacements pile up must not keep out the one that mends it.
        let sick =
            isExclusive
            ? 0
            : views.count {
                ($0.replacement != nil || $0.isKept) && !$0.isDraining && isCounted($0.release)
            }
        let coming = launches.count {
            if case .launch(_, let release) = $0 { isCounted(release) } else { false }
        }
        return there - sick + coming
    }

    private func isTakingTraffic(_ view: InstanceView) -> Bool {
        view.isTaking || route?.match?.servers.contains(view.id) == true
    }

    private mutating func startDraining(_ place: Int, reason: RemovalReason) {
        let id = views[place].id
        if !views[place].isDraining { state.drainingSince[id] = now }
        views[place].isDraining = true
        drainReasons[id] = reason
    }

    mutating func stopDraining(_ place: Int) {
        views[place].isDraining = false
        state.drainingSince[views[place].id] = nil
    }

    private mutating func removeWhenDrained(_ view: InstanceView) {
        // Removing beneath a launch that is under way could leave half of it behind.
        guard let since = state.drainingSince[view.id], view.condition != .pending else { return }
        let limit = situation.releases[view.release]?.content.rollout.drain ?? .zero
        let server = route?.servers[view.id]
        let isTaking = isTakingTraffic(view)
        let isDrained = !isTaking && !situation.isRouteUnsettled && (server?.sessions ?? 0) == 0
        // Requests in flight may be cut at the limit; new ones are first to go elsewhere, however long that takes.
        let isCut = situation.elapsed(since: since) >= limit && (!isTaking || state.isRetiring)
        guard isDrained || isCut else { return lookSoon() }
        let reason = drainReasons[view.id] ?? view.replacement ?? .surplus
        removals.append(.remove(view.id, reason: reason, grace: grace(view)))
        gone.insert(view.id)
        lookSoon()
    }

    private func grace(_ view: InstanceView) -> Span {
        situation.releases[view.release]?.content.run.stopGrace ?? .zero
    }

    private mutating func finishRetiring() {
        if route != nil || situation.isRouteUnsettled {
            if route != nil { routing.append(.removeRoute(state.key)) }
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
