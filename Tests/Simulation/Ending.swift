import Model
import Planning

/// How a script goes on, what is to be true when it is over, and what calm is to bring.
extension SimulatedRun {
    func goOn() {
        guard violation == nil else { return }
        switch stage {
        case .script:
            guard position == script.entries.count else { return }
            checkExpectation()
            guard violation == nil else { return }
            calm()
            stage = .calming(since: uptime)
        case .settling(let since):
            if isQuiet {
                base = uptime
                stage = .script
            } else if uptime - since > Bound.calm, uptime - since > longestCalm {
                broke(.settles, unsettled ?? "a person is waited for")
            }
        case .calming(let since):
            if isQuiet { goBack() } else { failWhenLate(since) }
        case .returning(let since, let release):
            if isQuiet {
                if store.state.current != release {
                    broke(.oneCallAway, "\(release) was called back, \(text(store.state.current)) serves")
                }
                stage = .over
            } else {
                failWhenLate(since)
            }
        case .over: break
        }
    }

    private func failWhenLate(_ since: Int) {
        guard uptime - since > Bound.calm, uptime - since > longestCalm else { return }
        broke(.settles, unsettled ?? "it never settles")
    }

    /// The last good release is one call away, and then serves.
    private func goBack() {
        guard let release = store.state.good.dropLast().last else { return stage = .over }
        tell("— roll back to \(release)")
        ask(.rollBack(nil))
        guard store.state.rollout?.to == release else {
            return broke(.oneCallAway, "\(release) could not be called back")
        }
        laws.waitsBegan(at: uptime)
        stage = .returning(since: uptime, to: release)
    }

    /// Milliseconds until all is as intended, when nothing goes wrong any more.
    private var longestCalm: Int {
        let state = store.state
        let rollouts = [state.rollout, state.lastRollout].compactMap { $0 }.map(longest).reduce(0, +)
        let queued = state.queued.compactMap { store.releases[$0.to] }.map { release in
            let program = RolloutStage.program(
                release.content, size: store.size(of: release.number), replacesNothing: false, isDirect: false
            )
            return longest(
                Rollout(
                    number: 0, kind: .deploy, from: nil, to: release.number, startedAt: now, stages: program,
                    by: ""))
        }
        return Bound.calm + rollouts + queued.reduce(0, +)
    }

    // MARK: What is intended

    /// Whether all is as intended, or a person is waited for where that is expected.
    private var isQuiet: Bool {
        if stage != .script, script.expectation == .lacksData, !laws.isCalm, store.state.rollout?.pause != nil
        {
            return true
        }
        guard store.state.rollout == nil, store.state.queued.isEmpty, isDaemonUp, requestsWaiting == 0,
            !laws.mayConflict
        else { return false }
        return unsettled == nil
    }

    /// What is not as it should be when nothing is under way.
    var unsettled: String? {
        let state = store.state
        if let rollout = state.rollout { return "\(rollout.to) is in \(rollout.phase)" }
        if state.isRetiring { return "it is still retiring: \(host.seen.keys.sorted())" }
        guard let current = state.current, let release = store.releases[current] else {
            if !host.living.isEmpty { return "left over: \(host.seen.keys.sorted())" }
            return router.route == nil ? nil : "a door is left"
        }
        if state.standbys.count > release.content.rollout.keepStandby {
            return "\(state.standbys.count) standbys are kept"
        }
        for wanted in [current] + state.standbys {
            // A standby that cannot run keeps nothing from being settled.
            guard wanted == current || deployments[wanted].map({ $0.temper == .good }) ?? true else {
                continue
            }
            if let trouble = missing(wanted, isServing: wanted == current) { return trouble }
        }
        let kept = Set([current] + state.standbys)
        let strangers = host.living.compactMap { host[$0] }.filter { !kept.contains($0.release) || $0.isTask }
        if !strangers.isEmpty { return "left over: \(strangers.map(\.id))" }
        if router.servers.count != host.living.count { return "the route has servers too many" }
        if router.lagging != nil { return "the router lags" }
        return router.route?.listener == release.content.listen ? nil : "the door is another's"
    }

    private func missing(_ release: ReleaseNumber, isServing: Bool) -> String? {
        let mine = host.living.compactMap { host[$0] }.filter { $0.release == release }
        let size = store.size(of: release)
        guard mine.count == size, mine.allSatisfy({ $0.isAble(at: uptime) && $0.hasProven }) else {
            let list = mine.map { "\($0.id) \($0.stage)" }
            return "\(release) has \(list) of \(size)"
        }
        let isRight = mine.allSatisfy { router.servers[$0.id]?.seen.state.isServing == isServing }
        return isRight ? nil : "the traffic of \(release) is not right"
    }

    // MARK: What was expected

    private func checkExpectation() {
        let state = store.state
        let last = state.lastRollout
        let isRight =
            switch (script.expectation, last?.outcome) {
            case (.anything, _): true
            case (.succeeds, .succeeded): state.current == ReleaseNumber(max(1, state.releasesMade))
            case (.goesBack, .succeeded): last?.kind == .rollback && state.current == last?.to
            case (.returns, .rolledBack): state.current == last?.from && state.current != nil
            case (.stays, .failed): state.current == last?.from && last?.kind == .rollback
            case (.lacksData, _): state.rollout?.pause?.reason.hasPrefix("not enough data") == true
            case (.vanishes, _): state.current == nil && host.living.isEmpty && router.route == nil
            default: false
            }
        guard !isRight else { return }
        let end = state.rollout.map { "\($0.phase)" } ?? last?.endText ?? "no rollout"
        broke(
            .expectation, "expected: \(script.expectation.rawValue); \(text(state.current)) serves; \(end)")
    }

    private func text(_ release: ReleaseNumber?) -> String { release.map { "\($0)" } ?? "nothing" }
}
