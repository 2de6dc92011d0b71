package import Model

/// What people ask for, as changes of intent. Each is refused here, before anything moves, or not at all.
extension ServiceState {
    /// Names the next release. The caller stores it together with the state.
    package mutating func nextRelease() -> ReleaseNumber {
        releasesMade += 1
        return ReleaseNumber(releasesMade)
    }

    /// Begins to roll out `release`, ending whatever rollout was under way.
    package mutating func deploy(
        _ release: Release, replacing old: Release?, at now: Instant, by operatorName: String
    ) throws -> [Note] {
        if isRetiring { throw ServiceState.isRetiringFailure(key) }
        let notes = begin(.deploy, to: release.number, at: now, by: operatorName)
        // A count set by hand stands until the declared count itself changes, and then until that release has
        // succeeded: what serves keeps its size meanwhile.
        if let old, old.content.run.replicas != release.content.run.replicas {
            rollout?.resetsReplicas = true
        }
        return notes
    }

    /// Goes back to `target`, or to the last good release before the current one. During a deploy, aborts it.
    package mutating func rollBack(
        to target: ReleaseNumber?, known: Set<ReleaseNumber>, at now: Instant, by operatorName: String
    ) throws -> [Note] {
        if isRetiring { throw ServiceState.isRetiringFailure(key) }
        if let rollout, rollout.kind == .deploy, target == nil || target == rollout.from {
            return try abort(rollout, at: now, by: operatorName)
        }
        guard let current else {
            throw Failure(
                .notFound, "\(key) has no release that serves", suggestion: "deploy one: kiln deploy")
        }
        guard let destination = target ?? good.dropLast().last else {
            throw Failure(
                .notFound, "\(key) has no older good release than \(current)",
                suggestion: "`kiln history \(key)` lists what can be named with --to")
        }
        guard known.contains(destination) else {
            throw Failure(
                .notFound, "\(key) has no release \(destination)",
                suggestion: "`kiln history \(key)` lists the releases there are")
        }
        if let rollout, rollout.to == destination, !rollout.isReturning {
            throw Failure(.conflict, "\(destination) is being rolled out already")
        }
        guard destination != current || rollout != nil else {
            throw Failure(.conflict, "\(destination) is what serves already")
        }
        return begin(.rollback, to: destination, at: now, by: operatorName)
    }

    private mutating func abort(_ rollout: Rollout, at now: Instant, by operatorName: String) throws -> [Note]
    {
        guard let from = rollout.from else {
            throw Failure(
                .notFound, "\(rollout.to) is the first release: there is none to go back to",
                suggestion: "`kiln retire \(key)` stops the service")
        }
        guard !rollout.isReturning else { return [] }
        let reason = "\(operatorName) asked for it"
        self.rollout?.phase = .returning(since: now, reason: reason)
        return [Note(.returning, "\(from) takes its traffic back: \(reason)", release: from)]
    }

    /// Keeps `count` instances of each release from now on.
    package mutating func scale(to count: Int) throws -> [Note] {
        guard (1...1000).contains(count) else {
            throw Failure(
                .invalidArgument, "\(count) instances are asked for; 1…1000 are allowed",
                suggestion: "`kiln retire \(key)` stops the service")
        }
        if isRetiring { throw ServiceState.isRetiringFailure(key) }
        replicas = count
        rollout?.resetsReplicas = false
        return [Note(.scaled, "\(key) runs \(counted(count, "instance"))", details: ["replicas": "\(count)"])]
    }

    /// Stops the service and removes all that runs of it.
    package mutating func beginRetiring(at now: Instant) -> [Note] {
        guard !isRetiring else { return [] }
        supersede(at: now)
        isRetiring = true
        return [Note(.retiring, "\(key) is being retired")]
    }

    private mutating func begin(
        _ kind: Rollout.Kind, to release: ReleaseNumber, at now: Instant, by operatorName: String
    ) -> [Note] {
        supersede(at: now)
        rolloutsBegun += 1
        rollout = Rollout(
            number: rolloutsBegun, kind: kind, from: current, to: release, startedAt: now, by: operatorName)
        // A fresh start: an old release's crashes must not hold back the one that mends them.
        restarts = RestartHistory()
        standbyRestarts = RestartHistory()
        let text = kind == .deploy ? "rolling out \(release)" : "rolling back to \(release)"
        return [Note(.rolloutBegan, text, release: release, details: ["kind": kind.rawValue])]
    }

    private mutating func supersede(at now: Instant) {
        guard var old = rollout else { return }
        // The first release of all is the only one there is to go back to, once it serves.
        if current == nil, case .watching = old.phase {
            current = old.to
            good = [old.to]
        }
        old.phase = .ended(at: now, .superseded)
        lastRollout = old
        rollout = nil
    }

    private static func isRetiringFailure(_ key: ServiceKey) -> Failure {
        Failure(
            .conflict, "\(key) is being retired", suggestion: "wait until `kiln status` no longer lists it")
    }
}

extension Rollout {
    /// Whether the old release is taking its traffic back.
    var isReturning: Bool { if case .returning = phase { true } else { false } }
    /// Whether the new release is still to be proven, without traffic.
    var isLaunching: Bool { if case .launching = phase { true } else { false } }
}
