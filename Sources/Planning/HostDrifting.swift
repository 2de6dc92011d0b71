package import Model

/// What is done about the host and the router, where they are not as Kiln made them.
package struct HostDriftBook: Sendable {
    package enum Action: Hashable, Sendable {
        /// It is new.
        case tell(Drift)
        /// It is to be put back as it was.
        case setRight(Drift)
        /// It was put back as often as makes sense: somebody keeps changing it.
        case giveUp(Drift)
        /// It is gone.
        case over(Drift)
    }

    private struct Entry: Sendable {
        var drift: Drift
        var isThere: Bool
        var tries: RestartHistory
        var isGivenUp: Bool
        /// When it was told last; nil: never.
        var toldAt: Instant?

        /// When anything was done about it last.
        var last: Instant? { [tries.last, toldAt].compactMap { $0 }.max() }
    }

    private struct Name: Hashable, Sendable {
        var kind: Drift.Kind
        var subject: String
    }

    private var entries: [Name: Entry] = [:]

    package init() {}

    /// Takes what was found at a look.
    package mutating func take(_ found: [Drift], at now: Instant) -> [Action] {
        var actions: [Action] = []
        let names = Set(found.map { Name(kind: $0.kind, subject: $0.subject) })
        for (name, entry) in entries where entry.isThere && !names.contains(name) {
            entries[name]?.isThere = false
            actions.append(.over(entry.drift))
        }
        // One that stayed away for long enough is a new one when it comes again.
        entries = entries.filter {
            $0.value.isThere || now - ($0.value.last ?? now) <= Limits.driftMemory
        }
        for drift in found {
            let name = Name(kind: drift.kind, subject: drift.subject)
            guard entries[name] != nil || entries.count < Limits.hostDrifts else { continue }
            var entry =
                entries[name]
                ?? Entry(drift: drift, isThere: false, tries: RestartHistory(), isGivenUp: false)
            // What comes and goes is told once in a while, and not each time.
            if !entry.isThere, entry.toldAt.map({ now - $0 > Limits.driftMemory }) ?? true {
                actions.append(.tell(drift))
                entry.toldAt = now
            }
            entry.isThere = true
            if drift.isPutBack, !entry.isGivenUp, entry.tries.nextLaunch.map({ $0 <= now }) ?? true {
                if entry.tries.recent >= Limits.driftRounds {
                    entry.isGivenUp = true
                    actions.append(.giveUp(drift))
                } else {
                    entry.tries.count(at: now)
                    actions.append(.setRight(drift))
                }
            }
            entries[name] = entry
        }
        return actions.sorted { $0.rank < $1.rank }
    }
}

extension HostDriftBook.Action {
    fileprivate var rank: Int {
        switch self {
        case .tell: 0
        case .setRight: 1
        case .giveUp: 2
        case .over: 3
        }
    }
}
