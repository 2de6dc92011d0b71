internal import FoundationEssentials
internal import Model

/// What the router remembers: it outlives this process in ROOT/proxy/routes.json.
struct RouterState: Codable, Sendable {
    var routes: [ServiceKey: Route] = [:]
    var forms: [ServiceKey: ProbeForm] = [:]
    /// Passed its check when last seen.
    var healthy: Set<InstanceID> = []
    /// Passed its check once.
    var proven: Set<InstanceID> = []
    /// The file without servers that the running proxy was given.
    var structure = ""
    var counts = ProxyCounts()
    /// The process number of the worker that answered last.
    var worker = ""
    var mayHaveOldWorkers = true

    static func read(_ root: HostRoot) -> RouterState? {
        Files.read(root.proxy + "/routes.json", limit: 64 << 20).flatMap {
            try? JSONDecoder().decode(RouterState.self, from: Data($0))
        }
    }

    /// Not flushed to the disk: a host that crashed has no instances to route to.
    func keep(_ root: HostRoot) throws {
        try Files.replace(
            root.proxy + "/routes.json", with: Array(JSONEncoder().encode(self)), durably: false)
    }

    mutating func learn(_ seen: ProxyStatistics) {
        for service in seen.services.values {
            for (id, server) in service.servers {
                if server.isUp, server.isChecked {
                    healthy.insert(id)
                    proven.insert(id)
                } else if !server.isUp {
                    healthy.remove(id)
                }
            }
        }
        // Also where somebody else had it reloaded.
        if seen.worker != worker { (worker, mayHaveOldWorkers) = (seen.worker, true) }
        counts.learn(seen, of: seen.worker)
    }

    /// Takes a change of the routes, and keeps what was learned while it was made.
    mutating func take(_ changed: RouterState) {
        routes = changed.routes
        forms = changed.forms
        structure = changed.structure
        mayHaveOldWorkers = mayHaveOldWorkers || changed.mayHaveOldWorkers
        let known = self.known
        healthy.formIntersection(known)
        proven.formIntersection(known)
    }

    /// The instances of all routes.
    var known: Set<InstanceID> { Set(routes.values.flatMap { $0.servers.map(\.id) }) }

    /// Makes a route one of them.
    mutating func add(_ route: Route) throws {
        if let listener = route.listener {
            for (key, other) in routes
            where key != route.key && other.listener?.address == listener.address {
                throw Failure(
                    .portInUse, "\(listener.address) is in use by the service \(key)", at: "listen",
                    suggestion: "listen on another port, or retire \(key) first")
            }
        }
        routes[route.key] = route
        let needed = ProbeForm.needed(for: route.servers, listener: route.listener)
        if forms[route.key]?.serves(needed) != true { forms[route.key] = needed }
    }

    mutating func remove(_ key: ServiceKey) {
        routes[key] = nil
        forms[key] = nil
    }
}
