package import Model

/// What a rollout would do if nothing went wrong: the real rules, run against an obliging world.
package enum Preview {
    /// Rounds for each stage, and for the clearing away: more than any needs. Reaching it means that there is no end.
    static let roundsOfStage = 60

    /// The steps from `situation` to the end of its rollout, in order. Changes nothing.
    package static func steps(_ situation: Situation) -> [Step] {
        var world = situation
        world.finishWhatIsUnderWay()
        var steps: [Step] = []
        // Twice as long each time that nothing is to do, so that a watch of a day costs a few rounds.
        var pause = Limits.briskLook
        let stages = situation.state.rollout?.stages.count ?? 0
        for _ in 0..<(roundsOfStage * (stages + 3)) {
            let plan = Planner.plan(world)
            let isIdle = plan.steps.isEmpty && plan.state == world.state
            if isIdle, plan.state.rollout == nil, plan.state.drainingSince.isEmpty { break }
            world.state = plan.state
            steps += plan.steps
            for step in plan.steps { world.carryOut(step) }
            world.state.sayYes(at: world.now)
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
        case .runTask(let id, let release, _):
            seen.instances[id] = ObservedInstance(
                id: id, key: state.key, release: release, phase: .exited(status: 0), address: "",
                startedAt: now, isTask: true)
        case .check(let check):
            gateReports[check.idempotencyKey] = GateReport(.passed(detail: ""), at: now)
        case .remove(let id, _, _):
            seen.instances[id] = nil
        case .route(let route):
            seen.router.isRunning = true
            var observed = ObservedRoute(listener: route.listener, match: route.match)
            for server in route.servers {
                observed.servers[server.id] = ObservedServer(
                    state: server.state, health: .healthy, sessions: 0)
                if case .command = server.health.kind { seen.instances[server.id]?.commandHealth = .healthy }
            }
            seen.router.routes[state.key] = observed
        case .restoreLimits(let id): seen.instances[id]?.drifts.removeAll { $0.kind == .limits }
        case .removeRoute(let key):
            seen.router.routes[key] = nil
        }
    }
}

extension ServiceState {
    /// Says what a person or a comparison would say for the rollout to go on.
    fileprivate mutating func sayYes(at now: Instant) {
        if rollout?.pause != nil { _ = try? resume(at: now, by: "") }
        guard let rollout, case .gate(let gate) = rollout.currentStage.wait,
            case .open = rollout.gates[gate.name]
        else { return }
        switch gate.kind {
        case .approval, .analysis: self.rollout?.gates[gate.name] = .passed(at: now, detail: "")
        case .health, .http, .command, .webhook, .query, .visits: break
        }
    }
}
