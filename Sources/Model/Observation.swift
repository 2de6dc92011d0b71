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
    /// What probes outside the router say (`health: command`); nil where the router is the prober.
    package var commandHealth: Health?

    package init(
        id: InstanceID, key: ServiceKey, release: ReleaseNumber, phase: Phase, address: String,
        startedAt: Instant,
        processID: Int? = nil, isMonitored: Bool = true, commandHealth: Health? = nil
    ) {
        self.id = id
        self.key = key
        self.release = release
        self.phase = phase
        self.address = address
        self.startedAt = startedAt
        self.processID = processID
        self.isMonitored = isMonitored
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

    package init(isRunning: Bool = false, routes: [ServiceKey: ObservedRoute] = [:]) {
        self.isRunning = isRunning
        self.routes = routes
    }
}

package struct ObservedRoute: Hashable, Sendable, Codable {
    package var listener: Listener?
    package var servers: [InstanceID: ObservedServer]
    package var counts: TrafficCounts

    package init(
        listener: Listener?, servers: [InstanceID: ObservedServer] = [:],
        counts: TrafficCounts = TrafficCounts()
    ) {
        self.listener = listener
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

    package init(state: RouteServer.State, health: Health, sessions: Int, lastCheck: String = "") {
        self.state = state
        self.health = health
        self.sessions = sessions
        self.lastCheck = lastCheck
    }
}

/// The router's own counters since it started.
package struct TrafficCounts: Hashable, Sendable, Codable {
    package var requests: Int
    /// Answers that the proxy had to make itself because no instance gave one.
    package var failed: Int

    package init(requests: Int = 0, failed: Int = 0) {
        self.requests = requests
        self.failed = failed
    }
}
