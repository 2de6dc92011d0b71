internal import Model
internal import Synchronization
internal import Threads

/// Whether the proxy does what it was told, and its files say what was written.
extension HAProxyRouter {
    struct Difference {
        var drift: Drift
        /// Commands cannot put it back; what was bent is as in the file after a reload, which cuts nothing.
        var needsReload = false
    }

    /// Looks again in turn, and remembers what differs.
    func noteDifferences() throws {
        guard !isHalfChanged.withLock({ $0 }) else { return }
        let differences = differences(try process.statistics())
        found.withLock { found in
            for drift in differences.map(\.drift).prefix(Drift.Limit.perInstance)
            where !found.contains(where: { $0.subject == drift.subject }) {
                found.append(drift)
            }
        }
    }

    /// What differs from the routes that were given last. Only in turn: while a route is changed it may be anything.
    func differences(_ seen: ProxyStatistics) -> [Difference] {
        let state = state.withLock { $0 }
        var found: [Difference] = []
        func note(
            _ subject: String, _ message: String, _ expected: String?, _ seen: String?,
            needsReload: Bool = false
        ) {
            found.append(
                Difference(
                    drift: .cut(
                        .router, subject, message, expected: expected, found: seen, source: .poll),
                    needsReload: needsReload))
        }
        for (key, route) in state.routes {
            guard let service = seen.services[key] else {
                note("service \(key)", "the proxy does not know \(key)", nil, nil, needsReload: true)
                continue
            }
            if route.listener != nil, !service.isListening {
                note(
                    "listener of \(key)", "the proxy does not listen for \(key)", "open", "closed",
                    needsReload: true)
            }
            for server in route.servers {
                guard let live = service.servers[server.id] else { continue }
                let does = HAProxyRouter.state(live, wanted: server.state)
                if does != server.state {
                    note(
                        "weight of \(server.id)", "the share of \(server.id) was changed in the proxy",
                        server.state.words, does.words)
                }
                if live.isInMaintenance {
                    note(
                        "state of \(server.id)", "\(server.id) was taken out of service in the proxy",
                        "in service", "in maintenance")
                }
                if !live.address.isEmpty, live.address != server.address {
                    note(
                        "address of \(server.id)", "the proxy sends requests for \(server.id) elsewhere",
                        server.address, String(live.address), needsReload: true)
                }
            }
            let known = Set(route.servers.map(\.id))
            let leaving = leaving.withLock { $0 }
            for id in service.servers.keys
            where !known.contains(id) && leaving["\(ProxyName.backend(key))/\(id)"] == nil {
                note("server \(id)", "the proxy has a server \(id) that nobody gave it", nil, nil)
            }
        }
        return found + fileDifferences(state)
    }

    /// The file that the next start reads, byte for byte; read only where it was touched since it was last found to be
    /// right, because every look asks.
    private func fileDifferences(_ state: RouterState) -> [Difference] {
        guard let written = written.withLock({ $0 }), !state.routes.isEmpty else { return [] }
        let rendered = ProxyConfiguration(
            root: root, routes: state.routes, forms: state.forms, healthy: written)
        let identity = FileIdentity(rendered.file)
        if identity != nil, identity == writtenFile.withLock({ $0 }) { return [] }
        guard Files.read(rendered.file, limit: Limit.proxyFile) != Array(rendered.text.utf8) else {
            writtenFile.withLock { $0 = identity }
            return []
        }
        return [
            Difference(
                drift: .cut(
                    .router, "haproxy.cfg", "\(rendered.file) is not what Kiln wrote", source: .poll))
        ]
    }

    /// Writes the files anew and gives the proxy every route again; what was found is told until then.
    package func setRight() async throws {
        try await turns.locked(true) {
            try await Blocking.run { [self] in
                let state = state.withLock { $0 }
                guard !state.routes.isEmpty else { return }
                let configuration = configuration(state)
                try write(configuration)
                if differences(try process.statistics()).contains(where: \.needsReload) {
                    try process.reload(configuration.file) { last in self.state.withLock { $0.learn(last) } }
                    self.state.withLock { $0.mayHaveOldWorkers = true }
                }
                for route in state.routes.values { try reconcile(route, configuration) }
                found.withLock { $0 = [] }
            }
        }
    }
}

extension RouteServer.State {
    fileprivate var words: String {
        switch self {
        case .serving(let weight): "weight \(weight)"
        case .warm: "no traffic"
        case .draining: "draining"
        }
    }
}
