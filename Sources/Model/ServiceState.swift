/// What is intended for one service: written down before anything acts on it.
package struct ServiceState: Hashable, Sendable, Codable {
    package var key: ServiceKey
    /// The last good release: what serves when no rollout is under way. nil before the first success and after retiring.
    package var current: ReleaseNumber?
    /// Old releases kept warm for a rollback, the one to go back to first.
    package var standbys: [ReleaseNumber]
    /// The releases that served and were not rolled back, oldest first; the last one is `current`.
    package var good: [ReleaseNumber]
    /// Set by `kiln scale`; nil: as many as the release says.
    package var replicas: Int?
    package var rollout: Rollout?
    /// Deploys that wait for the rollout before them, the next one first.
    package var queued: [QueuedRollout]
    /// How the newest ended rollout ended.
    @Boxed package var lastRollout: Rollout?
    /// The whole service is to be stopped and removed.
    package var isRetiring: Bool
    /// Instances that passed their health check at least once. Only these may ever take traffic.
    package var proven: Set<InstanceID>
    /// Since when an instance is being drained before its removal, or, for a dead one, since when that is known.
    package var drainingSince: [InstanceID: Instant]
    /// Instances that were touched, until they are gone.
    @OrEmpty package var tainted: [TaintedInstance]
    /// nil: nothing of the current release ever drifted.
    package var drift: DriftHistory?
    /// Instances that started before are replaced: somebody asked for it.
    package var repaveBefore: Instant?
    package var restarts: RestartHistory
    /// Those of the standbys: a standby that keeps failing must not hold back what serves.
    package var standbyRestarts: RestartHistory
    /// Releases given out so far; numbers are never reused.
    package var releasesMade: Int
    /// Instances named so far; names are never reused.
    package var instancesNamed: Int
    package var rolloutsBegun: Int
    /// Counts the writes of this state; a writer that read an older one is refused.
    package var generation: Int

    package init(key: ServiceKey) {
        self.key = key
        current = nil
        standbys = []
        good = []
        replicas = nil
        rollout = nil
        queued = []
        lastRollout = nil
        isRetiring = false
        proven = []
        drainingSince = [:]
        tainted = []
        drift = nil
        repaveBefore = nil
        restarts = RestartHistory()
        standbyRestarts = RestartHistory()
        releasesMade = 0
        instancesNamed = 0
        rolloutsBegun = 0
        generation = 0
    }

    /// What is remembered of an instance that was touched.
    package func tainted(_ id: InstanceID) -> TaintedInstance? { tainted.first { $0.id == id } }

    /// How many of the releases that served keep their images.
    package static let rollbacksKept = 10

    /// The releases whose images must stay: those that may have instances, and those to go back to.
    package var releasesToKeep: Set<ReleaseNumber> {
        releasesInUse.union(good.suffix(ServiceState.rollbacksKept))
    }

    /// Every release that may have instances now.
    package var releasesInUse: Set<ReleaseNumber> {
        var releases = Set(standbys)
        if let current { releases.insert(current) }
        if let rollout {
            releases.insert(rollout.to)
            if let from = rollout.from { releases.insert(from) }
        }
        releases.formUnion(queued.map(\.to))
        return releases
    }
}

/// How often instances of a settled service had to be replaced lately: the base of the launch backoff.
package struct RestartHistory: Hashable, Sendable, Codable {
    package var recent: Int
    package var last: Instant?

    package init(recent: Int = 0, last: Instant? = nil) {
        self.recent = recent
        self.last = last
    }
}
