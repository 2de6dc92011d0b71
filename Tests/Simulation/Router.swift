import Model

/// The simulated router: does what it was told last, perhaps late, and forgets everything when it dies.
struct Router: Sendable {
    struct Server: Sendable {
        let ordinal: Int
        var seen: ObservedServer
        /// From when its probes can pass.
        var probedFrom: Int
        /// When its last request is answered.
        var idleAt = 0
    }

    var isRunning = true
    private(set) var route: Route?
    private(set) var servers: [InstanceID: Server] = [:]
    var counts = TrafficCounts()
    /// A route that was accepted and is not carried out yet.
    private(set) var lagging: Route?
    private(set) var laggingSince = 0
    private(set) var serial = 0

    /// Takes a route on, to be carried out later.
    mutating func `defer`(_ route: Route, at time: Int) {
        serial += 1
        laggingSince = time
        lagging = route
    }

    /// `delay`: how long the first probe and the last request of the server with this ordinal take.
    mutating func carryOut(_ route: Route, at time: Int, delay: (Int) -> (probe: Int, drain: Int)) {
        serial += 1
        lagging = nil
        self.route = route
        var next: [InstanceID: Server] = [:]
        next.reserveCapacity(route.servers.count)
        for server in route.servers {
            if var known = servers[server.id] {
                if known.seen.state != server.state {
                    if server.state == .draining { known.idleAt = time + delay(known.ordinal).drain }
                    known.seen.state = server.state
                }
                next[server.id] = known
            } else {
                let ordinal = server.id.ordinal
                let seen = ObservedServer(state: server.state, health: .unproven, sessions: 0)
                next[server.id] = Server(
                    ordinal: ordinal, seen: seen, probedFrom: time + delay(ordinal).probe)
            }
        }
        servers = next
    }

    /// Looks at every server, and remembers what is seen.
    mutating func refresh(_ look: (Server) -> (health: Health, sessions: Int)) {
        for index in servers.indices {
            let (health, sessions) = look(servers.values[index])
            if servers.values[index].seen.health != health { servers.values[index].seen.health = health }
            if servers.values[index].seen.sessions != sessions {
                servers.values[index].seen.sessions = sessions
            }
        }
    }

    mutating func count(_ body: (inout Server) -> Void) {
        for index in servers.indices { body(&servers.values[index]) }
    }

    mutating func forget() {
        route = nil
        servers = [:]
        lagging = nil
        serial += 1
    }

    mutating func die() {
        forget()
        isRunning = false
    }

    func observe(_ key: ServiceKey) -> ObservedRouter {
        guard let route else { return ObservedRouter(isRunning: isRunning) }
        let seen = ObservedRoute(
            listener: route.listener, match: route.match, servers: servers.mapValues(\.seen), counts: counts)
        return ObservedRouter(isRunning: isRunning, routes: [key: seen])
    }
}
