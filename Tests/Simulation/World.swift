import Execution
import Model
import TestKit
import Planning

/// What platform, router and gates do, and what they show.
extension SimulatedRun {
    func happen(_ event: Agenda.Event) {
        switch event {
        case .launchEnds(let ordinal, let asker): launchEnds(ordinal, asker)
        case .exits(let ordinal, let status): exits(ordinal, status: status)
        case .removalEnds(let ordinal, let asker): removalEnds(ordinal, asker)
        case .removalTold(let ordinal, let asker): removalTold(ordinal, asker)
        case .routeArrives(let serial):
            guard serial == router.serial, let route = router.lagging else { return }
            tell("the route arrives")
            // What people asked for meanwhile could not be known when it was sent.
            if laws.askedAt >= router.laggingSince { laws.capacityWasTaken() }
            carryOut(route)
        case .routerReturns: router.isRunning = true
        case .gateAnswers(let question, let asker): gateAnswers(question, asker)
        case .daemonStarts(let number): if number == epoch { daemonStarts() }
        case .personActs: personActs()
        case .asksAgain(let request):
            requestsWaiting -= 1
            ask(request)
        case .denialNoticed: if laws.mayConflict { killDaemon(for: draw(.down, epoch, in: 1...500)) }
        }
    }

    // MARK: Launching

    func launch(_ order: Keeper.Order) {
        let ordinal = order.id.ordinal
        if store.launches[order.id] != order.release {
            return broke(.intentFirst, "\(order.id) is launched and not written down")
        }
        if host.used.contains(ordinal) { return broke(.freshNames, "\(order.id) is launched twice") }
        if order.id != InstanceID(key, release: order.release, ordinal: ordinal) {
            return broke(.oneRelease, "\(order.id) is launched for \(order.release)")
        }
        var slot = Host.Slot(id: order.id, release: order.release, isTask: order.task != nil)
        let temper = deployments[order.release]?.temper ?? .good
        slot.failsToLaunch = temper == .failsToLaunch && order.task == nil
        if trouble.failedLaunches > 0 {
            trouble.failedLaunches -= 1
            slot.failsToLaunch = true
        }
        var span = draw(.launch, ordinal, in: 5...300)
        if trouble.hangingLaunches > 0 {
            trouble.hangingLaunches -= 1
            span = max(1, trouble.hang)
        }
        host.add(slot, key: key, at: now)
        if let task = order.task { laws.tasks[ordinal] = LawBook.Task(rollout: order.rollout, command: task) }
        agenda.add(.launchEnds(ordinal: ordinal, epoch: epoch), at: uptime + span)
    }

    private func launchEnds(_ ordinal: Int, _ asker: Int) {
        let isOurs = asker == epoch && keeper != nil
        guard let slot = host[ordinal], isOurs || slot.isDetached, slot.stage == .launching else { return }
        if slot.failsToLaunch {
            tell("\(slot.id) fails to launch")
            host.vanishes(ordinal)
            if isOurs { keeper?.machine.launchFailed(slot.id, "no such command") }
        } else {
            tell("\(slot.id) runs")
            host.runs(ordinal, at: now)
            if slot.isTask { taskRuns(ordinal) } else { comeToLife(ordinal, slot.release) }
            if isOurs { keeper?.machine.launched(slot.id) }
            checkRelease(of: slot)
        }
        guard isOurs else { return }
        keeper?.launchesUnderWay -= 1
        launchNext()
        wake()
    }

    private func comeToLife(_ ordinal: Int, _ release: ReleaseNumber) {
        let ableAt = uptime + draw(.health, ordinal, in: 5...400)
        func end(_ from: Int, _ to: Int) -> Int { draw(.end, ordinal, in: from...to) }
        host.change(ordinal) { $0.ableAt = ableAt }
        switch deployments[release]?.temper ?? .good {
        case .good, .failsToLaunch: break
        case .slow: host.change(ordinal) { $0.ableAt = ableAt + end(200, 1500) }
        case .neverHealthy: host.change(ordinal) { $0.ableAt = .max }
        case .diesBeforeHealthy:
            host.change(ordinal) { $0.ableAt = .max }
            agenda.add(.exits(ordinal: ordinal, status: 1), at: uptime + end(1, 400))
        case .diesSoon: agenda.add(.exits(ordinal: ordinal, status: 1), at: ableAt + end(50, 1500))
        case .diesLate: agenda.add(.exits(ordinal: ordinal, status: 1), at: ableAt + end(2000, 30_000))
        case .flaps: host.change(ordinal) { $0.flapsEvery = end(300, 2000) }
        }
    }

    private func taskRuns(_ ordinal: Int) {
        guard let task = laws.tasks[ordinal] else { return }
        if !laws.tasksStarted.insert(task).inserted {
            return broke(.taskOnce, "\(task.command) was started twice in rollout \(task.rollout)")
        }
        let fate = GateFate.of(task.command.first ?? "")
        guard fate != .silent || laws.isCalm else { return }
        let span = draw(.answer, ordinal, in: 20...1500)
        let status = fate == .passes || laws.isCalm ? 0 : 1
        agenda.add(.exits(ordinal: ordinal, status: status), at: uptime + span)
    }

    func exits(_ ordinal: Int, status: Int) {
        // What was going to die of its release has been mended by the calm, and by nothing else.
        guard let slot = host[ordinal], slot.isTask || status != 1 || !laws.isCalm else { return }
        guard host.exits(ordinal, status: status) else { return }
        tell("\(slot.id) ends with status \(status)")
        if router.servers[slot.id]?.seen.state.isServing == true { laws.capacityWasTaken() }
        wake()
    }

    // MARK: Removing

    func restoreLimits(of id: InstanceID) {
        if !store.restores.contains(id) {
            return broke(.intentFirst, "the limits of \(id) are put back and that is not written down")
        }
        host.show(id.ordinal) { $0.drifts.removeAll { $0.kind == .limits } }
        keeper?.machine.restored(id)
        wake()
    }

    func remove(_ id: InstanceID) {
        let ordinal = id.ordinal
        if !store.removals.contains(id) {
            return broke(.intentFirst, "\(id) is removed and not written down")
        }
        guard let slot = host[ordinal] else {
            return agenda.add(.removalTold(ordinal: ordinal, epoch: epoch), at: uptime + 1)
        }
        if slot.stage == .launching, keeper?.machine.launching[id] != nil {
            return broke(.drainedRemoval, "\(id) is removed beneath its launch")
        }
        host.change(ordinal) { $0.isLeaving = true }
        let span = draw(.removal, ordinal, in: 0...200)
        agenda.add(.removalEnds(ordinal: ordinal, epoch: epoch), at: uptime + span)
    }

    private func removalEnds(_ ordinal: Int, _ asker: Int) {
        guard let slot = host[ordinal], slot.isLeaving else {
            return agenda.add(.removalTold(ordinal: ordinal, epoch: asker), at: uptime)
        }
        var told = uptime
        if trouble.failedRemovals > 0 {
            trouble.failedRemovals -= 1
            tell("\(slot.id) could not be removed")
            host.change(ordinal) { $0.isLeaving = false }
            if draw(.half, ordinal, in: 0...1) == 0 { host.exits(ordinal, status: 143) }
            told += Bound.pauseAfterFault
        } else {
            tell("\(slot.id) is gone")
            host.vanishes(ordinal)
        }
        agenda.add(.removalTold(ordinal: ordinal, epoch: asker), at: told)
    }

    private func removalTold(_ ordinal: Int, _ asker: Int) {
        guard asker == epoch, keeper != nil else { return }
        keeper?.probes[ordinal] = nil
        guard let id = keeper?.machine.removing.first(where: { $0.ordinal == ordinal }) else { return }
        keeper?.machine.removed(id)
        wake()
    }

    // MARK: Routing

    func apply(_ route: Route) {
        tell("  \(Step.route(route).line)")
        if store.route != route { return broke(.intentFirst, "a route is asked for and not written down") }
        check(route)
        guard violation == nil else { return }
        if trouble.refusedRoutes > 0 {
            trouble.refusedRoutes -= 1
            return refuse("the port is in use")
        }
        let isLate = trouble.lateRoutes > 0
        if isLate {
            trouble.lateRoutes -= 1
            router.defer(route, at: uptime)
            agenda.add(.routeArrives(serial: router.serial), at: uptime + max(1, trouble.lag))
        } else {
            carryOut(route)
        }
        router.isRunning = true
        if trouble.deniedRoutes > 0 {
            trouble.deniedRoutes -= 1
            return refuse("the connection was lost")
        }
        keeper?.machine.routed(route, at: now)
    }

    private func refuse(_ reason: String) {
        tell("  refused: \(reason)")
        keeper?.machine.routeRefused(reason)
        keeper?.lookAt = uptime + Bound.pauseAfterFault
    }

    func carryOut(_ route: Route) {
        countTraffic()
        let delay = self.delay
        router.carryOut(route, at: uptime, delay: delay)
    }

    private var delay: (Int) -> (probe: Int, drain: Int) {
        let run = script
        return { (run.draw(.probe, $0, in: 20...150), run.draw(.drain, $0, in: 0...1200)) }
    }

    func removeRoute() {
        tell("  the route is removed")
        if !store.removesRoute { return broke(.intentFirst, "a route is removed and not written down") }
        router.forget()
    }

    // MARK: Gates

    func put(_ check: GateCheck) {
        let name = "\(check.rollout)/\(check.gate.name)"
        if let known = laws.questionOf[check.idempotencyKey], known != name {
            return broke(.sameQuestion, "\(check.idempotencyKey) stands for \(known) and \(name)")
        }
        if let known = laws.keyOf[name], known != check.idempotencyKey {
            return broke(.sameQuestion, "\(name) is asked as \(known) and as \(check.idempotencyKey)")
        }
        if !store.questions.contains(check.idempotencyKey) {
            return broke(.intentFirst, "\(name) is asked and not written down")
        }
        laws.questionOf[check.idempotencyKey] = name
        laws.keyOf[name] = check.idempotencyKey
        questions.append(check)
        let span = draw(.answer, questions.count, in: 5...400)
        agenda.add(.gateAnswers(question: questions.count - 1, epoch: epoch), at: uptime + span)
    }

    private func gateAnswers(_ question: Int, _ asker: Int) {
        guard asker == epoch, keeper != nil else { return }
        let check = questions[question]
        let times = laws.timesAsked[check.idempotencyKey, default: 0]
        laws.timesAsked[check.idempotencyKey] = times + 1
        let fate = GateFate.of(check.gate.name)
        let patience = draw(.answer, check.rollout, in: 0...2)
        let answer: GateAnswer =
            if uptime < trouble.silentUntil || fate == .silent && !laws.isCalm
                || times < patience && !laws.isCalm
            {
                .unanswered(reason: "nobody answers")
            } else if fate == .fails && !laws.isCalm {
                .failed(reason: "no")
            } else {
                .passed(detail: "yes")
            }
        tell("\(check.idempotencyKey): \(answer)")
        keeper?.machine.answered(check, answer, at: now)
        wake()
    }
}
