package import Model

/// Instances are replaced by age, so that whatever crept in unseen does not stay.
extension Draft {
    /// Marks those that are too old, a few at a time, where nothing else is under way.
    mutating func replaceAged() {
        guard !state.isRetiring, state.rollout == nil, let current = state.current else { return }
        let rules = situation.releases[current]?.content.repave ?? RepaveSettings()
        if let asked = state.repaveBefore, !isAnyOlder(than: asked, of: current) { state.repaveBefore = nil }
        for release in [current] + state.standbys {
            let aged = aged(of: release, rules)
            guard !aged.isEmpty else { continue }
            guard state.repaveBefore != nil || rules.isOpen(at: now) else {
                lookAgain(after: Limits.calendarLook)
                continue
            }
            // What is sick comes first, and has the room.
            guard !views[range(of: release)].contains(where: { $0.replacement != nil }) else { continue }
            let leaving = views[range(of: release)].count { $0.isDraining }
            for place in aged.prefix(max(0, Limits.driftBudget(of: size(of: release)) - leaving)) {
                views[place].replacement = .aged
            }
            lookSoon()
        }
    }

    /// The places of those that had their time, the oldest first.
    private func aged(of release: ReleaseNumber, _ rules: RepaveSettings) -> [Int] {
        let dated = range(of: release).compactMap { place -> (since: Instant, place: Int)? in
            let view = views[place]
            guard view.isRunning, !view.isDead, !view.isDraining, state.tainted(view.id) == nil,
                let since = situation.seen.instances[view.id]?.startedAt
            else { return nil }
            let isAsked = state.repaveBefore.map { since < $0 } ?? false
            let isOld = rules.maxAge.map { since + rules.age($0, of: view.id) <= now } ?? false
            return isAsked || isOld ? (since, place) : nil
        }
        return dated.sorted { ($0.since, $0.place) < ($1.since, $1.place) }.map(\.place)
    }

    private func isAnyOlder(than moment: Instant, of release: ReleaseNumber) -> Bool {
        ([release] + state.standbys).contains { release in
            views[range(of: release)].contains { view in
                state.tainted(view.id) == nil
                    && (situation.seen.instances[view.id]?.startedAt).map { $0 < moment } == true
            }
        }
    }
}

extension ServiceState {
    /// Has every instance that runs now replaced by one of the same release.
    package mutating func repave(at now: Instant, by operatorName: String) throws -> [Note] {
        if isRetiring { throw ServiceState.isRetiringFailure(key) }
        guard current != nil else {
            throw Failure(
                .notFound, "\(key) has no release that serves", suggestion: "deploy one: kiln deploy")
        }
        if let rollout {
            throw Failure(
                .conflict, "\(rollout.to) of \(key) is being rolled out",
                suggestion: "wait for its end, or end it: kiln rollout abort \(key)")
        }
        repaveBefore = now
        drift = nil
        return [Note(.repaved, "every instance of \(key) is replaced by a fresh one", by: operatorName)]
    }
}
