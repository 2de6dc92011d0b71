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
        // Twice as long each time that nothing is to do, so that a watch of a day costs a few rounds.
        var pause = Limits.briskLook
        for _ in 0..<roundLimit {
            let plan = Planner.plan(world)
            let isIdle = plan.steps.isEmpty && plan.state == world.state
            if isIdle, plan.state.rollout == nil, plan.state.drainingSince.isEmpty { break }
            world.state = plan.state
            steps += plan.steps
            for step in plan.steps { world.carryOut(step) }
            if plan.isGone { break }
            pause = isIdle ? pause + pause : Limits.briskLook
            world.now = world.now + pause
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
        launching = []
        removing = []
        launchFailures = []
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
