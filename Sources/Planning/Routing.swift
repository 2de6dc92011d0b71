import Model

/// What the router should do, and a step where it does something else.
extension Draft {
    mutating func reconcileRoute() {
        guard !isGone, !(state.isRetiring && views.isEmpty) else { return }
        if state.current == nil, state.rollout == nil, views.isEmpty {
            // A first release that failed leaves no door behind.
            if route != nil { routing.append(.removeRoute(state.key)) }
            return
        }
        guard !isRouteRight() else { return }
        routing.append(.route(desiredRoute()))
        lookSoon()
    }

    /// By the weights that `split` gave last.
    private func desiredRoute() -> Route {
        var servers: [RouteServer] = []
        for (release, range) in places {
            guard let run = situation.releases[release]?.content.run else { continue }
            for view in views[range] where shouldBeRouted(view) {
                guard let seen = situation.seen.instances[view.id] else { continue }
                servers.append(
                    RouteServer(
                        id: view.id, address: seen.address, port: run.port, health: run.health,
                        state: routeState(view)))
            }
        }
        return Route(
            key: state.key, listener: listener(for: servingRelease), match: desiredMatch(),
            servers: servers.sorted { $0.id < $1.id })
    }

    private func shouldBeRouted(_ view: InstanceView) -> Bool {
        view.isKnown && view.isRunning && !view.isDead && (gone.isEmpty || !gone.contains(view.id))
    }

    private func routeState(_ view: InstanceView) -> RouteServer.State {
        if view.isDraining { return .draining }
        return view.isProven && view.weight > 0 ? .serving(weight: view.weight) : .warm
    }

    /// Whether the router does what it should, or has nothing to do.
    mutating func isRouteRight() -> Bool {
        split()
        let listener = listener(for: servingRelease)
        guard situation.seen.router.isRunning, let observed = route else {
            return listener == nil && !views.contains(where: shouldBeRouted)
        }
        guard observed.listener == listener, observed.match == desiredMatch() else { return false }
        var expected = 0
        for view in views where shouldBeRouted(view) {
            guard view.routed == routeState(view) else { return false }
            expected += 1
        }
        return observed.servers.count == expected
    }

    /// Requests that go to the new release by their header, once it is proven.
    func desiredMatch() -> RouteMatch? {
        guard let rollout = state.rollout, let header = rollout.match else { return nil }
        let ids = views[range(of: rollout.to)].filter(\.isAble).map(\.id).sorted()
        return ids.isEmpty ? nil : RouteMatch(header: header, servers: ids)
    }

    /// Nobody is let in before the first release may serve; a retiring service keeps its door until it is empty,
    /// so that requests in flight are answered.
    func listener(for serving: ReleaseNumber?) -> Listener? {
        guard let serving, !mustLeaveDoorShut else { return route?.listener }
        return situation.releases[serving]?.content.listen
    }

    /// Whether the current release's door cannot be opened, and the next one, which has another, is to be proven
    /// behind it all the same.
    var mustLeaveDoorShut: Bool {
        guard let rollout = state.rollout, rollout.isLaunching, let current = state.current,
            isRefusedForLong
        else { return false }
        let door = situation.releases[current]?.content.listen
        return route?.listener != door && situation.releases[rollout.to]?.content.listen != door
    }
}
