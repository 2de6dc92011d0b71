package import Model

/// What a rollout would do if nothing went wrong: the real rules, run against an obliging world.
package enum Preview {
    /// More rounds than any blue-green rollout needs; reaching it means that the plan does not end.
    static let roundLimit = 200

    /// The steps from `situation` to the end of its rollout, in order. Changes nothing.
    package static func steps(_ situation: Situation) -> [Step] {
        var world = situation
        world.finishWhatIsUnderWay()
        var steps: [Step] = []
        for _ in 0..<roundLimit {
            let plan = Planner.plan(world)
            world.state = plan.state
            steps += plan.steps
            for step in plan.steps { world.carryOut(step) }
            if plan.isGone || (plan.state.rollout == nil && plan.steps.isEmpty) { break }
            // Jumps over every wait, so that a watch of ten minutes costs nothing.
            world.now = max(world.now + Limits.briskLook, plan.lookAgainAt ?? world.now)
        }
        return steps
    }
}

extension Situation {
    /// Lets every launch, removal and refusal that is under way come to its good end.
    mutating func finishWhatIsUnderWay() {
        for id in removing { seen.instances[id] = nil }
        for id in launching where seen.instances[id]?.phase == .launching {
            seen.instances[id]?.phase = .running
        }
        for id in launching where seen.instances[id] == nil {
            if let release = state.awaited[id] { carryOut(.launch(id, release: release)) }
        }
        launching = []
        removing = []
        routeFailure = nil
    }

    /// Does a step as a world without faults would: at once, and with every probe passing.
    package mutating func carryOut(_ step: Step) {
        switch step {
        case .launch(let id, let release):
            seen.instances[id] = ObservedInstance(
                id: id, key: state.key, release: release, phase: .running, address: "", startedAt: now)
        case .remove(let id, _, _):
            seen.instances[id] = nil
        case .route(let route):
            seen.router.isRunning = true
            var observed = ObservedRoute(listener: route.listener)
            for server in route.servers {
                observed.servers[server.id] = ObservedServer(
                    state: server.state, health: .healthy, sessions: 0)
                if case .command = server.health.kind { seen.instances[server.id]?.commandHealth = .healthy }
            }
            seen.router.routes[state.key] = observed
        case .removeRoute(let key):
            seen.router.routes[key] = nil
        }
    }
}
