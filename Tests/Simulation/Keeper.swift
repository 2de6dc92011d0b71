import Execution
import Model
import TestKit
import Planning

/// What the daemon does with a service, as `ServiceController` does it: look, decide, store, act.
struct Keeper: Sendable {
    struct Order: Sendable {
        var id: InstanceID
        var release: ReleaseNumber
        var task: [String]?
        var rollout: Int
    }

    struct Probe: Sendable {
        var counter = ProbeCounter()
        var nextAt: Int
    }

    var machine: ServiceMachine
    var lookAt: Int
    var waiting: [Order] = []
    var launchesUnderWay = 0
    var probes: [Int: Probe] = [:]
}

extension SimulatedRun {
    func startKeeper() {
        let machine = ServiceMachine(store.state, releases: Array(store.releases.values), lookingSince: now)
        keeper = Keeper(machine: machine, lookAt: uptime)
        laws.waitsBegan(at: uptime)
    }

    /// Something changed: look now.
    func wake() {
        guard let lookAt = keeper?.lookAt, lookAt > uptime + 1 else { return }
        keeper?.lookAt = uptime + 1
    }

    func look() {
        guard let underWay = keeper?.machine.underWay else { return }
        let seen = observe()
        census.plans += 1
        guard var decision = keeper?.machine.decide(seen, underWay, at: now) else { return }
        if let sabotage { tamper(&decision, sabotage) }
        check(decision, seen)
        guard violation == nil else { return }
        keeper?.lookAt = nextLook(decision)
        guard decision.isNews else { return }
        carryOut(decision, seen)
    }

    private func nextLook(_ decision: ServiceMachine.Decision) -> Int {
        let wait = (decision.plan.lookAgainAt ?? decision.at) - decision.at
        let late = script.lateness > 0 ? draw(.lateness, census.plans, in: 0...script.lateness) : 0
        defer { trouble.lateness = 0 }
        return uptime + max(1, wait.milliseconds) + late + trouble.lateness
    }

    private func carryOut(_ decision: ServiceMachine.Decision, _ seen: Observation) {
        let plan = decision.plan
        guard !isKilled() else { return }
        let isUnstored = sabotage == .actsUnstored
        guard commit(plan.state, adding: nil, steps: isUnstored ? [] : plan.steps) else { return }
        for note in plan.notes where trace != nil { tell("  \(note.message)") }
        keeper?.machine.adopt(decision)
        for note in plan.notes where note.kind == .rolloutEnded {
            census.outcomes[note.details["outcome"] ?? "", default: 0] += 1
        }
        checkFixedPoint(decision, seen)
        let begunBy = epoch
        for step in plan.steps {
            guard epoch == begunBy, violation == nil else { return }
            switch step {
            case .route(let route): if !isKilled() { apply(route) }
            case .removeRoute: if !isKilled() { removeRoute() }
            default: break
            }
        }
        for step in plan.steps {
            guard epoch == begunBy, violation == nil, keeper != nil else { return }
            switch step {
            case .route, .removeRoute: continue
            default: if !isKilled() { dispatch(step, plan) }
            }
        }
        if plan.isGone {
            tell("the service is gone")
            keeper = nil
        }
    }

    private func dispatch(_ step: Step, _ plan: Plan) {
        tell("  \(step.line)")
        let rollout = plan.state.rollout?.number ?? 0
        switch step {
        case .launch(let id, let release):
            checkNeighbours(of: id, release)
            keeper?.waiting.append(Keeper.Order(id: id, release: release, task: nil, rollout: rollout))
            launchNext()
        case .runTask(let id, let release, let command):
            keeper?.waiting.append(Keeper.Order(id: id, release: release, task: command, rollout: rollout))
            launchNext()
        case .check(let check): put(check)
        case .remove(let id, _, _): remove(id)
        case .restoreLimits(let id): restoreLimits(of: id)
        case .route, .removeRoute: break
        }
    }

    func launchNext() {
        while let order = keeper?.waiting.first, keeper?.launchesUnderWay ?? 0 < Bound.parallelLaunches {
            keeper?.waiting.removeFirst()
            keeper?.launchesUnderWay += 1
            launch(order)
        }
    }

    /// Whether the write counts; a daemon that finds another's write starts anew.
    func commit(_ state: ServiceState, adding release: Release?, steps: [Step]) -> Bool {
        var fault: Store.Answer?
        if trouble.refusedWrites > 0 {
            trouble.refusedWrites -= 1
            fault = .refused
        } else if trouble.deniedWrites > 0 {
            trouble.deniedWrites -= 1
            fault = .denied
        }
        let before = store.state.generation
        let answer = store.commit(state, adding: release, steps: steps, fault: fault)
        switch answer {
        case .written:
            census.writes += 1
            if store.state.generation != before + 1 {
                broke(.generation, "\(before) → \(store.state.generation)")
            }
            return true
        case .refused, .denied:
            tell("  a write is \(answer)")
            if answer == .denied {
                laws.mayConflict = true
                agenda.add(.denialNoticed, at: uptime + 2 * Bound.pauseAfterFault)
            }
            keeper?.lookAt = uptime + Bound.pauseAfterFault
        case .conflict:
            guard laws.mayConflict else {
                broke(.generation, "the store has \(before), and \(state.generation) was to follow")
                return false
            }
            tell("  a write finds another")
            keeper?.machine.reread(store.state, Array(store.releases.values))
            laws.mayConflict = false
            laws.waitsBegan(at: uptime)
            keeper?.lookAt = uptime + Bound.pauseAfterFault
        }
        return false
    }

    // MARK: Death and return

    /// Counts one more effect; true where the daemon is killed before it.
    private func isKilled() -> Bool {
        guard let left = trouble.effectsLeft else { return false }
        trouble.effectsLeft = left - 1
        guard left <= 1 else { return false }
        killDaemon(for: trouble.down)
        return true
    }

    func killDaemon(for span: Int) {
        tell("the daemon is killed")
        trouble.effectsLeft = nil
        laws.mayConflict = false
        epoch += 1
        keeper = nil
        isDaemonUp = false
        // What it was doing stops half-way, or is finished by what it had started.
        for ordinal in host.living {
            guard let slot = host[ordinal] else { continue }
            if slot.stage == .launching, draw(.half, ordinal, in: 0...9) < 4 {
                host.change(ordinal) { $0.isDetached = true }
            }
            if slot.isLeaving, draw(.half, ordinal + epoch, in: 0...9) < 5 {
                host.change(ordinal) { $0.isLeaving = false }
            }
        }
        agenda.add(.daemonStarts(epoch: epoch), at: uptime + max(1, span))
    }

    func daemonStarts() {
        tell("the daemon starts")
        isDaemonUp = true
        let state = store.state
        // As `Controller.recover`: a service of which nothing runs or should run has no controller.
        let isAlive =
            state.current != nil || state.rollout != nil || state.isRetiring || !state.queued.isEmpty
        if isAlive || !host.living.isEmpty || router.route != nil { startKeeper() }
    }
}
