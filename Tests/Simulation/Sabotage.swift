import Execution
import Model

/// A deliberate mistake, to see that the law against it is watched over.
package enum Sabotage: String, Hashable, Sendable, CaseIterable {
    case removesServing, servesUnproven, launchesTwice, actsUnstored, servesThree, looksNever, skipsGeneration
    case startsTaskTwice, changesItsMind, launchesTooMany, losesCapacity, mixesReleases, runsBeside, postpones
    case renamesQuestions, returnsRollback, forgetsRemovals, dropsRollback

    /// The law that it breaks.
    package var law: Law {
        switch self {
        case .removesServing: .drainedRemoval
        case .servesUnproven: .provenTraffic
        case .launchesTwice: .freshNames
        case .actsUnstored: .intentFirst
        case .servesThree: .twoReleases
        case .looksNever: .boundedWait
        case .skipsGeneration: .generation
        case .startsTaskTwice: .taskOnce
        case .changesItsMind: .fixedPoint
        case .launchesTooMany: .boundedFleet
        case .losesCapacity: .capacity
        case .mixesReleases: .oneRelease
        case .runsBeside: .alone
        case .postpones: .rolloutEnds
        case .renamesQuestions: .sameQuestion
        case .returnsRollback: .noReturnOfRollback
        case .forgetsRemovals: .settles
        case .dropsRollback: .oneCallAway
        }
    }
}

extension SimulatedRun {
    /// Makes a mistake in a decision, where there is something to be wrong about.
    func tamper(_ decision: inout ServiceMachine.Decision, _ sabotage: Sabotage) {
        let before = decision.plan
        switch sabotage {
        case .removesServing, .launchesTwice, .launchesTooMany, .mixesReleases, .runsBeside, .startsTaskTwice:
            decision.plan.steps += needlessSteps(sabotage, decision.plan)
        case .servesUnproven, .servesThree, .losesCapacity, .renamesQuestions:
            decision.plan.steps = decision.plan.steps.map { spoiled($0, sabotage) }
        case .looksNever: decision.plan.lookAgainAt = nil
        case .skipsGeneration: decision.plan.state.generation += 1
        case .changesItsMind: decision.plan.notes.append(Note(.routed, "on second thoughts"))
        case .forgetsRemovals: decision.plan.steps.removeAll { if case .remove = $0 { true } else { false } }
        case .postpones:
            if case .waiting = before.state.rollout?.phase {
                decision.plan.state.rollout?.phase = .waiting(since: decision.at)
            }
        case .returnsRollback where before.state.rollout?.kind == .rollback:
            decision.plan.state.rollout?.phase = .returning(since: decision.at, reason: "a whim")
        case .dropsRollback where before.state.rollout?.kind == .rollback: decision.plan.state.rollout = nil
        case .returnsRollback, .dropsRollback, .actsUnstored: break
        }
        guard before != decision.plan, !decision.isNews, sabotage != .changesItsMind else { return }
        decision.isNews = true
        decision.plan.state.generation += 1
    }

    private func needlessSteps(_ sabotage: Sabotage, _ plan: Plan) -> [Step] {
        let serving = router.servers.filter { $0.value.seen.state.isServing }.keys.min()
        let named = plan.state.instancesNamed
        func fresh(_ release: ReleaseNumber, _ number: Int) -> InstanceID {
            InstanceID(key, release: release, ordinal: named + number)
        }
        switch sabotage {
        case .removesServing: return serving.map { [.remove($0, reason: .surplus, grace: .zero)] } ?? []
        case .launchesTwice:
            guard let id = serving, let release = host[id.ordinal]?.release else { return [] }
            return [.launch(id, release: release)]
        case .launchesTooMany:
            guard let release = plan.state.current else { return [] }
            return (1...(3 * store.size(of: release) + 3)).map {
                .launch(fresh(release, $0), release: release)
            }
        case .mixesReleases:
            guard let release = plan.state.current, let other = plan.state.rollout?.to, other != release
            else {
                return []
            }
            return [.launch(fresh(release, 1), release: other)]
        case .runsBeside:
            guard let release = plan.state.rollout?.to, release != plan.state.current,
                store.isExclusive(release)
            else { return [] }
            return [.launch(fresh(release, 1), release: release)]
        case .startsTaskTwice:
            for case .runTask(_, let release, let command) in plan.steps {
                return [.runTask(fresh(release, 1), release: release, command: command)]
            }
            return []
        default: return []
        }
    }

    private func spoiled(_ step: Step, _ sabotage: Sabotage) -> Step {
        if case .check(var check) = step, sabotage == .renamesQuestions {
            check.idempotencyKey += "/\(uptime)"
            return .check(check)
        }
        guard case .route(var route) = step else { return step }
        for index in route.servers.indices {
            let server = route.servers[index]
            let isProven = host[server.id.ordinal]?.hasProven == true
            switch sabotage {
            case .servesUnproven where !isProven, .servesThree where isProven:
                route.servers[index].state = .serving(weight: 100)
            // Only what was enough before can become too little.
            case .losesCapacity where server.state.isServing && uptime > 3000:
                route.servers[index].state = .warm
                return .route(route)
            default: break
            }
        }
        return .route(route)
    }
}
