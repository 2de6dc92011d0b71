internal import Glibc
internal import Model
internal import Synchronization

/// What is done to single servers by command, without a reload.
extension HAProxyRouter {
    /// Makes the servers of one backend those of a route: adds, shifts in one go, and takes the traffic from those that
    /// leave.
    func reconcile(_ route: Route, _ configuration: ProxyConfiguration) throws {
        let backend = ProxyName.backend(route.key)
        let present = try process.statistics().services[route.key]?.servers ?? [:]
        let wanted = Set(route.servers.map(\.id))
        var additions: [String] = []
        for server in route.servers where present[server.id] == nil {
            additions += HAProxyRouter.addition(server, to: backend, configuration)
        }
        try run(additions)
        let proven = state.withLock { $0.proven }
        let lent = leaving.withLock { leaving in
            // Somebody put these into maintenance who is not us: they served, and go on where they were.
            let lent = wanted.filter { proven.contains($0) && leaving["\(backend)/\($0)"] == nil }
            for id in wanted { leaving["\(backend)/\(id)"] = nil }
            return lent
        }
        // Before their servers could leave: a request that finds one of them gone goes where the weights send it.
        try run(
            (ProxyMatch(route)?.entries ?? []).map {
                "set map \(configuration.matchMap) \($0.slot) \($0.names)"
            })
        let gone = present.keys.filter { !wanted.contains($0) }.map { "\(backend)/\($0)" }
        try run(
            HAProxyRouter.shift(route, from: present, backend: backend, trusting: lent)
                + gone.map { "set server \($0) weight 0" })
        let now = Monotonic.now
        leaving.withLock { leaving in
            for name in gone { leaving[name] = leaving[name] ?? now }
        }
    }

    /// A new server begins as down and without weight: its first passed checks make it up.
    private static func addition(
        _ server: RouteServer, to backend: String, _ configuration: ProxyConfiguration
    ) -> [String] {
        let name = "\(backend)/\(server.id)"
        var commands = configuration.mapEntries(server).map {
            "add map \($0.map) \(server.id) \(ProxySocket.word($0.value))"
        }
        commands += [
            "add server \(name) " + ProxyConfiguration.serverOptions(server, weight: 0),
            // Leaving maintenance makes a server up; it is put down again before it could be given a weight.
            "set server \(name) state ready", "set server \(name) health down", "enable health \(name)",
        ]
        return commands
    }

    /// First those who take more, then those who take less: in between, nobody is missing.
    ///
    /// - Parameter trusting: those that take requests at once when they leave maintenance
    private static func shift(
        _ route: Route, from present: [InstanceID: ProxyStatistics.Server], backend: String,
        trusting: Set<InstanceID>
    ) -> [String] {
        var raised: [String] = []
        var lowered: [String] = []
        for server in route.servers {
            let name = "\(backend)/\(server.id)"
            let was = present[server.id]
            let weight = server.state.weight
            if was?.isInMaintenance == true {
                raised.append("set server \(name) state ready")
                // Its deletion had begun: it proves itself again.
                if !trusting.contains(server.id) { raised.append("set server \(name) health down") }
            }
            if case .draining = server.state {
                if was?.isDraining != true { lowered.append("set server \(name) state drain") }
                continue
            }
            if was?.weight ?? 0 != weight {
                let command = "set server \(name) weight \(weight)"
                if weight > was?.weight ?? 0 { raised.append(command) } else { lowered.append(command) }
            }
            if was?.isDraining == true { raised.append("set server \(name) state ready") }
        }
        return raised + lowered
    }

    /// Runs commands that answer only when something is wrong.
    private func run(_ commands: [String]) throws {
        guard !commands.isEmpty else { return }
        let complaints = try process.socket.run(commands).filter { $0 != "New server registered." }
        guard complaints.isEmpty else {
            throw Failure(.commandFailed, "the proxy refused: \(complaints.joined(separator: " "))")
        }
    }

    // MARK: Leaving

    /// Servers in the proxy that their service's route does not have.
    func leftovers(_ seen: ProxyStatistics) -> [(key: ServiceKey, id: InstanceID)] {
        let routes = state.withLock { $0.routes }
        return seen.services.flatMap { key, service -> [(key: ServiceKey, id: InstanceID)] in
            guard let route = routes[key] else { return [] }
            let wanted = Set(route.servers.map(\.id))
            return service.servers.keys.filter { !wanted.contains($0) }.map { (key, $0) }
        }
    }

    /// Deletes the servers that have finished, and those whose time is up. In maintenance at once, a request that just
    /// met a dead server would be held there instead of being given to another one; without weight it goes on, within
    /// milliseconds.
    func dismissLeftovers(_ configuration: ProxyConfiguration) throws {
        let seen = try process.statistics()
        for (key, id) in leftovers(seen) {
            guard let server = seen.services[key]?.servers[id] else { continue }
            let name = "\(ProxyName.backend(key))/\(id)"
            guard let since = leaving.withLock({ $0[name] }) else {
                // Left there by a former life: it has its time from now on.
                try run(["set server \(name) weight 0"])
                leaving.withLock { $0[name] = Monotonic.now }
                continue
            }
            let isLate = Span.milliseconds(Monotonic.now - since) >= Limit.serverFarewell
            guard server.sessions == 0 || isLate else { continue }
            // Whoever takes a server out of its route has waited for its requests as long as it wanted to.
            if server.sessions > 0 { try process.socket.run(["shutdown sessions server \(name)"]) }
            try delete(name, id, of: key, server, worker: seen.worker, configuration)
        }
    }

    private func delete(
        _ name: String, _ id: InstanceID, of key: ServiceKey, _ server: ProxyStatistics.Server,
        worker: String, _ configuration: ProxyConfiguration
    ) throws {
        let socket = process.socket
        state.withLock { $0.counts.depart(server, of: key, worker: worker) }
        try socket.run(["set server \(name) state maint"])
        for attempt in 1...Limit.deletions {
            let said = try socket.run(["del server \(name)"])
            if said.contains(where: { $0.contains("deleted") || $0.contains("No such server") }) {
                // A server without a path has no entry, which is said and does not matter.
                try socket.run(configuration.mapsInUse.map { "del map \($0) \(id)" })
                try clearLatencies(of: id, key)
                leaving.withLock { $0[name] = nil }
                return
            }
            // Its idle connections go within milliseconds.
            if attempt < Limit.deletions { usleep(1000) }
        }
        state.withLock { $0.counts.stay(server, of: key, worker: worker) }
    }

    /// The table keeps its rows for ever; a server that is gone leaves none.
    private func clearLatencies(of id: InstanceID, _ key: ServiceKey) throws {
        let table = ProxyName.backend(key)
        let rows = try ProxyLatencies.rows(of: id, in: process.socket.ask("show table \(table)"))
        try process.socket.run(rows.map { "clear table \(table) key \($0)" })
        latencies.withLock { $0.forget(id, of: key) }
    }
}
