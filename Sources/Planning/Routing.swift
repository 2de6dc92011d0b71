import Model

/// What the router should do, and a step where it does something else.
extension Draft {
    mutating func reconcileRoute() {
        guard !isGone, !(state.isRetiring && views.isEmpty) else { return }
        if state.current == nil, state.rollout == nil, views.isEmpty {
            // A first release that failed leaves no door behind.
            if situation.route != nil { routing.append(.removeRoute(state.key)) }
            return
        }
        let desired = desiredRoute()
        guard !matches(desired) else { return }
        routing.append(.route(desired))
        lookSoon()
    }

    func desiredRoute() -> Route {
        let serving = servingRelease
        // With nobody fit to take over, traffic stays where it is: a bad answer can recover, no answer cannot.
        let canServe = serving.map { !fit($0).isEmpty } ?? false
        let servers = views.compactMap { view -> RouteServer? in
            guard case .running = view.seen.phase, !view.isDead, !gone.contains(view.id),
                let content = situation.releases[view.release]?.content
            else { return nil }
            return RouteServer(
                id: view.id, address: view.seen.address, port: content.run.port, health: content.run.health,
                state: serverState(view, serving: serving, canServe: canServe))
        }
        return Route(key: state.key, listener: listener(for: serving), servers: servers)
    }

    private func serverState(
        _ view: InstanceView, serving: ReleaseNumber?, canServe: Bool
    ) -> RouteServer.State {
        if state.drainingSince[view.id] != nil { return .draining }
        guard state.proven.contains(view.id) else { return .warm }
        if view.release == serving { return .serving(weight: Limits.fullWeight) }
        if !canServe, !state.isRetiring, case .serving(let weight) = situation.route?.servers[view.id]?.state
        {
            return .serving(weight: weight)
        }
        return .warm
    }

    /// Nobody is let in before the first release may serve; a retiring service keeps its door until it is empty,
    /// so that requests in flight are answered.
    private func listener(for serving: ReleaseNumber?) -> Listener? {
        guard let serving, !mustLeaveDoorShut else { return situation.route?.listener }
        return situation.releases[serving]?.content.listen
    }

    /// Whether the current release's door cannot be opened, and the next one, which has another, is to be proven
    /// behind it all the same.
    var mustLeaveDoorShut: Bool {
        guard let rollout = state.rollout, rollout.isLaunching, let current = state.current,
            isRefusedForLong
        else { return false }
        let door = situation.releases[current]?.content.listen
        return situation.route?.listener != door && situation.releases[rollout.to]?.content.listen != door
    }

    func matches(_ desired: Route) -> Bool {
        guard situation.seen.router.isRunning, let observed = situation.route else {
            return desired.servers.isEmpty && desired.listener == nil
        }
        guard observed.listener == desired.listener, observed.servers.count == desired.servers.count else {
            return false
        }
        return desired.servers.allSatisfy { observed.servers[$0.id]?.state == $0.state }
    }
}
