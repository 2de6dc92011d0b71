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
    /// Gates' questions under way, by their idempotency keys.
    package var checking: Set<String>
    /// Instances whose limits this daemon is putting back now: what is seen of them is of before.
    package var restoring: Set<InstanceID> = []
    /// The newest answer to each question.
    package var gateReports: [String: GateReport]
    /// What the router counted of each instance since the last decision that used it.
    package var traffic: [InstanceID: RequestCounts]
    /// The load of late, oldest first.
    package var load: [LoadSample]
    /// Launches that failed since the last decision and left nothing behind.
    package var launchFailures: [LaunchFailure]
    /// Why the router last refused what it was asked, if it did.
    package var routeFailure: String?
    /// When that was; nil: just now.
    package var routeFailedAt: Instant?
    /// The router was just given a route that it does not show yet: what it shows is about to change.
    package var isRouteUnsettled: Bool
    /// When this daemon began to look; nil where that does not matter. No wait runs out while nobody looks.
    package var lookingSince: Instant?
    package var now: Instant

    package init(
        state: ServiceState, releases: [ReleaseNumber: Release], seen: Observation,
        launching: Set<InstanceID> = [], removing: Set<InstanceID> = [], checking: Set<String> = [],
        gateReports: [String: GateReport] = [:], traffic: [InstanceID: RequestCounts] = [:],
        load: [LoadSample] = [], launchFailures: [LaunchFailure] = [],
        routeFailure: String? = nil, routeFailedAt: Instant? = nil,
        isRouteUnsettled: Bool = false,
        lookingSince: Instant? = nil, now: Instant
    ) {
        self.state = state
        self.releases = releases
        self.seen = seen
        self.launching = launching
        self.removing = removing
        self.checking = checking
        self.gateReports = gateReports
        self.traffic = traffic
        self.load = load
        self.launchFailures = launchFailures
        self.routeFailure = routeFailure
        self.routeFailedAt = routeFailedAt
        self.isRouteUnsettled = isRouteUnsettled
        self.lookingSince = lookingSince
        self.now = now
    }

    package var route: ObservedRoute? { seen.router.routes[state.key] }

    /// How many instances a release should have when it is kept running.
    package func size(of release: ReleaseNumber) -> Int { size(of: release, state) }

    func size(of release: ReleaseNumber, _ state: ServiceState) -> Int {
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

/// The newest answer to a gate's question.
package struct GateReport: Hashable, Sendable {
    package var answer: GateAnswer
    package var at: Instant

    package init(_ answer: GateAnswer, at: Instant) {
        self.answer = answer
        self.at = at
    }
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

/// What all instances of a release share, looked up once.
struct KnownRelease {
    let number: ReleaseNumber
    let isProbedByCommand: Bool
    /// How long an instance may take to become healthy; nil where the release is unknown.
    let deadline: Span?

    init(_ number: ReleaseNumber, _ release: Release?) {
        self.number = number
        isProbedByCommand = if case .command = release?.content.run.health.kind { true } else { false }
        deadline = release?.content.rollout.deadline
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

    let id: InstanceID
    let release: ReleaseNumber
    /// When it was named, among all of its service.
    let ordinal: Int
    let condition: Condition
    /// Passed its health check once.
    let isProven: Bool
    let isRunning: Bool
    /// Its release is one of the service's own.
    let isKnown: Bool
    /// What the router does with it now; nil where it does not know it.
    let routed: RouteServer.State?
    /// On its way out.
    var isDraining: Bool
    /// Its share of new requests by the split that is wanted; 0: none.
    var weight = 0
    /// Of a release that leaves, and serves on while others are missing.
    var isHeld = false
    /// Why it is to be replaced although it runs; nil: it is not.
    var replacement: RemovalReason?
    /// A person is in it, or wants to look at it: it stays, and another does its work.
    var isKept = false
    /// Kept, and in traffic until another can do its work.
    var isBridging = false

    var isDead: Bool { if case .dead = condition { true } else { false } }
    var isFit: Bool { condition == .fit && !isDraining && !isKept && !isTouched }
    /// Not what was launched any more, whatever its probes say.
    var isTouched: Bool { replacement == .drifted || replacement == .tainted }
    var isTaking: Bool { routed?.isServing == true }
    /// May take traffic. Sick ones too: the router itself passes over what does not answer.
    var isAble: Bool { isProven && !isDead && !isDraining && (!isKept || isBridging) }
}

extension Situation {
    /// The health of a running instance, by whoever probes it.
    func health(
        of instance: ObservedInstance, _ server: ObservedServer?, _ release: KnownRelease
    ) -> Health {
        guard let server else { return .unproven }
        guard release.isProbedByCommand else { return server.health }
        // The router can only see the port of such an instance; the command has the say, the port must be open.
        return switch instance.commandHealth {
        case .healthy: server.health
        case .failing: .failing
        case .unproven, nil: .unproven
        }
    }

    func condition(
        of instance: ObservedInstance, isProven: Bool, health: Health, _ release: KnownRelease
    ) -> InstanceView.Condition {
        switch instance.phase {
        case .launching: return launching.contains(instance.id) ? .pending : .dead(.halfMade)
        case .exited: return .dead(.exited)
        case .running: break
        }
        if isProven { return !instance.isMonitored || health == .failing ? .sick : .fit }
        // One of a release that nobody knows did nothing wrong: it is let go like any other that is not wanted.
        guard let deadline = release.deadline else { return .starting }
        // One that started far in the future did so before the clock was set back: it had its time too.
        let age = elapsed(since: instance.startedAt)
        return abs(age.milliseconds) >= deadline.milliseconds ? .dead(.neverHealthy) : .starting
    }
}
