package import Model
internal import Planning
internal import Ports

/// A service as intended and as seen, for those who look.
package struct ServiceSnapshot: Sendable {
    package var state: ServiceState
    package var releases: [ReleaseNumber: Release]
    package var seen: Observation
    /// Names that the current release came by, and that stand for other images now.
    package var movedTags: [Drift] = []

    package init(state: ServiceState, releases: [ReleaseNumber: Release], seen: Observation) {
        self.state = state
        self.releases = releases
        self.seen = seen
    }
}

/// What came of a deploy.
package enum DeployOutcome: Sendable {
    /// It is what serves already.
    case unchanged
    case began(Rollout)
    /// `behind`: how many rollouts end first, the one under way included.
    case queued(QueuedRollout, behind: Int)
}

extension ServiceController {
    func snapshot() async throws -> ServiceSnapshot {
        let seen = try await observe()
        return ServiceSnapshot(state: machine.state, releases: machine.releases, seen: seen)
    }

    var imagesInUse: Set<Digest> {
        Set(machine.state.releasesInUse.compactMap { machine.releases[$0]?.content.image })
    }

    func deploy(
        _ content: Release.Content, digest: Digest, message: String, commit: String?,
        tags: [TaggedImage]?, by operatorName: String, force: Bool, queue: Bool
    ) async throws -> DeployOutcome {
        let (now, key) = (world.clock.now, key)
        return try await change { state, known in
            let current = state.current.flatMap { known[$0] }
            if !force, state.rollout == nil, current?.digest == digest { return (nil, [], .unchanged) }
            try ServiceController.lint(content, state)
            let release = Release(
                key: key, number: state.nextRelease(), content: content, digest: digest, createdAt: now,
                by: operatorName, message: message, commit: commit, tags: tags)
            let created = Note(
                .releaseCreated, "\(release.number) is image sha256:\(content.image.short)",
                release: release.number, by: operatorName,
                details: [
                    "message": message, "digest": digest.description,
                ].merging(commit.map { ["commit": $0] } ?? [:]) { $1 })
            let begun = try state.deploy(
                release, replacing: current, isQueued: queue, at: now, by: operatorName)
            let outcome: DeployOutcome =
                if let rollout = state.rollout, rollout.to == release.number {
                    .began(rollout)
                } else {
                    .queued(state.queued.last!, behind: state.queued.count)
                }
            return (release, [created] + begun, outcome)
        }
    }

    /// Refuses a rollout that could not come to its end, before anything moves.
    static func lint(_ content: Release.Content, _ state: ServiceState) throws {
        let size = state.replicas ?? content.run.replicas
        let problems = RolloutLint.problems(content, size: size)
        if !problems.isEmpty { throw Failures(problems) }
    }

    func rollBack(
        to release: ReleaseNumber?, by operatorName: String, saying reason: String?
    ) async throws -> Rollout {
        let now = world.clock.now
        return try await change(saying: reason) { state, known in
            let notes = try state.rollBack(to: release, known: known, at: now, by: operatorName)
            return (nil, notes, state.rollout!)
        }
    }

    /// Says something to the rollout under way.
    func control(
        saying reason: String? = nil, _ rule: (inout ServiceState, Instant) throws -> [Note]
    ) async throws -> Rollout {
        let now = world.clock.now
        return try await change(saying: reason) { state, _ in
            let notes = try rule(&state, now)
            return (nil, notes, (state.rollout ?? state.lastRollout)!)
        }
    }
}
