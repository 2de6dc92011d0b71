package import Model

/// Everything that a decision may depend on.
package struct Situation: Hashable, Sendable {
    package var state: ServiceState
    package var releases: [ReleaseNumber: Release]
    /// What was seen of this service, and of the router.
    package var seen: Observation
    /// Launches that this daemon is carrying out now.
    package var launching: Set<InstanceID>
    /// Removals that this daemon is carrying out now: as good as gone.
    package var removing: Set<InstanceID>
    /// Launches that failed since the last decision and left nothing behind.
    package var launchFailures: [LaunchFailure]
    /// Why the router last refused what it was asked, if it did.
    package var routeFailure: String?
    /// When this daemon began to look; nil where that does not matter. No wait runs out while nobody looks.
    package var lookingSince: Instant?
    package var now: Instant

    package init(
        state: ServiceState, releases: [ReleaseNumber: Release], seen: Observation,
        launching: Set<InstanceID> = [], removing: Set<InstanceID> = [], launchFailures: [LaunchFailure] = [],
        routeFailure: String? = nil,
        lookingSince: Instant? = nil, now: Instant
    ) {
        self.state = state
        self.releases = releases
        self.seen = seen
        self.launching = launching
        self.removing = removing
        self.launchFailures = launchFailures
        self.routeFailure = routeFailure
        self.lookingSince = lookingSince
        self.now = now
    }

    package var route: ObservedRoute? { seen.router.routes[state.key] }

    /// How many instances a release should have when it is kept running.
    package func size(of release: ReleaseNumber) -> Int {
        let declared = releases[release]?.content.run.replicas ?? 0
        if let rollout = state.rollout, rollout.resetsReplicas, rollout.to == release { return declared }
        return state.replicas ?? declared
    }

    /// When a wait really began that was written down as begun at `since`.
    func begun(_ since: Instant) -> Instant {
        guard let lookingSince, lookingSince <= now else { return since }
        return max(since, lookingSince)
    }

    func elapsed(since: Instant) -> Span { now - begun(since) }
}

/// A launch that was tried and failed.
package struct LaunchFailure: Hashable, Sendable {
    package var id: InstanceID
    package var release: ReleaseNumber
    package var reason: String

    package init(id: InstanceID, release: ReleaseNumber, reason: String) {
        self.id = id
        self.release = release
        self.reason = reason
    }
}

/// One instance as a decision sees it.
struct InstanceView: Hashable {
    enum Condition: Hashable {
        /// A launch is under way.
        case pending
        /// It runs and has not passed its health check yet.
        case starting
        /// It passed its health check and nothing speaks against it.
        case fit
        /// It was fit; now it fails its probes, or its monitor is gone.
        case sick
        /// It does not run, or never became healthy.
        case dead(RemovalReason)
    }

    var seen: ObservedInstance
    var condition: Condition
    var id: InstanceID { seen.id }
    var release: ReleaseNumber { seen.release }
    var isDead: Bool { if case .dead = condition { true } else { false } }
}

extension Situation {
    /// The health of a running instance, by whoever probes it.
    func health(of instance: ObservedInstance) -> Health {
        guard let server = route?.servers[instance.id] else { return .unproven }
        let health = releases[instance.release]?.content.run.health
        guard case .command = health?.kind else { return server.health }
        // The router can only see the port of such an instance; the command has the say, the port must be open.
        return switch instance.commandHealth {
        case .healthy: server.health
        case .failing: .failing
        case .unproven, nil: .unproven
        }
    }

    func condition(of instance: ObservedInstance, proven: Set<InstanceID>) -> InstanceView.Condition {
        switch instance.phase {
        case .launching: return launching.contains(instance.id) ? .pending : .dead(.halfMade)
        case .exited: return .dead(.exited)
        case .running: break
        }
        if proven.contains(instance.id) {
            return !instance.isMonitored || health(of: instance) == .failing ? .sick : .fit
        }
        // One of a release that nobody knows did nothing wrong: it is let go like any other that is not wanted.
        guard let deadline = releases[instance.release]?.content.rollout.deadline else { return .starting }
        // One that started far in the future did so before the clock was set back: it had its time too.
        let age = elapsed(since: instance.startedAt)
        return abs(age.milliseconds) >= deadline.milliseconds ? .dead(.neverHealthy) : .starting
    }
}
