import Model

/// How a rollout goes from stage to stage: launch, split the traffic, wait, go on; or give the traffic back.
extension Draft {
    mutating func advanceRollout() {
        guard !state.isRetiring else { return }
        beginQueued()
        guard state.rollout != nil else { return }
        noteRefusal()
        if state.rollout?.trafficBefore == nil, let counts = route?.counts {
            state.rollout?.trafficBefore = counts
        }
        // What is true already needs no second look: each pass goes on by one phase.
        for _ in 0..<(3 * (state.rollout?.stages.count ?? 0) + 3) {
            let before = state.rollout.map { ($0.stage, $0.phase) }
            advance()
            guard let before, let rollout = state.rollout, before != (rollout.stage, rollout.phase) else {
                return
            }
        }
    }

    private mutating func advance() {
        guard let rollout = state.rollout else { return }
        switch rollout.phase {
        case .launching(let since): launching(rollout, since: since)
        case .switching(let since): switching(rollout, since: since)
        case .waiting(let since): waiting(rollout, since: since)
        case .returning(let since, let reason): returning(rollout, since: since, reason: reason)
        case .ended: break
        }
    }

    private func settings(_ rollout: Rollout) -> RolloutSettings {
        situation.releases[rollout.to]?.content.rollout ?? RolloutSettings()
    }

    // MARK: Launching

    private mutating func launching(_ rollout: Rollout, since: Instant) {
        lookSoon()
        let settings = settings(rollout)
        // A half-made one is what a crash of the daemon leaves, and says nothing about the release.
        for view in views[range(of: rollout.to)] where view.hasEnded && !view.isDraining {
            state.rollout?.failed.insert(view.id)
        }
        let unlaunched = situation.launchFailures.filter { $0.release == rollout.to && !isTask($0.id) }
        for failure in unlaunched { state.rollout?.failed.insert(failure.id) }
        let failures = state.rollout?.failed.count ?? 0
        let size = rollout.currentStage.candidate.of(size(of: rollout.to))
        let fitCount = fitCount(rollout.to)
        if rollout.hasMoved, rollout.kind == .deploy, let trouble = troubleInTraffic(with: rollout.to) {
            turnBack(trouble)
        } else if let refusal, isRefusedForLong, !mustLeaveDoorShut {
            giveUp("the router refused: \(refusal)")
        } else if failures >= Limits.candidateFailures {
            let why = unlaunched.last.map { ": \($0.reason)" } ?? ""
            giveUp("\(counted(failures, "instance")) of \(rollout.to) failed before they were healthy\(why)")
        } else if fitCount >= size, size > 0, isBlocked(rollout, since: since, settings) {
            skipToEnd("an earlier release still serves in the place of instances that are missing")
        } else if fitCount >= size, size > 0, isCleared(for: rollout, since: since, settings) {
            guard rollout.pause == nil else { return }
            noteHealthy(rollout, size)
            move(to: .switching(since: now))
        } else if rollout.pause == nil, fitCount < size,
            situation.elapsed(since: provingSince(rollout, since, settings)) >= settings.deadline
        {
            giveUp(
                "\(fitCount) of \(counted(size, "instance")) of \(rollout.to) were healthy after \(settings.deadline)"
            )
        }
    }

    private mutating func noteHealthy(_ rollout: Rollout, _ size: Int) {
        let isNews = rollout.previous?.candidate != rollout.currentStage.candidate
        guard isNews else { return }
        notes.append(
            Note(.allHealthy, "\(rollout.to) is healthy: \(counted(size, "instance"))", release: rollout.to))
    }

    /// Whether what has to happen besides the new instances has happened, or has had its time: fresh instances of
    /// the old release to compare with, and an earlier rollout's release out of the traffic.
    private func isCleared(for rollout: Rollout, since: Instant, _ settings: RolloutSettings) -> Bool {
        if rollout.currentStage.split == .share(100) { return true }
        if areOthersServing(besides: rollout) { return false }
        if situation.elapsed(since: since) >= settings.deadline { return true }
        guard rollout.currentStage.hasBaseline, let from = state.current, hasFit(from) else { return true }
        let ready = rollout.baseline.count { view($0)?.isFit == true }
        return ready >= rollout.currentStage.candidate.of(size(of: from))
    }

    private func areOthersServing(besides rollout: Rollout) -> Bool {
        views.contains { $0.isTaking && $0.release != rollout.to && $0.release != state.current }
    }

    /// Whether two releases cannot share the traffic because a third has been holding a part of it for too long.
    private func isBlocked(_ rollout: Rollout, since: Instant, _ settings: RolloutSettings) -> Bool {
        rollout.stage < rollout.furthestStage && areOthersServing(besides: rollout)
            && situation.elapsed(since: since) >= settings.deadline
    }

    /// Since when the stage's instances are being proven: where others have to make room first, since the first was
    /// launched. What never goes is waited for three times as long.
    private func provingSince(_ rollout: Rollout, _ since: Instant, _ settings: RolloutSettings) -> Instant {
        guard rollout.stages.contains(where: { $0.split == .even || $0.removesFirst }) else { return since }
        let launched = views[range(of: rollout.to)].filter { !$0.isDead && !$0.isProven }
            .compactMap { situation.seen.instances[$0.id]?.startedAt }
        if let first = launched.min() { return max(since, first) }
        return situation.elapsed(since: since) < settings.deadline * 3 ? now : since
    }

    // MARK: Switching

    private mutating func switching(_ rollout: Rollout, since: Instant) {
        lookSoon()
        if rollout.kind == .deploy, let trouble = trouble(with: rollout.to) {
            turnBack(trouble)
        } else if isStableLost(rollout) {
            skipToEnd("nothing of \(state.current.map { "\($0)" } ?? "the old release") is fit")
        } else if rollout.split == .none && rollout.match == nil || isCarriedOut() {
            noteSwitched(rollout)
            if case .none = rollout.currentStage.wait { goOn() } else { move(to: .waiting(since: now)) }
        } else if let refusal, isRefusedForLong {
            turnBack("the router refused: \(refusal)")
        } else if situation.elapsed(since: since) >= Limits.switchDeadline {
            turnBack("the router did not switch within \(Limits.switchDeadline)")
        }
    }

    private mutating func noteSwitched(_ rollout: Rollout) {
        let stage = rollout.currentStage
        let before = rollout.previous
        guard stage.split != before?.split ?? .none || stage.match != before?.match || stage.split == .even
        else {
            return
        }
        let text =
            switch stage.split {
            case .none: stage.match.map { "requests with \($0.header) go to \(rollout.to)" }
            case .share(100): "all new requests go to \(rollout.to)"
            case .share(let share): "\(share) % of new requests go to \(rollout.to)"
            case .even: "traffic goes to \(counted(fitCount(rollout.to), "instance")) of \(rollout.to)"
            }
        if let text { notes.append(Note(.switched, text, release: rollout.to)) }
    }

    /// Whether there is no old release to share the traffic with: a broken release must not hold back its mending.
    private func isStableLost(_ rollout: Rollout) -> Bool {
        let stage = rollout.currentStage
        guard rollout.stage < rollout.furthestStage, stage.split != .none || stage.match != nil else {
            return false
        }
        return state.current.map { !hasFit($0) && stage.stable != .nothing } ?? true
    }

    private mutating func skipToEnd(_ reason: String) {
        guard let rollout = state.rollout, rollout.stage < rollout.furthestStage else { return }
        let end = rollout.furthestStage
        notes.append(
            end == rollout.finalStage
                ? Note(.promoted, "\(rollout.to) is to take all traffic: \(reason)", release: rollout.to)
                : Note(
                    .stageBegan, "what needs a signed approval is asked next: \(reason)", release: rollout.to)
        )
        state.rollout?.enter(end, at: now)
    }

    // MARK: Waiting

    private mutating func waiting(_ rollout: Rollout, since: Instant) {
        lookAgain(after: Limits.watchLook)
        if rollout.kind == .deploy, let trouble = trouble(with: rollout.to) { return turnBack(trouble) }
        if isStableLost(rollout) {
            return skipToEnd("nothing of \(state.current.map { "\($0)" } ?? "the old release") is fit")
        }
        if let pause = rollout.pause, situation.elapsed(since: pause.since) >= Limits.longestPause {
            return turnBack("it was paused for \(Limits.longestPause): \(pause.reason)")
        }
        switch rollout.currentStage.wait {
        case .none: if rollout.pause == nil { goOn() }
        case .settle(let span): settling(since: since, span, isPaused: rollout.pause != nil)
        case .pause(let span): pausing(rollout, since: since, span)
        case .gate(let gate): ask(gate, rollout)
        }
    }

    private mutating func settling(since: Instant, _ span: Span, isPaused: Bool) {
        lookAgain(at: situation.begun(since) + span)
        let watched = situation.elapsed(since: since)
        guard watched >= span else { return }
        if isCarriedOut() {
            if !isPaused { goOn() }
        } else if watched >= span + Limits.switchDeadline, !isPaused {
            turnBack("the router did not keep serving it")
        }
    }

    private mutating func pausing(_ rollout: Rollout, since: Instant, _ span: Span?) {
        if let span {
            lookAgain(at: situation.begun(since) + span)
            if situation.elapsed(since: since) >= span, rollout.pause == nil { goOn() }
        } else if rollout.pause == nil {
            pause("its steps say so: `kiln rollout resume \(state.key)` goes on")
        }
    }

    mutating func pause(_ reason: String) {
        guard state.rollout?.pause == nil else { return }
        state.rollout?.pause = Rollout.Pause(since: now, reason: reason)
        notes.append(Note(.paused, "the rollout is paused: \(reason)", release: state.rollout?.to))
    }

    /// The stage has what it waited for.
    mutating func goOn() {
        guard let rollout = state.rollout else { return }
        guard rollout.stage + 1 < rollout.stages.count else { return end(.succeeded) }
        state.rollout?.enter(rollout.stage + 1, at: now)
        lookSoon()
    }

    // MARK: Giving up

    private mutating func noteRefusal() {
        if refusal != nil {
            let since = state.rollout?.refusedSince ?? now
            state.rollout?.refusedSince = since
        } else if !mustLeaveDoorShut {
            state.rollout?.refusedSince = nil
        }
    }

    /// Whether the router has been refusing for longer than a restart of it explains.
    var isRefusedForLong: Bool {
        guard let since = state.rollout?.refusedSince else { return false }
        // Time in which it was not asked again says nothing.
        let last = situation.routeFailedAt ?? now
        return last - situation.begun(since) >= Limits.refusalPatience
    }

    private mutating func move(to phase: Rollout.Phase) {
        state.rollout?.phase = phase
        state.rollout?.refusedSince = nil
    }

    /// Ends a rollout whose release never had traffic; one that had gives it back first.
    private mutating func giveUp(_ reason: String) {
        guard let rollout = state.rollout else { return }
        if rollout.hasMoved, rollout.kind == .deploy { return turnBack(reason) }
        end(
            rollout.kind == .deploy && rollout.from != nil
                ? .rolledBack(reason: reason) : .failed(reason: reason))
    }

    /// Gives the traffic back to the last good release, or ends where there is none.
    mutating func turnBack(_ reason: String) {
        guard let rollout = state.rollout else { return }
        guard rollout.kind == .deploy, let from = rollout.from else { return end(.failed(reason: reason)) }
        notes.append(Note(.returning, "\(from) takes its traffic back: \(reason)", release: from))
        state.rollout?.pause = nil
        move(to: .returning(since: now, reason: reason))
        lookSoon()
    }

    private mutating func returning(_ rollout: Rollout, since: Instant, reason: String) {
        lookSoon()
        guard let from = rollout.from else { return end(.failed(reason: reason)) }
        if isCarriedOut() {
            end(.rolledBack(reason: reason))
        } else if situation.elapsed(since: since) >= Limits.returnDeadline + settings(rollout).deadline {
            end(.failed(reason: "\(reason); \(from) was not healthy in time either"))
        }
    }

    /// What speaks against a release that has traffic, if anything does.
    private func trouble(with release: ReleaseNumber) -> String? {
        // A launch cut short (by a crash of the daemon, say) says nothing about a release that runs already.
        views[range(of: release)].first {
            !$0.isDraining && ($0.condition == .sick || $0.hasEnded) && state.tainted($0.id) == nil
        }.map(troubleText)
    }

    /// The same, where more of it are being launched, which may fail a few times before that says something.
    private func troubleInTraffic(with release: ReleaseNumber) -> String? {
        views[range(of: release)].first {
            $0.isProven && !$0.isDraining && ($0.condition == .sick || $0.hasEnded)
                // What somebody touched says nothing about its release.
                && state.tainted($0.id) == nil
        }.map(troubleText)
    }

    private func troubleText(_ bad: InstanceView) -> String {
        let seen = situation.seen.instances[bad.id]
        return switch bad.condition {
        case .dead(.exited): "\(bad.id) ended\(seen?.exitText ?? "")"
        case .dead: "\(bad.id) did not become healthy"
        default:
            seen?.isMonitored == false ? "\(bad.id) lost its monitor" : "\(bad.id) fails its health check"
        }
    }
}

extension InstanceView {
    /// Whether it ran and does not any more. A half-made one is what a crash of the daemon leaves, and says nothing.
    fileprivate var hasEnded: Bool { isDead && condition != .dead(.halfMade) }
}

extension Rollout {
    /// Begins a stage.
    mutating func enter(_ stage: Int, at now: Instant) {
        if !isLaunching { previous = currentStage }
        self.stage = stage
        phase = .launching(since: now)
        pause = nil
        analysis = nil
        refusedSince = nil
    }

    /// Whether the old release is taking its traffic back.
    var isReturning: Bool { if case .returning = phase { true } else { false } }
    /// Whether the stage's instances are still to be proven.
    var isLaunching: Bool { if case .launching = phase { true } else { false } }
}

extension ObservedInstance {
    /// ` with status 3`, where the status is known.
    var exitText: String {
        if case .exited(let status?) = phase { " with status \(status)" } else { "" }
    }
}
