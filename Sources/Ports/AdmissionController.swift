package import Model

/// Decides whether instances of an image may start.
package protocol AdmissionController: Sendable {
    /// Asked when a release is made and before every launch of it: keys may have been revoked since, and images have
    /// grown old. Never throws: what cannot be decided is refused.
    ///
    /// - Parameter policy: what the service itself asks; what the host asks comes on top of that
    func decide(
        _ image: Digest, asking policy: AdmissionPolicy?, for key: ServiceKey, _ occasion: AdmissionOccasion,
        at now: Instant
    ) async -> AdmissionVerdict
}

package enum AdmissionOccasion: Hashable, Sendable {
    /// A release is made, or launched before it ever served.
    case new
    /// One more instance of a release that served well. What only time has brought against it (its age, a key that
    /// expired, a fault that became known) is told and does not keep it from starting: a crash would become an outage.
    case again
}

/// What was decided of an image, and on account of what.
package struct AdmissionVerdict: Hashable, Sendable {
    package var image: Digest
    /// Why it may not start, one for each rule that nothing satisfies; empty: it may.
    package var refusals: [Failure]
    /// What would keep it from being released now, and does not keep it from starting.
    package var warnings: [Failure]
    /// For people: what was believed, or refused.
    package var message: String
    /// SHA-256 of the verification summary that says so; nil where nothing was asked.
    package var evidence: Digest?
    /// The keys, statements and policies that counted.
    package var details: [String: String]

    package var isAdmitted: Bool { refusals.isEmpty }

    package init(
        image: Digest, refusals: [Failure] = [], warnings: [Failure] = [], message: String,
        evidence: Digest? = nil, details: [String: String] = [:]
    ) {
        self.image = image
        self.refusals = refusals
        self.warnings = warnings
        self.message = message
        self.evidence = evidence
        self.details = details
    }

    package func requireAdmitted() throws {
        if !refusals.isEmpty { throw Failures(refusals) }
    }
}
