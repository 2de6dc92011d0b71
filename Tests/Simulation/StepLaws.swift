import Execution
import Model
import TestKit
import Planning

/// Laws that are checked at every decision.
extension SimulatedRun {
    func check(_ decision: ServiceMachine.Decision, _ seen: Observation) {
        let plan = decision.plan
        guard let next = plan.lookAgainAt, next > decision.at else {
            return broke(.boundedWait, "it looks again at \(String(describing: plan.lookAgainAt))")
        }
        if decision.isNews, plan.state.generation != (keeper?.machine.state.generation ?? 0) + 1 {
            broke(.generation, "\(plan.state.generation) follows \(keeper?.machine.state.generation ?? 0)")
        }
        checkRemovals(plan, seen)
        checkLaunches(plan, seen)
        checkRollback(plan)
        checkEnd(plan)
    }

    private func checkRemovals(_ plan: Plan, _ seen: Observation) {
        let servers = seen.router.routes[key]?.servers
        for case .remove(let id, let reason, _) in plan.steps {
            guard seen.instances[id] != nil, !reason.isFailure, !plan.state.isRetiring else { continue }
            if servers?[id]?.state.isServing == true {
                broke(.drainedRemoval, "\(id) is removed (\(reason.rawValue)) and takes traffic")
            }
        }
    }

    private func checkLaunches(_ plan: Plan, _ seen: Observation) {
        var coming: [ReleaseNumber: Int] = [:]
        for case .launch(_, let release) in plan.steps { coming[release, default: 0] += 1 }
        guard !coming.isEmpty else { return }
        let state = plan.state
        for (release, count) in coming {
            let size = max(store.size(of: release), store.size(of: release, in: state))
            let steady = existing(seen, except: state.drainingSince) { $0 == release }
            let compared = state.rollout.map {
                $0.currentStage.hasBaseline ? $0.currentStage.candidate.of(size) : 0
            }
            if steady + count > 2 * (size + (compared ?? 0)) {
                broke(.boundedFleet, "\(release) has \(steady) and gets \(count) more")
            }
        }
        checkSurge(plan, seen, coming)
    }

    private func checkSurge(_ plan: Plan, _ seen: Observation, _ launches: [ReleaseNumber: Int]) {
        guard let rollout = plan.state.rollout, let current = plan.state.current, current != rollout.to,
            case .rolling(let rolling) = store.settings(rollout.to)?.strategy,
            rollout.stages.contains(where: { $0.split == .even })
        else { return }
        let size = max(store.size(of: rollout.to, in: plan.state), store.size(of: current, in: plan.state))
        // A service that was scaled meanwhile has other batches than those that the surge was meant for.
        guard size == rollout.currentStage.candidate.denominator, size == laws.sizeAtBeginning(rollout, size)
        else {
            return
        }
        // What was seen to fail is replaced before it goes.
        let servers = seen.router.routes[plan.state.key]?.servers
        let failing = seen.instances.values.count {
            $0.phase == .running
                && (!$0.isMonitored || $0.commandHealth == .failing || servers?[$0.id]?.health == .failing)
        }
        let live = existing(seen) { $0 == current || $0 == rollout.to } - failing
        let coming = (launches[current] ?? 0) + (launches[rollout.to] ?? 0)
        guard coming > 0 else { return }
        let stage = rollout.currentStage
        let most = size + max(rolling.surge.of(size), stage.removesFirst ? 0 : 1)
        if live + coming > most {
            broke(.surge, "\(live) run, \(coming) more are launched, \(most) are allowed")
        }
    }

    private func existing(
        _ seen: Observation, except leaving: [InstanceID: Instant] = [:], _ isCounted: (ReleaseNumber) -> Bool
    ) -> Int {
        let there = seen.instances.values.count {
            if case .exited = $0.phase { return false }
            return !$0.isTask && leaving[$0.id] == nil && isCounted($0.release)
        }
        let unseen = (keeper?.machine.launching ?? [:]).count {
            seen.instances[$0.key] == nil && leaving[$0.key] == nil && isCounted($0.value)
        }
        return there + unseen
    }

    private func checkRollback(_ plan: Plan) {
        guard let rollout = plan.state.rollout ?? plan.state.lastRollout, rollout.kind == .rollback else {
            return
        }
        switch rollout.phase {
        case .returning(_, let reason) where !reason.hasSuffix("asked for it"):
            broke(.noReturnOfRollback, "rollback \(rollout.number) gives its traffic back: \(reason)")
        case .ended(_, .rolledBack(let reason)) where !reason.hasSuffix("asked for it"):
            broke(.noReturnOfRollback, "rollback \(rollout.number) was rolled back: \(reason)")
        default: break
        }
    }

    /// The waits of a rollout are bounded; those for a person, and the time in which nobody looked, aside.
    private func checkEnd(_ plan: Plan) {
        guard let rollout = plan.state.rollout, rollout.pause == nil, laws.rolloutWatched == rollout.number
        else {
            laws.rolloutWatched = plan.state.rollout?.number ?? 0
            laws.waitsBegan(at: uptime)
            return
        }
        guard uptime - laws.waitingSince > Limits.switchDeadline.milliseconds else { return }
        let bound = longest(rollout)
        if uptime - laws.waitingSince > bound {
            broke(.rolloutEnds, "rollout \(rollout.number) is in \(rollout.phase) after \(bound) ms")
        }
    }

    /// How long a rollout may take, in milliseconds.
    func longest(_ rollout: Rollout) -> Int {
        let deadline = store.settings(rollout.to)?.deadline ?? .zero
        let stages = rollout.stages.reduce(0) {
            $0 + ($1.wait.longest + deadline + Limits.switchDeadline).milliseconds
        }
        let looks = (rollout.stages.count * 3 + 3) * (script.lateness + Limits.settledLook.milliseconds)
        return stages + looks + (Limits.returnDeadline + deadline).milliseconds + 2 * trouble.lateness
    }

    /// After a decision was adopted, the same look decides nothing more.
    func checkFixedPoint(_ decision: ServiceMachine.Decision, _ seen: Observation) {
        guard var machine = keeper?.machine, !decision.plan.isGone else { return }
        var before = Set(decision.plan.steps)
        var news: [String] = []
        for _ in 0..<SimulatedRun.passes {
            var again = machine.decide(seen, machine.underWay, at: decision.at)
            if sabotage == .changesItsMind { tamper(&again, .changesItsMind) }
            if again.plan.notes.isEmpty, again.plan.steps.allSatisfy(before.contains) {
                var state = again.plan.state
                state.generation = machine.state.generation
                if state == machine.state { return }
            }
            news =
                again.plan.notes.map(\.message) + again.plan.steps.filter { !before.contains($0) }.map(\.line)
            before.formUnion(again.plan.steps)
            machine.adopt(again)
        }
        broke(
            .fixedPoint, "one look decides on and on: \(news.isEmpty ? "only the state changes" : "\(news)")")
    }

    /// In how many passes one look is to be used up: a gate is opened, then asked; the end of a rollout lets the next
    /// one begin.
    static let passes = 3
}

extension RolloutStage.Wait {
    fileprivate var longest: Span {
        switch self {
        case .none, .pause(nil): .zero
        case .settle(let span): span + Limits.switchDeadline
        case .pause(let span?): span
        case .gate(let gate):
            // Without enough data, a comparison pauses when its time is over.
            if case .analysis(let span) = gate.kind { span + Limits.analysisLook } else { gate.timeout }
        }
    }
}
