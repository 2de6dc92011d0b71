/// One release taking the place of another: a deploy or a rollback.
package struct Rollout: Hashable, Sendable, Codable {
    package enum Kind: String, Hashable, Sendable, Codable {
        case deploy, rollback
    }

    package enum Phase: Hashable, Sendable, Codable {
        /// The stage's instances are launched and proven.
        case launching(since: Instant)
        /// Traffic is being split as the stage says.
        case switching(since: Instant)
        /// What the stage waits for: time, a gate, a person.
        case waiting(since: Instant)
        /// The old release takes its traffic back.
        case returning(since: Instant, reason: String)
        case ended(at: Instant, Outcome)
    }

    package enum Outcome: Hashable, Sendable, Codable {
        case succeeded
        /// The new release failed, and the last good one serves.
        case rolledBack(reason: String)
        /// It failed and there was no older release to go back to, or a rollback could not be carried out.
        case failed(reason: String)
        /// Another rollout began before this one had ended.
        case superseded
    }

    /// Numbered per service, from 1.
    package var number: Int
    package var kind: Kind
    /// The last good release when it began: where a failure leads back to.
    package var from: ReleaseNumber?
    package var to: ReleaseNumber
    package var startedAt: Instant
    /// What the strategy asks for, one after the other; fixed when the rollout begins.
    package var stages: [RolloutStage]
    /// The stage that it is in.
    package var stage: Int
    /// The stage before it that was reached, which holds until this one's instances are proven; nil: none was.
    package var previous: RolloutStage?
    package var phase: Phase
    package var pause: Pause?
    /// What came of the gates so far, by their names.
    package var gates: [String: GateRecord]
    /// The signed yeses to its gates, oldest first.
    @OrEmpty package var approvals: [GivenApproval]
    @Boxed package var analysis: AnalysisProgress?
    /// Instances of the old release that were launched to be compared with.
    package var baseline: Set<InstanceID>
    /// Instances of the new release that ended or never became healthy.
    package var failed: Set<InstanceID>
    /// Since when the router refuses what this phase asks of it.
    package var refusedSince: Instant?
    /// The new release declares another count, which takes the place of one set by hand once it has succeeded.
    package var resetsReplicas: Bool
    /// The router's counters when it began, and what they had grown by when it ended.
    package var trafficBefore: TrafficCounts?
    package var traffic: TrafficCounts?
    package var by: String

    package init(
        number: Int, kind: Kind, from: ReleaseNumber?, to: ReleaseNumber, startedAt: Instant,
        stages: [RolloutStage], by: String
    ) {
        precondition(!stages.isEmpty, "a rollout has stages")
        self.number = number
        self.kind = kind
        self.from = from
        self.to = to
        self.startedAt = startedAt
        self.stages = stages
        self.stage = 0
        self.previous = nil
        self.phase = .launching(since: startedAt)
        self.pause = nil
        self.gates = [:]
        self.approvals = []
        self.analysis = nil
        self.baseline = []
        self.failed = []
        self.refusedSince = nil
        self.resetsReplicas = false
        self.trafficBefore = nil
        self.traffic = nil
        self.by = by
    }

    package var outcome: Outcome? {
        if case .ended(_, let outcome) = phase { outcome } else { nil }
    }

    package var currentStage: RolloutStage { stages[stage] }

    package struct Pause: Hashable, Sendable, Codable {
        package var since: Instant
        /// `uid:0 asked for it`, `not enough data: …`.
        package var reason: String

        package init(since: Instant, reason: String) {
            self.since = since
            self.reason = reason
        }
    }
}

/// How far a gate has come.
package enum GateRecord: Hashable, Sendable, Codable {
    /// It was asked; `task` names the instance that runs its command.
    case open(since: Instant, task: InstanceID?)
    case passed(at: Instant, detail: String)
    case failed(at: Instant, reason: String)
}

/// A deploy that waits for the rollout before it to end.
package struct QueuedRollout: Hashable, Sendable, Codable {
    package var to: ReleaseNumber
    package var by: String

    package init(to: ReleaseNumber, by: String) {
        self.to = to
        self.by = by
    }
}
