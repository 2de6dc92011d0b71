import Model

/// How rollouts end, and what follows.
extension Draft {
    mutating func end(_ outcome: Rollout.Outcome) {
        guard var rollout = state.rollout else { return }
        rollout.phase = .ended(at: now, outcome)
        rollout.pause = nil
        if let counts = route?.counts {
            rollout.traffic = counts.since(rollout.trafficBefore ?? TrafficCounts())
        }
        state.rollout = nil
        state.lastRollout = rollout
        if outcome == .succeeded { state.settle(rollout, keeping: standbyLimit(after: rollout)) }
        notes.append(
            Note(
                .rolloutEnded, rollout.endText, release: rollout.to,
                details: rollout.endDetails.merging(
                    ["milliseconds": "\((now - rollout.startedAt).milliseconds)"]
                ) { $1 }))
        lookSoon()
    }

    private func standbyLimit(after rollout: Rollout) -> Int {
        situation.releases[rollout.to]?.content.rollout.keepStandby ?? 0
    }

    /// The deploy that waited for the last rollout to end.
    mutating func beginQueued() {
        guard state.rollout == nil, let next = state.queued.first else { return }
        let release = situation.releases[next.to]
        if let freeze = release?.content.repave?.freeze(at: now) { return lookAgain(at: freeze.until) }
        let others = Array(state.queued.dropFirst())
        state.queued = others
        guard let release else { return }
        let old = state.current.flatMap { situation.releases[$0] }
        notes += state.begin(.deploy, release, replacing: old, at: now, by: next.by)
        state.queued = others
    }
}

extension ServiceState {
    /// Makes a rollout's new release the current one.
    mutating func settle(_ rollout: Rollout, keeping standbyLimit: Int) {
        current = rollout.to
        if rollout.resetsReplicas { replicas = nil }
        // What the one before did is not held against this one.
        restarts = RestartHistory()
        drift = nil
        // A release that was rolled back from is not one to go back to.
        if let index = good.firstIndex(of: rollout.to) { good.removeSubrange((index + 1)...) }
        if rollout.kind == .rollback, let from = rollout.from { good.removeAll { $0 == from } }
        if good.last != rollout.to { good.append(rollout.to) }
        good.removeFirst(max(0, good.count - Limits.goodReleases))
        standbys = Array(good.dropLast().suffix(standbyLimit).reversed())
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

    /// The outcome and the router's own counters, for the ledger.
    var endDetails: [String: String] {
        var details = ["outcome": outcome?.name ?? ""]
        guard let traffic else { return details }
        details["requests"] = "\(traffic.requests)"
        details["failed"] = "\(traffic.failed)"
        details["refused"] = "\(traffic.refused)"
        details["cut"] = "\(traffic.cut)"
        details["server-errors"] = "\(traffic.serverErrors)"
        return details
    }
}
