/// An image and everything else that decides behaviour, numbered. Rolling back restores all of it.
package struct Release: Hashable, Sendable, Codable {
    package var key: ServiceKey
    package var number: ReleaseNumber
    package var content: Content
    /// SHA-256 of `content` in canonical JSON: two releases with one digest behave alike.
    package var digest: Digest
    package var createdAt: Instant
    /// Who asked for it: `uid:0`, a token's name.
    package var by: String
    package var message: String
    /// The Git commit that its spec was at, with `-dirty` behind it where something was in no commit; nil: unknown.
    package var commit: String?
    /// The names in registries that its image came by; nil: none. What they stand for later changes nothing of it.
    package var tags: [TaggedImage]?

    package init(
        key: ServiceKey, number: ReleaseNumber, content: Content, digest: Digest, createdAt: Instant,
        by: String, message: String, commit: String? = nil, tags: [TaggedImage]? = nil
    ) {
        self.commit = commit
        self.tags = tags
        self.key = key
        self.number = number
        self.content = content
        self.digest = digest
        self.createdAt = createdAt
        self.by = by
        self.message = message
    }

    package struct Content: Hashable, Sendable, Codable {
        package var image: Digest
        package var run: RunSettings
        package var rollout: RolloutSettings
        package var listen: Listener?
        /// What the service itself asks of its image, with the keys inside, so that it is versioned as the rest is.
        package var policy: AdmissionPolicy?
        /// nil: what drifts is replaced.
        package var drift: DriftSettings?
        /// nil: instances become as old as they like.
        package var repave: RepaveSettings?

        package init(
            image: Digest, run: RunSettings, rollout: RolloutSettings, listen: Listener?,
            policy: AdmissionPolicy? = nil, drift: DriftSettings? = nil,
            repave: RepaveSettings? = nil
        ) {
            self.drift = drift
            self.repave = repave
            self.image = image
            self.run = run
            self.rollout = rollout
            self.listen = listen
            self.policy = policy
        }
    }
}
