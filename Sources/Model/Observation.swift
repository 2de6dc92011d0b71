/// What really runs, dated. Platforms and routers give it; rules only read it.
package struct Observation: Hashable, Sendable, Codable {
    package var at: Instant
    /// Every instance that exists in any form: running, dead, half-made.
    package var instances: [InstanceID: ObservedInstance]
    package var router: ObservedRouter

    package init(
        at: Instant, instances: [InstanceID: ObservedInstance] = [:],
        router: ObservedRouter = ObservedRouter()
    ) {
        self.at = at
        self.instances = instances
        self.router = router
    }
}

package struct ObservedInstance: Hashable, Sendable, Codable {
    package enum Phase: Hashable, Sendable, Codable {
        /// A launch was begun and did not finish, or is under way.
        case launching
        case running
        /// The process ended; nil where its exit status was lost.
        case exited(status: Int?)
    }

    package var id: InstanceID
    package var key: ServiceKey
    package var release: ReleaseNumber
    package var phase: Phase
    /// Address on the platform's network, without the port.
    package var address: String
    package var startedAt: Instant
    /// The instance's first process as the platform's host numbers it; nil where it does not run or has none.
    package var processID: Int?
    /// False when the monitor that keeps log and exit status is gone: such an instance is to be replaced.
    package var isMonitored: Bool
    /// It runs a gate's command instead of serving.
    package var isTask: Bool
    /// CPU time that it has used, in microseconds; nil where nobody counts.
    package var cpuMicroseconds: Int?
    /// What probes outside the router say (`health: command`); nil where the router is the prober.
    package var commandHealth: Health?
    /// What differs from what was launched, or did since; the platform remembers what was over in a moment.
    @OrEmpty package var drifts: [Drift]

    package init(
        id: InstanceID, key: ServiceKey, release: ReleaseNumber, phase: Phase, address: String,
        startedAt: Instant,
        processID: Int? = nil, isMonitored: Bool = true, isTask: Bool = false, cpuMicroseconds: Int? = nil,
        commandHealth: Health? = nil, drifts: [Drift] = []
    ) {
        _drifts = OrEmpty(wrappedValue: drifts)
        self.id = id
        self.key = key
        self.release = release
        self.phase = phase
        self.address = address
        self.startedAt = startedAt
        self.processID = processID
        self.isMonitored = isMonitored
        self.isTask = isTask
        self.cpuMicroseconds = cpuMicroseconds
        self.commandHealth = commandHealth
    }
}

package enum Health: String, Hashable, Sendable, Codable {
    /// No verdict yet: it never passed, and has not used up its time.
    case unproven
    case healthy
    /// It was healthy and then failed its probes, or never passed one.
    case failing
}

package struct ObservedRouter: Hashable, Sendable, Codable {
    /// False when the proxy process is not there or does not answer.
    package var isRunning: Bool
    /// What the router really does for each service now.
    package var routes: [ServiceKey: ObservedRoute]
    /// What it does otherwise than it was told, whoever told it so.
    @OrEmpty package var drifts: [Drift]

    package init(
        isRunning: Bool = false, routes: [ServiceKey: ObservedRoute] = [:], drifts: [Drift] = []
    ) {
        _drifts = OrEmpty(wrappedValue: drifts)
        self.isRunning = isRunning
        self.routes = routes
    }
}

package struct ObservedRoute: Hashable, Sendable, Codable {
    package var listener: Listener?
    package var match: RouteMatch?
    package var servers: [InstanceID: ObservedServer]
    package var counts: TrafficCounts

    package init(
        listener: Listener?, match: RouteMatch? = nil, servers: [InstanceID: ObservedServer] = [:],
        counts: TrafficCounts = TrafficCounts()
    ) {
        self.listener = listener
        self.match = match
        self.servers = servers
        self.counts = counts
    }
}

package struct ObservedServer: Hashable, Sendable, Codable {
    package var state: RouteServer.State
    /// What the router's own probe says.
    package var health: Health
    /// Requests and connections that it is carrying now.
    package var sessions: Int
    package var lastCheck: String
    /// Since it was added to the router; begins anew when the router does.
    package var counts: RequestCounts

    package init(
        state: RouteServer.State, health: Health, sessions: Int, lastCheck: String = "",
        counts: RequestCounts = RequestCounts()
    ) {
        self.state = state
        self.health = health
        self.sessions = sessions
        self.lastCheck = lastCheck
        self.counts = counts
    }
}

/// The router's own counters of one service, over all its releases and over restarts of the router.
package struct TrafficCounts: Hashable, Sendable, Codable {
    package var requests: Int
    /// Answers that the router had to make itself because no instance gave one: 502, 503, 504.
    package var failed: Int
    /// Connections that no instance accepted, after every retry.
    package var refused: Int
    /// Answers that an instance began and did not finish.
    package var cut: Int
    /// Answers with 5xx that came from an instance.
    package var serverErrors: Int

    package init(
        requests: Int = 0, failed: Int = 0, refused: Int = 0, cut: Int = 0, serverErrors: Int = 0
    ) {
        self.requests = requests
        self.failed = failed
        self.refused = refused
        self.cut = cut
        self.serverErrors = serverErrors
    }

    package static func + (left: TrafficCounts, right: TrafficCounts) -> TrafficCounts {
        left.combined(right, +)
    }

    /// What was counted since `earlier`; never less than nothing, also where the router lost its counters.
    package func since(_ earlier: TrafficCounts) -> TrafficCounts {
        combined(earlier) { max(0, $0 - $1) }
    }

    private func combined(_ other: TrafficCounts, _ combine: (Int, Int) -> Int) -> TrafficCounts {
        TrafficCounts(
            requests: combine(requests, other.requests), failed: combine(failed, other.failed),
            refused: combine(refused, other.refused), cut: combine(cut, other.cut),
            serverErrors: combine(serverErrors, other.serverErrors))
    }
}
