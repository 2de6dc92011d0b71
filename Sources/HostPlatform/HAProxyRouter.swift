internal import Glibc
package import Model
internal import Ports
internal import Synchronization
internal import Threads

/// Splits traffic by one HAProxy for all services of a root.
///
/// A service is a frontend, where it listens, and one backend with all its instances as servers, whatever their
/// release: so weights shift traffic at once and without a reload, and a request that cannot reach one instance goes
/// to another. Only listeners, the header of a match, and the kind of a backend's checks need a reload. The routes are
/// kept in ROOT/proxy/routes.json, and the file for the next start is rendered before every change.
package final class HAProxyRouter: TrafficRouter {
    let root: HostRoot
    let process: ProxyProcess
    let state: Mutex<RouterState>
    /// Servers that left their route, and the time when they did: they are deleted when their requests are gone.
    let leaving = Mutex<[String: Int]>([:])
    let latencies = Mutex(ProxyLatencies())
    /// The instances that the file for the next start has; nil: unknown.
    let written = Mutex<Set<InstanceID>?>(nil)
    /// The file as it was when it was last found to say what was written.
    let writtenFile = Mutex<FileIdentity?>(nil)
    let turns = KeyedLock<Bool>()
    /// What differed at some look, until it was set right.
    let found = Mutex<[Drift]>([])
    /// A change failed half-way: what the proxy does now is what nobody asked for, and nobody's fault.
    let isHalfChanged = Mutex(false)

    /// Takes over the proxy of a root, which may be running. `watch` tells when it ends.
    package init(root: HostRoot, watch: ProcessWatch) {
        self.root = root
        process = ProxyProcess(root: root, watch: watch)
        state = Mutex(RouterState.read(root) ?? RouterState())
        process.attach()
    }

    // MARK: Looking

    package func observe() async throws -> ObservedRouter {
        var (observed, needsUpkeep) = try await Blocking.run { [self] in
            guard let seen = try? process.statistics() else {
                return (ObservedRouter(isRunning: false), false)
            }
            state.withLock { $0.learn(seen) }
            let old = oldSessions()
            readLatencies(seen)
            return (
                ObservedRouter(isRunning: true, routes: try routes(seen, old)),
                isUnwritten || !leftovers(seen).isEmpty || !differences(seen).isEmpty
            )
        }
        // Whoever changes a route at this moment does the same at its end.
        if needsUpkeep {
            _ = try await turns.lockedIfFree(true) {
                try await Blocking.run { [self] in
                    try? noteDifferences()
                    try? upkeep()
                }
            }
        }
        observed.drifts = found.withLock { $0 }
        return observed
    }

    /// Requests that workers from before a reload still carry.
    private func oldSessions() -> [InstanceID: Int] {
        guard state.withLock({ $0.mayHaveOldWorkers }) else { return [:] }
        let workers = process.oldWorkers
        var sessions: [InstanceID: Int] = [:]
        for worker in workers {
            guard let seen = process.statistics(ofOldWorker: worker) else { continue }
            state.withLock { $0.counts.learn(seen, of: String(worker)) }
            for service in seen.services.values {
                for (id, server) in service.servers { sessions[id, default: 0] += server.sessions }
            }
        }
        state.withLock { state in
            state.counts.settle(living: Set(workers.map(String.init) + [state.worker]))
            if workers.isEmpty { state.mayHaveOldWorkers = false }
        }
        return sessions
    }

    /// Looks at the old worker while it finishes what it was doing: what it counts is lost when it ends.
    private func countLastAnswers() {
        state.withLock { $0.mayHaveOldWorkers = true }
        for _ in 1...Limit.lastLooks {
            _ = oldSessions()
            guard state.withLock({ $0.mayHaveOldWorkers }) else { return }
            usleep(HAProxyRouter.pause)
        }
    }

    private static let pause: UInt32 = 3000

    private func readLatencies(_ seen: ProxyStatistics) {
        let now = Monotonic.now
        for key in latencies.withLock({ $0.due(seen, at: now) }) {
            guard let text = try? process.socket.ask("show table \(ProxyName.backend(key))") else { return }
            latencies.withLock { $0.learn(text, of: key, seen, at: now) }
        }
    }

    private func routes(
        _ seen: ProxyStatistics, _ old: [InstanceID: Int]
    ) throws -> [ServiceKey: ObservedRoute] {
        let state = state.withLock { $0 }
        let latencies = latencies.withLock { $0 }
        let matches = state.routes.compactMapValues { ProxyMatch($0) }
        let map = matches.isEmpty ? "" : try process.socket.ask("show map \(configuration(state).matchMap)")
        var routes: [ServiceKey: ObservedRoute] = [:]
        for (key, service) in seen.services {
            let intended = state.routes[key]
            var route = ObservedRoute(
                listener: service.hasFrontend ? intended?.listener : nil,
                match: matches[key]?.observed(in: map), counts: state.counts.total(of: key))
            for (id, server) in service.servers {
                let wanted = intended?.servers.first { $0.id == id }
                // It has left the route, and only finishes what it has.
                if intended != nil, wanted == nil { continue }
                let isProven = state.proven.contains(id)
                // In maintenance nobody asks it how it is.
                let isUnknown = !isProven || server.isInMaintenance
                let health: Health = isUnknown ? .unproven : server.isUp ? .healthy : .failing
                let latency = latencies[key, id]
                route.servers[id] = ObservedServer(
                    state: HAProxyRouter.state(server, wanted: wanted?.state), health: health,
                    sessions: server.sessions + (old[id] ?? 0), lastCheck: server.checkText,
                    counts: RequestCounts(
                        requests: server.requests, errors: server.errors,
                        // Of a server of the same name before this one, where it tells of more than was asked.
                        latency: latency.total <= server.requests ? latency : LatencyHistogram()))
            }
            routes[key] = route
        }
        return routes
    }

    /// The file cannot say that a server drains: after a restart it has no weight, which is the same.
    static func state(
        _ server: ProxyStatistics.Server, wanted: RouteServer.State?
    ) -> RouteServer.State {
        if server.isDraining || server.weight == 0 && wanted == .draining { return .draining }
        return server.weight > 0 ? .serving(weight: server.weight) : .warm
    }

    // MARK: Changing

    package func apply(_ route: Route) async throws {
        try await turns.locked(true) {
            try await Blocking.run { [self] in try change(route.key) { try $0.add(route) } }
        }
    }

    package func remove(_ key: ServiceKey) async throws {
        try await turns.locked(true) {
            try await Blocking.run { [self] in
                let isKnown = state.withLock { $0.routes[key] != nil }
                // A route that failed half-way may be in the proxy alone.
                guard isKnown || (try? process.statistics())?.services[key] != nil else { return }
                try change(key) { $0.remove(key) }
                state.withLock { $0.counts.forget(key) }
            }
        }
    }

    /// Brings the proxy from what it does to what the changed state says, whatever it does now. On failure, the state
    /// is as before.
    private func change(_ key: ServiceKey, _ edit: (inout RouterState) throws -> Void) throws {
        let seen = try? process.statistics()
        let before = state.withLock { state in
            if let seen { state.learn(seen) }
            return state
        }
        var after = before
        try edit(&after)
        if after.routes.isEmpty {
            process.stop()
            try Files.removeTree(root.proxy)
            try Files.makeFolder(root.proxy)
            state.withLock { $0 = RouterState() }
            leaving.withLock { $0 = [:] }
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
                try process.reload(configuration.file) { last in state.withLock { $0.learn(last) } }
                after.mayHaveOldWorkers = true
                countLastAnswers()
            }
            after.structure = configuration.structure
            // Before the shift, so that whoever starts it anew begins with the shifted state.
            let changed = after
            try state.withLock { state in
                var next = state
                next.take(changed)
                try next.keep(root)
            }
            // A reload forgets what was set by command.
            for route in after.routes.values where needsReload || route.key == key {
                try reconcile(route, configuration)
            }
        } catch {
            isHalfChanged.withLock { $0 = true }
            try? write(self.configuration(before))
            throw error
        }
        isHalfChanged.withLock { $0 = false }
        let final = after
        state.withLock { $0.take(final) }
        // The change is done, whoever does not want to leave yet.
        try? upkeep()
    }

    private func checkListeners(before: RouterState, after: RouterState, isRunning: Bool) throws {
        let held = isRunning ? Set(before.routes.values.compactMap { $0.listener?.address }) : []
        for route in after.routes.values {
            guard let address = route.listener?.address, !held.contains(address) else { continue }
            try PortOwner.check(address)
        }
    }

    func configuration(_ state: RouterState) -> ProxyConfiguration {
        ProxyConfiguration(
            root: root, routes: state.routes, forms: state.forms,
            healthy: state.healthy.intersection(state.known))
    }

    func write(_ configuration: ProxyConfiguration) throws {
        let maps = configuration.maps
        try Files.replace(configuration.pathsMap, with: maps.paths, durably: false)
        try Files.replace(configuration.addressMap, with: maps.addresses, durably: false)
        try Files.replace(configuration.matchMap, with: maps.matches, durably: false)
        try Files.replace(configuration.file, with: configuration.text, durably: false, mode: 0o600)
        written.withLock { $0 = configuration.healthy }
        writtenFile.withLock { $0 = nil }
    }

    // MARK: Upkeep

    /// Whether the file for the next start lacks servers that passed their check meanwhile, or has some that fail.
    private var isUnwritten: Bool {
        let healthy = state.withLock { $0.healthy.intersection($0.known) }
        return written.withLock { $0 != healthy }
    }

    /// What nobody has to wait for: the file for the next start, and the deletion of servers. Called in turn.
    private func upkeep() throws {
        let state = state.withLock { $0 }
        guard !state.routes.isEmpty else { return }
        if isUnwritten {
            try write(configuration(state))
            try state.keep(root)
        }
        try dismissLeftovers(configuration(state))
    }
}
