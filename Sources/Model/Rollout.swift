/// One release taking the place of another: a deploy or a rollback.
package struct Rollout: Hashable, Sendable, Codable {
    package enum Kind: String, Hashable, Sendable, Codable {
        case deploy, rollback
    }

    package enum Phase: Hashable, Sendable, Codable {
        /// The new release's instances are launched and proven, beside the old one's, without traffic.
        case launching(since: Instant)
        /// All new requests are being pointed at the new release.
        case switching(since: Instant)
        /// The new release has all traffic, and the old one stands by, ready to take it back.
        case watching(since: Instant)
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
    package var phase: Phase
    /// Instances of the new release that ended or never became healthy.
    package var failed: Set<InstanceID>
    /// Since when the router refuses what this phase asks of it.
    package var refusedSince: Instant?
    /// The new release declares another count, which takes the place of one set by hand once it has succeeded.
    package var resetsReplicas: Bool
    package var by: String

    package init(
        number: Int, kind: Kind, from: ReleaseNumber?, to: ReleaseNumber, startedAt: Instant, by: String
    ) {
        self.number = number
        self.kind = kind
        self.from = from
        self.to = to
        self.startedAt = startedAt
        self.phase = .launching(since: startedAt)
        self.failed = []
        self.refusedSince = nil
        self.resetsReplicas = false
        self.by = by
    }

    package var outcome: Outcome? {
        if case .ended(_, let outcome) = phase { outcome } else { nil }
    }
}
