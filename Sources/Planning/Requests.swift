package import Model

/// What people ask for, as changes of intent. Each is refused here, before anything moves, or not at all.
extension ServiceState {
    /// Names the next release. The caller stores it together with the state.
    package mutating func nextRelease() -> ReleaseNumber {
        releasesMade += 1
        return ReleaseNumber(releasesMade)
    }

    /// Begins to roll out `release`, ending whatever rollout was under way; or, if `isQueued`, after that one.
    package mutating func deploy(
        _ release: Release, replacing old: Release?, isQueued: Bool = false, at now: Instant,
        by operatorName: String
    ) throws -> [Note] {
        if isRetiring { throw ServiceState.isRetiringFailure(key) }
        guard isQueued, let rollout else {
            return begin(.deploy, release, replacing: old, at: now, by: operatorName)
        }
        guard queued.count < Limits.queuedRollouts else {
            throw Failure(
                .conflict, "\(counted(queued.count, "deploy")) of \(key) wait already",
                suggestion: "deploy without --queue to put this one in the place of all of them")
        }
        queued.append(QueuedRollout(to: release.number, by: operatorName))
        let text = "\(release.number) waits for \(rollout.to) and \(counted(queued.count - 1, "other"))"
        return [Note(.queued, text, release: release.number, by: operatorName)]
    }

    /// Goes back to `target`, or to the last good release before the current one. During a deploy, aborts it.
    package mutating func rollBack(
        to target: ReleaseNumber?, known: [ReleaseNumber: Release], at now: Instant, by operatorName: String
    ) throws -> [Note] {
        if isRetiring { throw ServiceState.isRetiringFailure(key) }
        if let rollout, rollout.kind == .deploy, target == nil || target == rollout.from {
            return try abort(at: now, by: operatorName)
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
        guard let release = known[destination] else {
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
        return begin(
            .rollback, release, replacing: known[current], at: now, by: operatorName)
    }

    /// Keeps `count` instances of each release from now on.
    package mutating func scale(to count: Int, by operatorName: String) throws -> [Note] {
        guard (1...1000).contains(count) else {
            throw Failure(
                .invalidArgument, "\(count) instances are asked for; 1…1000 are allowed",
                suggestion: "`kiln retire \(key)` stops the service")
        }
        if isRetiring { throw ServiceState.isRetiringFailure(key) }
        replicas = count
        rollout?.resetsReplicas = false
        return [
            Note(
                .scaled, "\(key) runs \(counted(count, "instance"))", by: operatorName,
                details: ["replicas": "\(count)"])
        ]
    }

    /// Stops the service and removes all that runs of it. `operatorName` is nil where nobody asked for it.
    package mutating func beginRetiring(at now: Instant, by operatorName: String?) -> [Note] {
        guard !isRetiring else { return [] }
        let ended = supersede(at: now, by: operatorName)
        queued = []
        isRetiring = true
        return ended + [Note(.retiring, "\(key) is being retired", by: operatorName)]
    }

    /// Ends the rollout under way in favour of this one, which also takes the place of those that wait.
    mutating func begin(
        _ kind: Rollout.Kind, _ release: Release, replacing old: Release?, at now: Instant,
        by operatorName: String
    ) -> [Note] {
        let ended = supersede(at: now, by: operatorName)
        queued = []
        rolloutsBegun += 1
        // A count set by hand stands until the declared count itself changes, and then until that release has
        // succeeded: what serves keeps its size meanwhile.
        let resets =
            kind == .deploy && release.content.run.autoscale == nil
            && old.map { $0.content.run.replicas != release.content.run.replicas } == true
        let declared = release.content.run.replicas
        var next = Rollout(
            number: rolloutsBegun, kind: kind, from: current, to: release.number, startedAt: now,
            stages: stages(kind, release, size: resets ? declared : replicas ?? declared), by: operatorName)
        next.resetsReplicas = resets
        rollout = next
        // A fresh start: an old release's crashes must not hold back the one that mends them.
        restarts = RestartHistory()
        standbyRestarts = RestartHistory()
        let text = kind == .deploy ? "rolling out \(release.number)" : "rolling back to \(release.number)"
        return ended + [
            Note(
                .rolloutBegan, text, release: release.number, by: operatorName,
                details: ["kind": kind.rawValue])
        ]
    }

    private func stages(_ kind: Rollout.Kind, _ release: Release, size: Int) -> [RolloutStage] {
        var content = release.content
        let isWarm = standbys.contains(release.number) || release.number == current
        let isRecent = good.suffix(content.rollout.rollbackWindow + 1).contains(release.number)
        let isDirect = kind == .rollback && (isWarm || isRecent)
        // One that runs in full already needs no batches.
        if isDirect, isWarm, case .rolling = content.rollout.strategy {
            content.rollout.strategy = .blueGreen
        }
        return RolloutStage.program(content, size: size, replacesNothing: current == nil, isDirect: isDirect)
    }

    private mutating func supersede(at now: Instant, by operatorName: String?) -> [Note] {
        guard var old = rollout else { return [] }
        var notes: [Note] = []
        // The first release of all is the only one there is to go back to, once it serves.
        if current == nil, case .waiting = old.phase, old.currentStage.split == .share(100) {
            current = old.to
            good = [old.to]
            notes += old.bypassing(old.openGates(before: old.stages.count), by: operatorName)
        }
        old.phase = .ended(at: now, .superseded)
        lastRollout = old
        rollout = nil
        return notes + [
            Note(.rolloutEnded, old.endText, release: old.to, by: operatorName, details: old.endDetails)
        ]
    }

    static func isRetiringFailure(_ key: ServiceKey) -> Failure {
        Failure(
            .conflict, "\(key) is being retired", suggestion: "wait until `kiln status` no longer lists it")
    }
}
