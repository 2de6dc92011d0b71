/// All that the router should do for one service. Applying the same route twice changes nothing.
package struct Route: Hashable, Sendable, Codable {
    package var key: ServiceKey
    /// nil: the servers are probed, but nobody can reach them through the router.
    package var listener: Listener?
    /// Requests that go to certain servers, whatever the weights. Only for HTTP.
    package var match: RouteMatch?
    /// Sorted by id.
    package var servers: [RouteServer]

    package init(key: ServiceKey, listener: Listener?, match: RouteMatch? = nil, servers: [RouteServer]) {
        self.key = key
        self.listener = listener
        self.match = match
        self.servers = servers
    }
}

/// Requests with a header, and the servers that get them. Servers without weight may be among these.
package struct RouteMatch: Hashable, Sendable, Codable {
    package var header: HeaderMatch
    /// Sorted; not empty. Where none of them can answer, the request goes where others go.
    package var servers: [InstanceID]

    package init(header: HeaderMatch, servers: [InstanceID]) {
        self.header = header
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

        /// Whether new requests are sent to it by weight.
        package var isServing: Bool { if case .serving = self { true } else { false } }
        package var weight: Int { if case .serving(let weight) = self { weight } else { 0 } }
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
