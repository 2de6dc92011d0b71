package import Model

/// A rollout with all that it waits for and all that it has counted.
package struct RolloutStatus: Sendable, Codable {
    package var key: ServiceKey
    /// The one under way, or else the last one.
    package var rollout: Rollout
    /// The name of the new release's strategy.
    package var strategy: String
    /// How long the instances of a stage may take to be proven.
    package var deadline: Span
    /// Every release that has instances or should have some, the new one first.
    package var releases: [ReleaseStatus]
    /// What the router counted since the rollout began; its whole time once it has ended.
    package var traffic: TrafficCounts
    /// Deploys that wait for it to end.
    package var queued: [QueuedRollout]
    /// What a gate asks a person now.
    package var approval: ApprovalRequest?

    package init(
        key: ServiceKey, rollout: Rollout, strategy: String, deadline: Span, releases: [ReleaseStatus],
        traffic: TrafficCounts, queued: [QueuedRollout], approval: ApprovalRequest? = nil
    ) {
        self.approval = approval
        self.key = key
        self.rollout = rollout
        self.strategy = strategy
        self.deadline = deadline
        self.releases = releases
        self.traffic = traffic
        self.queued = queued
    }
}

/// One release's place in a rollout.
package struct ReleaseStatus: Sendable, Codable, Equatable {
    package var release: ReleaseNumber
    /// Its share of new requests now, in hundredths of a per cent.
    package var share: Int
    package var healthy: Int
    /// Instances that it should have now.
    package var wanted: Int

    package init(release: ReleaseNumber, share: Int, healthy: Int, wanted: Int) {
        self.release = release
        self.share = share
        self.healthy = healthy
        self.wanted = wanted
    }

    /// The releases of a rollout in a service of `size` instances, as their instances were seen.
    package static func list(
        _ rollout: Rollout, size: Int, standbys: [ReleaseNumber], instances: [InstanceStatus]
    ) -> [ReleaseStatus] {
        let total = instances.reduce(0) { $0 + $1.weight }
        let others = Set(instances.map(\.release)).union(rollout.from.map { [$0] } ?? [])
            .subtracting([rollout.to])
        return ([rollout.to] + others.sorted(by: >)).map { release in
            let mine = instances.filter { $0.release == release && $0.role != .task }
            let weight = mine.reduce(0) { $0 + $1.weight }
            return ReleaseStatus(
                release: release, share: total == 0 ? 0 : (weight * 10_000 + total / 2) / total,
                healthy: mine.count { $0.phase == .running && $0.health == .healthy },
                wanted: wanted(release, rollout, size: size, standbys: standbys))
        }
    }

    private static func wanted(
        _ release: ReleaseNumber, _ rollout: Rollout, size: Int, standbys: [ReleaseNumber]
    ) -> Int {
        let isStandby = standbys.contains(release)
        switch (release, rollout.phase) {
        case (rollout.to, .ended(_, .succeeded)), (rollout.from, .returning): return size
        case (rollout.to, .ended), (rollout.to, .returning): return 0
        case (rollout.from, .ended(_, .succeeded)): return isStandby ? size : 0
        case (rollout.from, .ended): return size
        case (rollout.to, _): return rollout.currentStage.candidate.of(size)
        case (rollout.from, .launching) where !rollout.currentStage.removesFirst:
            // Until the new instances are proven, the old ones stay as the stage before left them.
            return (rollout.previous?.stable ?? .whole).of(size) + rollout.baseline.count
        case (rollout.from, _): return rollout.currentStage.stable.of(size) + rollout.baseline.count
        default: return isStandby ? size : 0
        }
    }
}

/// How a rollout ended, as the history tells it.
package struct RolloutRecord: Sendable, Codable, Equatable {
    package var rollout: Int?
    package var release: ReleaseNumber?
    package var at: Instant
    /// `succeeded`, `rolled-back`, `failed`, `superseded`.
    package var outcome: String
    package var message: String
    /// nil where the router could not be asked.
    package var traffic: TrafficCounts?

    package init(
        rollout: Int?, release: ReleaseNumber?, at: Instant, outcome: String, message: String,
        traffic: TrafficCounts?
    ) {
        self.rollout = rollout
        self.release = release
        self.at = at
        self.outcome = outcome
        self.message = message
        self.traffic = traffic
    }

    /// The record that an event holds; nil where it is not the end of a rollout.
    package init?(_ event: Event) {
        guard event.note.kind == .rolloutEnded else { return nil }
        let details = event.note.details
        func count(_ name: String) -> Int? { details[name].flatMap { Int($0) } }
        let traffic = count("requests").map {
            TrafficCounts(
                requests: $0, failed: count("failed") ?? 0, refused: count("refused") ?? 0,
                cut: count("cut") ?? 0, serverErrors: count("server-errors") ?? 0)
        }
        self.init(
            rollout: event.rollout, release: event.note.release, at: event.at,
            outcome: details["outcome"] ?? "", message: event.note.message, traffic: traffic)
    }
}
