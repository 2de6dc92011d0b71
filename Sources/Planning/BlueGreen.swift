import Model

/// Blue-green: launch all of the new release, prove it, switch all traffic at once, watch it, keep the old one warm.
extension Draft {
    mutating func advanceRollout() {
        guard !state.isRetiring, let rollout = state.rollout else { return }
        let settings = situation.releases[rollout.to]?.content.rollout ?? RolloutSettings()
        noteRefusal()
        switch rollout.phase {
        case .launching(let since): launching(rollout, since: since, settings)
        case .switching(let since): switching(rollout, since: since)
        case .watching(let since): watching(rollout, since: since, settings)
        case .returning(let since, let reason): returning(rollout, since: since, reason: reason)
        case .ended: break
        }
    }

    private mutating func launching(_ rollout: Rollout, since: Instant, _ settings: RolloutSettings) {
        lookSoon()
        // A half-made one is what a crash of the daemon leaves, and says nothing about the release.
        let failed = views(of: rollout.to).filter { $0.isDead && $0.condition != .dead(.halfMade) }
        for view in failed { state.rollout?.failed.insert(view.id) }
        let unlaunched = situation.launchFailures.filter { $0.release == rollout.to }
        for failure in unlaunched { state.rollout?.failed.insert(failure.id) }
        let failures = state.rollout?.failed.count ?? 0
        let size = situation.size(of: rollout.to)
        let fitCount = fit(rollout.to).count
        if let refusal, isRefusedForLong, !mustLeaveDoorShut {
            giveUp(rollout, "the router refused: \(refusal)")
        } else if failures >= Limits.candidateFailures {
            let why = unlaunched.last.map { ": \($0.reason)" } ?? ""
            giveUp(
                rollout,
                "\(counted(failures, "instance")) of \(rollout.to) failed before they were healthy\(why)")
        } else if fitCount >= size, size > 0 {
            notes.append(
                Note(
                    .allHealthy, "\(rollout.to) is healthy: \(counted(size, "instance"))", release: rollout.to
                ))
            move(to: .switching(since: now))
        } else if situation.elapsed(since: since) >= settings.deadline {
            giveUp(
                rollout,
                "\(fitCount) of \(counted(size, "instance")) of \(rollout.to) were healthy after \(settings.deadline)"
            )
        }
    }

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
        return situation.elapsed(since: since) >= Limits.refusalPatience
    }

    private mutating func move(to phase: Rollout.Phase) {
        state.rollout?.phase = phase
        state.rollout?.refusedSince = nil
    }

    /// Ends a rollout whose release never had traffic.
    private mutating func giveUp(_ rollout: Rollout, _ reason: String) {
        end(
            rollout.kind == .deploy && rollout.from != nil
                ? .rolledBack(reason: reason) : .failed(reason: reason))
    }

    private mutating func switching(_ rollout: Rollout, since: Instant) {
        lookSoon()
        if rollout.kind == .deploy, let trouble = trouble(with: rollout.to) {
            turnBack(trouble)
        } else if isServing(rollout.to) {
            notes.append(Note(.switched, "all new requests go to \(rollout.to)", release: rollout.to))
            if rollout.kind == .rollback {
                end(.succeeded)
            } else {
                move(to: .watching(since: now))
            }
        } else if let refusal, isRefusedForLong {
            turnBack("the router refused: \(refusal)")
        } else if situation.elapsed(since: since) >= Limits.switchDeadline {
            turnBack("the router did not switch within \(Limits.switchDeadline)")
        }
    }

    private mutating func watching(_ rollout: Rollout, since: Instant, _ settings: RolloutSettings) {
        lookAgain(after: Limits.watchLook)
        lookAgain(at: situation.begun(since) + settings.watch)
        let watched = situation.elapsed(since: since)
        if let trouble = trouble(with: rollout.to) {
            turnBack(trouble)
        } else if watched >= settings.watch, isServing(rollout.to) {
            end(.succeeded)
        } else if watched >= settings.watch + Limits.switchDeadline {
            turnBack("the router did not keep serving it")
        }
    }

    /// Gives the traffic back to the last good release, or ends where there is none.
    private mutating func turnBack(_ reason: String) {
        guard let rollout = state.rollout else { return }
        guard rollout.kind == .deploy, let from = rollout.from else { return end(.failed(reason: reason)) }
        notes.append(Note(.returning, "\(from) takes its traffic back: \(reason)", release: from))
        move(to: .returning(since: now, reason: reason))
        lookSoon()
    }

    private mutating func returning(_ rollout: Rollout, since: Instant, reason: String) {
        lookSoon()
        guard let from = rollout.from else { return end(.failed(reason: reason)) }
        if isServing(from) {
            end(.rolledBack(reason: reason))
        } else if situation.elapsed(since: since) >= Limits.returnDeadline {
            end(.failed(reason: "\(reason); \(from) was not healthy within \(Limits.returnDeadline) either"))
        }
    }

    /// What speaks against a release that has traffic, if anything does.
    private func trouble(with release: ReleaseNumber) -> String? {
        // A launch cut short (by a crash of the daemon, say) says nothing about a release that runs already.
        let isBad = { (view: InstanceView) in
            view.condition == .sick || (view.isDead && view.condition != .dead(.halfMade))
        }
        guard let bad = views(of: release).first(where: isBad) else { return nil }
        return switch bad.condition {
        case .dead(.exited): "\(bad.id) ended\(bad.seen.exitText)"
        case .dead: "\(bad.id) did not become healthy"
        default: bad.seen.isMonitored ? "\(bad.id) fails its health check" : "\(bad.id) lost its monitor"
        }
    }

    /// Whether the router was seen to send new requests to all that is fit of `release` and to nothing else.
    private func isServing(_ release: ReleaseNumber) -> Bool {
        guard let route = situation.route else { return false }
        let fitOnes = Set(fit(release).map(\.id))
        guard !fitOnes.isEmpty, route.listener == situation.releases[release]?.content.listen else {
            return false
        }
        let taking = route.servers.filter { if case .serving = $0.value.state { true } else { false } }
        let owners = Dictionary(uniqueKeysWithValues: views.map { ($0.id, $0.release) })
        return fitOnes.isSubset(of: taking.keys) && taking.keys.allSatisfy { owners[$0] == release }
    }

    private mutating func end(_ outcome: Rollout.Outcome) {
        guard var rollout = state.rollout else { return }
        rollout.phase = .ended(at: now, outcome)
        state.rollout = nil
        state.lastRollout = rollout
        if outcome == .succeeded { state.settle(rollout, keeping: standbyLimit(after: rollout)) }
        notes.append(
            Note(
                .rolloutEnded, rollout.endText, release: rollout.to,
                details: [
                    "outcome": outcome.name, "milliseconds": "\((now - rollout.startedAt).milliseconds)",
                ]))
        lookSoon()
    }

    private func standbyLimit(after rollout: Rollout) -> Int {
        situation.releases[rollout.to]?.content.rollout.keepStandby ?? 0
    }
}

extension ServiceState {
    /// Makes a rollout's new release the current one.
    mutating func settle(_ rollout: Rollout, keeping standbyLimit: Int) {
        current = rollout.to
        if rollout.resetsReplicas { replicas = nil }
        // What the one before did is not held against this one.
        restarts = RestartHistory()
        // A release that was rolled back from is not one to go back to.
        if let index = good.firstIndex(of: rollout.to) { good.removeSubrange((index + 1)...) }
        if rollout.kind == .rollback, let from = rollout.from { good.removeAll { $0 == from } }
        if good.last != rollout.to { good.append(rollout.to) }
        good.removeFirst(max(0, good.count - Limits.goodReleases))
        standbys = Array(good.dropLast().suffix(standbyLimit).reversed())
    }
}

extension ObservedInstance {
    /// ` with status 3`, where the status is known.
    var exitText: String {
        if case .exited(let status?) = phase { " with status \(status)" } else { "" }
    }
}

extension Rollout.Outcome {
    package var name: String {
        switch self {
        case .succeeded: "succeeded"
        case .rolledBack: "rolled-back"
        case .failed: "failed"
        case .superseded: "superseded"
        }
    }
}

extension Rollout {
    /// One sentence about how it ended.
    package var endText: String {
        guard let outcome else { return "\(to) is being rolled out" }
        switch outcome {
        case .succeeded: return kind == .deploy ? "\(to) serves" : "rolled back: \(to) serves"
        case .rolledBack(let reason):
            return from.map { "\(to) was rolled back, \($0) serves: \(reason)" }
                ?? "\(to) was rolled back: \(reason)"
        case .failed(let reason): return "\(to) failed: \(reason)"
        case .superseded: return "\(to) was superseded"
        }
    }
}
