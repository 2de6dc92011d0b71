internal import Logging
package import Model
internal import Planning
internal import Ports

/// Keeps one service as intended: observe, plan, write the intent, act, write the outcome, and look again.
/// Recovery after a crash is the same loop.
package actor ServiceController {
    package let key: ServiceKey
    let world: World
    private(set) var machine: ServiceMachine
    private var probes: [InstanceID: ProbeCounter] = [:]
    private var isGone = false
    /// What came of steps and could not be written down yet.
    private var unwritten: [StepOutcome] = []
    /// Why releases were refused the last time.
    private var refusals: [ReleaseNumber: String] = [:]
    /// Makes every change of intent one at a time: read, decide, store.
    private let intent = Turnstile(width: 1)
    private nonisolated let wake = Signal()
    private let rolloutEnded: @Sendable () async -> Void

    /// `rolloutEnded` is called after each rollout, when other images may be in use than before.
    package init(
        _ state: ServiceState, releases: [Release], world: World,
        rolloutEnded: @escaping @Sendable () async -> Void
    ) {
        key = state.key
        machine = ServiceMachine(state, releases: releases, lookingSince: world.clock.now)
        self.world = world
        self.rolloutEnded = rolloutEnded
    }

    /// Something changed: look now.
    package nonisolated func lookNow() { wake.signal() }

    /// Runs until the task is cancelled, or the service is retired and gone.
    package func run() async {
        await withDiscardingTaskGroup { group in
            while !isGone, !Task.isCancelled {
                let next: Span
                do {
                    let round = try await round()
                    for step in round.background { group.addTask { await self.carryOut(step) } }
                    if round.hasEndedRollout { group.addTask { await self.rolloutEnded() } }
                    for instance in round.probes { group.addTask { await self.probe(instance) } }
                    next = max(.milliseconds(1), round.lookAgainAt - world.clock.now)
                } catch {
                    world.logger.error(
                        "round failed", metadata: ["service": "\(key)", "error": "\(error)"])
                    next = Bounds.pauseAfterFault
                }
                if !isGone { await waitForWake(atMost: next) }
            }
            group.cancelAll()
        }
    }

    private func waitForWake(atMost span: Span) async {
        let (clock, wake) = (world.clock, wake)
        await withTaskGroup { group in
            group.addTask { await wake.wait() }
            group.addTask { try? await clock.sleep(for: span) }
            await group.next()
            group.cancelAll()
        }
    }

    // MARK: One round

    private struct JournaledStep: Sendable {
        var number: Int
        var step: Step
    }

    private struct Round: Sendable {
        var background: [JournaledStep]
        var probes: [ObservedInstance]
        var hasEndedRollout: Bool
        var lookAgainAt: Instant
    }

    private func round() async throws -> Round {
        await writeOutcomes()
        let underWay = machine.underWay
        let seen = try await observe()
        let (plan, begin, journaled) = try await intent.through { try await decide(seen, underWay) }
        isGone = plan.isGone
        var lookAgainAt = plan.lookAgainAt ?? begin + Limits.settledLook
        var background: [JournaledStep] = []
        for entry in journaled {
            switch entry.step {
            case .route(let route):
                if await !apply(route, entry.number, decidedAt: begin) {
                    lookAgainAt = begin + Bounds.pauseAfterFault
                }
            case .removeRoute(let key):
                await report(entry, nil) { try await self.world.router.remove(key) }
            case .launch, .runTask, .remove, .check, .restoreLimits:
                background.append(entry)
            }
        }
        let unprobed = seen.instances.values.filter { probedCommand($0) != nil && probes[$0.id] == nil }
        for instance in unprobed { probes[instance.id] = ProbeCounter() }
        return Round(
            background: background, probes: unprobed,
            hasEndedRollout: plan.notes.contains { $0.kind == .rolloutEnded }, lookAgainAt: lookAgainAt)
    }

    /// What runs now of this service.
    func observe() async throws -> Observation {
        let instances = try await world.platform.observe(key)
        let router = try await world.router.observe()
        var seen = Observation(at: world.clock.now, router: router)
        for var instance in instances {
            if probedCommand(instance) != nil {
                instance.commandHealth = probes[instance.id]?.health ?? .unproven
            }
            seen.instances[instance.id] = instance
        }
        return seen
    }

    /// Plans, and writes the intent down before anything acts on it.
    private func decide(
        _ seen: Observation, _ underWay: ServiceMachine.UnderWay
    ) async throws -> (Plan, Instant, [JournaledStep]) {
        let decision = machine.decide(seen, underWay, at: world.clock.now)
        let plan = decision.plan
        guard decision.isNews else { return (plan, decision.at, []) }
        let numbers = try await commit(
            plan.state, adding: nil, intents: plan.steps, notes: plan.notes, at: decision.at)
        machine.adopt(decision)
        for note in plan.notes { log(note) }
        return (plan, decision.at, zip(numbers, plan.steps).map { JournaledStep(number: $0, step: $1) })
    }

    /// Stores a new intent. After a conflict, the next decision begins from what is stored.
    private func commit(
        _ state: ServiceState, adding release: Release?, intents: [Step], notes: [Note], at now: Instant
    ) async throws -> [Int] {
        do {
            return try await world.store.commit(
                state, adding: release, intents: intents, notes: notes, at: now)
        } catch let failure as Failure where failure.code == .conflict {
            if let stored = try await world.store.service(key) {
                machine.reread(stored, try await world.store.releases(of: key))
            }
            throw failure
        }
    }

    // MARK: Acts

    private func apply(_ route: Route, _ number: Int, decidedAt begin: Instant) async -> Bool {
        do {
            try await world.router.apply(route)
            machine.routed(route, at: world.clock.now)
            let milliseconds = (world.clock.now - begin).milliseconds
            let serving = route.servers.filter(\.state.isServing).map(\.id.text)
            let note = Note(
                .routed,
                serving.isEmpty
                    ? "no instance takes traffic" : "traffic goes to \(counted(serving.count, "instance"))",
                details: ["milliseconds": "\(milliseconds)", "serving": serving.joined(separator: " ")])
            await finish(number, notes: [note])
            return true
        } catch {
            let failure = Failure.list(error)[0]
            machine.routeRefused(failure.message, at: world.clock.now)
            await finish(number, failure: failure, notes: [Note(.stepFailed, failure.description)])
            return false
        }
    }

    private func carryOut(_ entry: JournaledStep) async {
        switch entry.step {
        case .launch(let id, let release): await launch(id, release, task: nil, entry)
        case .runTask(let id, let release, let command): await launch(id, release, task: command, entry)
        case .check(let check): await ask(check, entry)
        case .remove(let id, let reason, let grace): await remove(id, reason, grace, entry)
        case .restoreLimits(let id):
            await report(
                entry, Note(.setRight, "the limits of \(id) are those of its launch again", instance: id)
            ) {
                try await self.world.platform.restoreLimits(of: id)
            }
            machine.restored(id)
        case .route, .removeRoute: break
        }
        wake.signal()
    }

    private func launch(
        _ id: InstanceID, _ number: ReleaseNumber, task: [String]?, _ entry: JournaledStep
    ) async {
        let world = world
        var notes: [Note] = []
        do {
            guard let release = machine.releases[number] else {
                throw Failure(.notFound, "\(number) is not known any more")
            }
            let milliseconds = try await world.launches.through {
                try await world.platform.prepare(release.content.image)
                let begin = world.clock.now
                try await self.admit(id, of: release)
                try await world.platform.launch(LaunchOrder(id: id, release: release, task: task))
                return (world.clock.now - begin).milliseconds
            }
            notes.append(
                Note(
                    .launched, "\(id) runs", instance: id, release: number,
                    details: ["milliseconds": "\(milliseconds)"]))
            await finish(entry.number, notes: notes)
            machine.launched(id)
        } catch {
            let failure = Failure.list(error)[0]
            let log = await logTail(id)
            try? await world.platform.remove(id, grace: .zero)
            if failure.code == .storeDamaged {
                notes.append(Note(.altered, failure.description, instance: id, release: number))
            }
            notes.append(
                Note(
                    .launchFailed, "\(id) could not be launched: \(failure)", instance: id, release: number,
                    details: log))
            await finish(entry.number, failure: failure, notes: notes)
            machine.launchFailed(id, failure.message)
        }
    }

    private func ask(_ check: GateCheck, _ entry: JournaledStep) async {
        let answer = await world.gates.ask(check)
        await finish(entry.number)
        machine.answered(check, answer, at: world.clock.now)
    }

    private func remove(
        _ id: InstanceID, _ reason: RemovalReason, _ grace: Span, _ entry: JournaledStep
    ) async {
        var log = reason.isFailure || reason == .taskEnded ? await logTail(id) : [:]
        // One that was touched may go for another reason: it ended first, or is one too many.
        let isTouched = reason == .drifted || reason == .tainted || machine.state.tainted(id) != nil
        if isTouched { log.merge(await keepEvidence(of: id)) { $1 } }
        probes[id] = nil
        let note = Note(
            .removed, "\(id) is removed: \(reason.rawValue)", instance: id,
            details: log.merging(["reason": reason.rawValue]) { $1 })
        if await !report(entry, note, { try await self.world.platform.remove(id, grace: grace) }) {
            try? await world.clock.sleep(for: Bounds.pauseAfterFault)
        }
        machine.removed(id)
    }

    /// What can be said of an instance that was touched, before it goes. That none can be kept does not let it live.
    private func keepEvidence(of id: InstanceID) async -> [String: String] {
        do {
            let kept = try await world.platform.keepEvidence(
                of: id, about: machine.state.tainted(id)?.drifts ?? [])
            return ["evidence": "\(kept.digest)", "evidence-file": kept.path]
        } catch {
            return ["evidence-missing": Failure.list(error)[0].description]
        }
    }

    private func logTail(_ id: InstanceID) async -> [String: String] {
        let lines = (try? await world.platform.log(of: id, lines: Bounds.logLinesKept)) ?? []
        return lines.isEmpty ? [:] : ["log": lines.map(\.text).joined(separator: "\n")]
    }

    /// Acts and writes the outcome down; whether it worked.
    @discardableResult
    private func report(
        _ entry: JournaledStep, _ note: Note?, _ act: @Sendable () async throws -> Void
    ) async -> Bool {
        do {
            try await act()
            await finish(entry.number, notes: note.map { [$0] } ?? [])
            return true
        } catch {
            let failure = Failure.list(error)[0]
            await finish(entry.number, failure: failure, notes: [Note(.stepFailed, failure.description)])
            return false
        }
    }

    private func finish(_ number: Int, failure: Failure? = nil, notes: [Note] = []) async {
        for note in notes { log(note) }
        unwritten.append(StepOutcome(journalNumber: number, failure: failure, notes: notes))
        await writeOutcomes()
    }

    /// Writes down what came of steps. What cannot be written is tried again with the next, and at the next look: the act
    /// is done and will be seen, and its record must not be missing for good.
    private func writeOutcomes() async {
        guard !unwritten.isEmpty else { return }
        let outcomes = unwritten
        unwritten = []
        do {
            try await world.store.finish(outcomes, for: key, at: world.clock.now)
        } catch {
            unwritten = (outcomes + unwritten).suffix(Bounds.outcomesKept)
            world.logger.error("outcome not written", metadata: ["service": "\(key)", "error": "\(error)"])
        }
    }

    /// Remembers why a release was refused, nil where it was not; whether that is another answer than the last time.
    func wasRefused(_ release: ReleaseNumber, _ reason: String?) -> Bool {
        defer { refusals[release] = reason }
        return refusals[release] != reason
    }

    private func log(_ note: Note) {
        world.logger.info(
            "\(note.kind.rawValue)", metadata: ["service": "\(key)", "what": "\(note.message)"])
    }

    // MARK: Probes that the router cannot make

    /// The command that probes an instance from inside, where its release has one.
    private func probedCommand(_ instance: ObservedInstance) -> [String]? {
        guard instance.phase == .running, !instance.isTask, !machine.removing.contains(instance.id),
            case .command(let command) = machine.releases[instance.release]?.content.run.health.kind
        else { return nil }
        return command
    }

    private func probe(_ instance: ObservedInstance) async {
        let id = instance.id
        guard let command = probedCommand(instance),
            let check = machine.releases[instance.release]?.content.run.health
        else { return }
        while let before = probes[id]?.health, !Task.isCancelled {
            let status = try? await world.platform.execute(command, in: id, timeout: check.timeout)
            probes[id]?.count(passed: status == 0, by: check)
            if probes[id]?.health != before { wake.signal() }
            let isUnproven = probes[id]?.health == .unproven
            try? await world.clock.sleep(
                for: isUnproven ? min(check.interval, Bounds.firstProbes) : check.interval)
        }
    }

    // MARK: Requests

    /// Changes the intent by a rule, stores it together with what it introduces, and looks at once.
    func change<Result: Sendable>(
        saying reason: String? = nil,
        _ rule: (inout ServiceState, [ReleaseNumber: Release]) throws -> (
            release: Release?, notes: [Note], result: Result
        )
    ) async throws -> Result {
        let result = try await intent.through {
            let change = try machine.changed(rule)
            let notes = change.notes.saying(reason)
            _ = try await commit(
                change.state, adding: change.release, intents: [], notes: notes, at: world.clock.now)
            machine.adopt(change)
            for note in notes { log(note) }
            return change.result
        }
        wake.signal()
        return result
    }
}
