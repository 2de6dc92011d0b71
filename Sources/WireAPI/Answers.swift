package import Model

/// The answer to everything that could not be done.
package struct FailureAnswer: Sendable, Codable {
    package var failures: [Failure]
    package init(failures: [Failure]) { self.failures = failures }
}

/// The answer to a deploy or rollback that began, and to what is said to a rollout.
package struct RolloutAnswer: Sendable, Codable {
    /// nil: what was asked for serves already, or waits.
    package var rollout: Rollout?
    /// The newest event before the rollout: read on from here to follow it.
    package var eventsAfter: Int
    /// The release that waits for the rollouts before it, and how many those are.
    package var queued: QueuedRollout?
    package var behind: Int?

    package init(
        rollout: Rollout?, eventsAfter: Int, queued: QueuedRollout? = nil, behind: Int? = nil
    ) {
        self.rollout = rollout
        self.eventsAfter = eventsAfter
        self.queued = queued
        self.behind = behind
    }
}

package struct PlanAnswer: Sendable, Codable {
    package var from: ReleaseNumber?
    package var to: ReleaseNumber
    package var changes: [ReleaseChange]
    package var steps: [String]
    /// Why the image may not start; nil: it may.
    package var refusals: [Failure]?
    /// What should be mended and stops nothing now; nil: nothing.
    package var warnings: [Failure]?

    package init(
        from: ReleaseNumber?, to: ReleaseNumber, changes: [ReleaseChange], steps: [String],
        refusals: [Failure]? = nil, warnings: [Failure]? = nil
    ) {
        self.warnings = warnings
        self.refusals = refusals
        self.from = from
        self.to = to
        self.changes = changes
        self.steps = steps
    }
}

package struct ServiceStatus: Sendable, Codable {
    package var key: ServiceKey
    package var current: ReleaseNumber?
    package var image: Digest?
    package var listen: String?
    package var replicas: Int
    package var standbys: [ReleaseNumber]
    package var rollout: Rollout?
    package var lastRollout: Rollout?
    package var isRetiring: Bool
    package var instances: [InstanceStatus]
    package var traffic: TrafficCounts
    /// Deploys that wait, the next one first.
    package var queued: [QueuedRollout]?
    /// The Git commit of the release that serves; nil: unknown.
    package var commit: String?
    /// How many instances differ from what was released.
    package var drifting: Int?
    /// Instances that were touched, until they are gone.
    package var tainted: [TaintedInstance]?
    /// Names in registries that stand for other images than when the release was made.
    package var movedTags: [Drift]?

    package init(
        key: ServiceKey, current: ReleaseNumber?, image: Digest?, listen: String?, replicas: Int,
        standbys: [ReleaseNumber], rollout: Rollout?, lastRollout: Rollout?, isRetiring: Bool,
        instances: [InstanceStatus], traffic: TrafficCounts, queued: [QueuedRollout]? = nil,
        commit: String? = nil, drifting: Int? = nil, tainted: [TaintedInstance]? = nil,
        movedTags: [Drift]? = nil
    ) {
        self.movedTags = movedTags
        self.commit = commit
        self.drifting = drifting
        self.tainted = tainted
        self.queued = queued
        self.key = key
        self.current = current
        self.image = image
        self.listen = listen
        self.replicas = replicas
        self.standbys = standbys
        self.rollout = rollout
        self.lastRollout = lastRollout
        self.isRetiring = isRetiring
        self.instances = instances
        self.traffic = traffic
    }
}

package struct InstanceStatus: Sendable, Codable {
    package enum Phase: String, Sendable, Codable {
        case launching, running, exited
    }

    /// What an instance is for.
    package enum Role: String, Sendable, Codable {
        case serve
        /// To be compared with the new release.
        case baseline
        /// Runs a gate's command once.
        case task
    }

    package var id: InstanceID
    package var release: ReleaseNumber
    package var role: Role
    package var phase: Phase
    package var health: Health
    /// Share of new requests; 0 takes none.
    package var weight: Int
    package var sessions: Int
    package var address: String
    package var startedAt: Instant
    package var processID: Int?

    package init(
        id: InstanceID, release: ReleaseNumber, role: Role = .serve, phase: Phase, health: Health,
        weight: Int, sessions: Int,
        address: String, startedAt: Instant, processID: Int?
    ) {
        self.processID = processID
        self.id = id
        self.release = release
        self.role = role
        self.phase = phase
        self.health = health
        self.weight = weight
        self.sessions = sessions
        self.address = address
        self.startedAt = startedAt
    }
}

package struct StatusAnswer: Sendable, Codable {
    package var services: [ServiceStatus]
    package init(services: [ServiceStatus]) { self.services = services }
}

package struct HistoryAnswer: Sendable, Codable {
    package var releases: [Release]
    package var current: ReleaseNumber?
    package var good: [ReleaseNumber]
    package var events: [Event]
    /// How each rollout ended, oldest first.
    package var ends: [RolloutRecord]?

    package init(
        releases: [Release], current: ReleaseNumber?, good: [ReleaseNumber], events: [Event],
        ends: [RolloutRecord]? = nil
    ) {
        self.ends = ends
        self.releases = releases
        self.current = current
        self.good = good
        self.events = events
    }
}

package struct EventsAnswer: Sendable, Codable {
    package var events: [Event]
    package init(events: [Event]) { self.events = events }
}

package struct ConfinementAnswer: Sendable, Codable {
    package var confinement: Confinement
    package init(confinement: Confinement) { self.confinement = confinement }
}

package struct LogAnswer: Sendable, Codable {
    package var lines: [LogLine]
    package init(lines: [LogLine]) { self.lines = lines }
}
