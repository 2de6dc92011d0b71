internal import FoundationEssentials
internal import Glibc
package import Model
internal import Ports
internal import Synchronization

/// Splits traffic by one HAProxy for all services of a root.
///
/// A service is a frontend, where it listens, and one backend with all its instances as servers, whatever their
/// release: so weights shift traffic at once and without a reload, and a request that cannot reach one instance goes
/// to another. Only listeners, and the kind of a backend's checks, need a reload. The routes are kept in
/// ROOT/proxy/routes.json, and the file for the next start is rendered before every change.
package final class HAProxyRouter: TrafficRouter {
    private let root: HostRoot
    private let process: ProxyProcess
    private let state: Mutex<State>
    private let turns = KeyedLock<Bool>()

    /// What outlives this process, and what is known on top.
    private struct State: Codable, Sendable {
        var routes: [ServiceKey: Route] = [:]
        var forms: [ServiceKey: ProbeForm] = [:]
        /// Passed its check when last seen.
        var healthy: Set<InstanceID> = []
        /// Passed its check once.
        var proven: Set<InstanceID> = []
        /// The file without servers that the running proxy was given.
        var structure = ""
        /// Counters of workers that were replaced.
        var counted: [ServiceKey: TrafficCounts] = [:]
        var mayHaveOldWorkers = true
    }

    /// Takes over the proxy of a root, which may be running. `watch` tells when it ends.
    package init(root: HostRoot, watch: ProcessWatch) {
        self.root = root
        process = ProxyProcess(root: root, watch: watch)
        let stored = Files.read(root.proxy + "/routes.json", limit: 64 << 20).flatMap {
            try? JSONDecoder().decode(State.self, from: Data($0))
        }
        state = Mutex(stored ?? State())
        process.attach()
    }

    // MARK: Looking

    package func observe() async throws -> ObservedRouter {
        try await Blocking.run { [self] in
            guard let seen = try? statistics() else { return ObservedRouter(isRunning: false) }
            let old = oldSessions()
            return state.withLock { state in
                HAProxyRouter.learn(seen, into: &state)
                return ObservedRouter(isRunning: true, routes: HAProxyRouter.routes(seen, state, old))
            }
        }
    }

    private func statistics() throws -> ProxyStatistics {
        try ProxyStatistics(
            statistics: process.socket.ask("show stat"), servers: process.socket.ask("show servers state"))
    }

    /// Requests that workers from before a reload still carry.
    private func oldSessions() -> [InstanceID: Int] {
        guard state.withLock({ $0.mayHaveOldWorkers }) else { return [:] }
        let workers = process.oldWorkers
        if workers.isEmpty { state.withLock { $0.mayHaveOldWorkers = false } }
        var sessions: [InstanceID: Int] = [:]
        for worker in workers {
            for service in (process.statistics(ofOldWorker: worker)?.services ?? [:]).values {
                for (id, server) in service.servers { sessions[id, default: 0] += server.sessions }
            }
        }
        return sessions
    }

    private static func learn(_ seen: ProxyStatistics, into state: inout State) {
        for service in seen.services.values {
            for (id, server) in service.servers {
                if server.isUp, server.isChecked {
                    state.healthy.insert(id)
                    state.proven.insert(id)
                } else if !server.isUp {
                    state.healthy.remove(id)
                }
            }
        }
    }

    private static func routes(
        _ seen: ProxyStatistics, _ state: State, _ old: [InstanceID: Int]
    ) -> [ServiceKey: ObservedRoute] {
        var routes: [ServiceKey: ObservedRoute] = [:]
        for (key, service) in seen.services {
            let before = state.counted[key] ?? TrafficCounts()
            var route = ObservedRoute(
                listener: service.hasFrontend ? state.routes[key]?.listener : nil,
                counts: TrafficCounts(
                    requests: before.requests + service.requests, failed: before.failed + service.failed))
            for (id, server) in service.servers {
                let isProven = state.proven.contains(id)
                let health: Health = !isProven ? .unproven : server.isUp ? .healthy : .failing
                route.servers[id] = ObservedServer(
                    state: server.isDraining
                        ? .draining : server.weight > 0 ? .serving(weight: server.weight) : .warm,
                    health: health, sessions: server.sessions + (old[id] ?? 0), lastCheck: server.checkText)
            }
            routes[key] = route
        }
        return routes
    }

    // MARK: Changing

    package func apply(_ route: Route) async throws {
        try await turns.locked(true) {
            try await Blocking.run { [self] in try change(route.key) { try HAProxyRouter.add(route, to: &$0) }
            }
        }
    }

    package func remove(_ key: ServiceKey) async throws {
        try await turns.locked(true) {
            try await Blocking.run { [self] in
                let isKnown = state.withLock { $0.routes[key] != nil }
                // A route that failed half-way may be in the proxy alone.
                guard isKnown || (try? statistics())?.services[key] != nil else { return }
                try change(key) { state in
                    state.routes[key] = nil
                    state.forms[key] = nil
                    state.counted[key] = nil
                }
            }
        }
    }

    private static func add(_ route: Route, to state: inout State) throws {
        if let listener = route.listener {
            for (key, other) in state.routes
            where key != route.key && other.listener?.address == listener.address {
                throw Failure(
                    .portInUse, "\(listener.address) is in use by the service \(key)", at: "listen",
                    suggestion: "listen on another port, or retire \(key) first")
            }
        }
        state.routes[route.key] = route
        let needed = ProbeForm.needed(for: route.servers, listener: route.listener)
        if state.forms[route.key]?.serves(needed) != true { state.forms[route.key] = needed }
    }

    /// Brings the proxy from what it does to what the changed state says, whatever it does now. On failure, the state
    /// is as before.
    private func change(_ key: ServiceKey, _ edit: (inout State) throws -> Void) throws {
        let seen = try? statistics()
        let before = state.withLock { state in
            if let seen { HAProxyRouter.learn(seen, into: &state) }
            return state
        }
        var after = before
        try edit(&after)
        let known = Set(after.routes.values.flatMap { $0.servers.map(\.id) })
        after.healthy.formIntersection(known)
        after.proven.formIntersection(known)
        if after.routes.isEmpty {
            process.stop()
            try Files.removeTree(root.proxy)
            try Files.makeFolder(root.proxy)
            state.withLock { $0 = State() }
            return
        }
        if seen == nil { process.killRest() }
        try checkListeners(before: before, after: after, isRunning: seen != nil)
        let configuration = configuration(after)
        let needsReload = seen == nil || configuration.structure != before.structure
        do {
            try write(configuration)
            if seen == nil {
                try process.start(configuration.file)
            } else if needsReload {
                if let seen { HAProxyRouter.count(seen, into: &after) }
                try process.reload(configuration.file)
                after.mayHaveOldWorkers = true
            }
            after.structure = configuration.structure
            // Before the shift, so that whoever starts it anew begins with the shifted state.
            try keep(after)
            // A reload forgets what was set by command.
            for route in after.routes.values where needsReload || route.key == key {
                try reconcile(route, configuration)
            }
        } catch {
            try? write(self.configuration(before))
            throw error
        }
        let final = after
        state.withLock { state in
            let (healthy, proven) = (state.healthy, state.proven)
            state = final
            state.healthy.formUnion(healthy.intersection(known))
            state.proven.formUnion(proven.intersection(known))
        }
    }

    private func checkListeners(before: State, after: State, isRunning: Bool) throws {
        let held = isRunning ? Set(before.routes.values.compactMap { $0.listener?.address }) : []
        for route in after.routes.values {
            guard let address = route.listener?.address, !held.contains(address) else { continue }
            try PortOwner.check(address)
        }
    }

    private func configuration(_ state: State) -> ProxyConfiguration {
        ProxyConfiguration(root: root, routes: state.routes, forms: state.forms, healthy: state.healthy)
    }

    private func write(_ configuration: ProxyConfiguration) throws {
        let maps = configuration.maps
        try Files.replace(configuration.pathsMap, with: maps.paths, durably: false)
        try Files.replace(configuration.addressMap, with: maps.addresses, durably: false)
        try Files.replace(configuration.file, with: configuration.text, durably: false, mode: 0o600)
    }

    /// Not flushed to the disk: a host that crashed has no instances to route to.
    private func keep(_ state: State) throws {
        try Files.replace(
            root.proxy + "/routes.json", with: Array(JSONEncoder().encode(state)), durably: false)
    }

    private static func count(_ seen: ProxyStatistics, into state: inout State) {
        for (key, service) in seen.services {
            state.counted[key, default: TrafficCounts()].requests += service.requests
            state.counted[key, default: TrafficCounts()].failed += service.failed
        }
    }

    // MARK: Servers, without a reload

    /// Makes the servers of one backend those of a route: adds, shifts in one go, then takes away.
    private func reconcile(_ route: Route, _ configuration: ProxyConfiguration) throws {
        let socket = process.socket
        let backend = ProxyName.backend(route.key)
        let present = try statistics().services[route.key]?.servers ?? [:]
        let wanted = Set(route.servers.map(\.id))
        var additions: [String] = []
        for server in route.servers where present[server.id] == nil {
            additions += HAProxyRouter.addition(server, to: backend, configuration)
        }
        try run(additions)
        try run(HAProxyRouter.shift(route, from: present, backend: backend))
        for id in present.keys where !wanted.contains(id) {
            try delete("\(backend)/\(id)", id, configuration, socket)
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
    private static func shift(
        _ route: Route, from present: [InstanceID: ProxyStatistics.Server], backend: String
    ) -> [String] {
        var raised: [String] = []
        var lowered: [String] = []
        for server in route.servers {
            let name = "\(backend)/\(server.id)"
            let was = present[server.id]
            let weight = server.state.weight
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

    private func delete(
        _ name: String, _ id: InstanceID, _ configuration: ProxyConfiguration, _ socket: ProxySocket
    ) throws {
        // In maintenance at once, a request that just met a dead server would be held there instead of being given
        // to another one. Without weight it goes on, within milliseconds.
        try socket.run(["set server \(name) weight 0"])
        let begin = Monotonic.now
        while try statistics().sessions(of: id) > 0,
            Span.milliseconds(Monotonic.now - begin) < Limit.serverFarewell
        {
            usleep(2000)
        }
        try socket.run(["set server \(name) state maint"])
        while true {
            let said = try socket.run(["del server \(name)"])
            if said.contains(where: { $0.contains("deleted") || $0.contains("No such server") }) { break }
            let waited = Span.milliseconds(Monotonic.now - begin)
            guard waited < Limit.serverRemoval else {
                throw Failure(.commandFailed, "the proxy keeps \(name): \(said.joined(separator: " "))")
            }
            // Whoever takes a server out of its route has waited for its requests as long as it wanted to.
            if waited > Limit.serverFarewell { try socket.run(["shutdown sessions server \(name)"]) }
            usleep(5000)
        }
        // A server without a path has no entry, which is said and does not matter.
        try socket.run(configuration.mapsInUse.map { "del map \($0) \(id)" })
    }

    /// Runs commands that answer only when something is wrong.
    private func run(_ commands: [String]) throws {
        guard !commands.isEmpty else { return }
        let complaints = try process.socket.run(commands).filter { $0 != "New server registered." }
        guard complaints.isEmpty else {
            throw Failure(.commandFailed, "the proxy refused: \(complaints.joined(separator: " "))")
        }
    }
}
