/// All that the router should do for one service. Applying the same route twice changes nothing.
package struct Route: Hashable, Sendable, Codable {
    package var key: ServiceKey
    /// nil: the servers are probed, but nobody can reach them through the router.
    package var listener: Listener?
    /// Sorted by id.
    package var servers: [RouteServer]

    package init(key: ServiceKey, listener: Listener?, servers: [RouteServer]) {
        self.key = key
        self.listener = listener
        self.servers = servers
    }
}

package struct RouteServer: Hashable, Sendable, Codable {
    package enum State: Hashable, Sendable, Codable {
        /// Takes its share of new requests: 1…256.
        case serving(weight: Int)
        /// Probed and ready to be given traffic at once, but takes none.
        case warm
        /// Takes no new requests and finishes those it has.
        case draining
    }

    package var id: InstanceID
    package var address: String
    /// The release's own port and probe: two releases may differ in both.
    package var port: Int
    package var health: HealthCheck
    package var state: State

    package init(id: InstanceID, address: String, port: Int, health: HealthCheck, state: State) {
        self.id = id
        self.address = address
        self.port = port
        self.health = health
        self.state = state
    }
}
