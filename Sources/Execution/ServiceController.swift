package import Logging
package import Model
internal import Planning
package import Ports

/// What the controllers of all services share.
package struct World: Sendable {
    package var platform: any Platform
    package var router: any TrafficRouter
    package var store: any StateStore
    package var clock: any Clock
    package var logger: Logger
    /// Bounds the launches under way on this host, over all services.
    package let launches = Turnstile(width: Bounds.parallelLaunches)

    package init(
        platform: any Platform, router: any TrafficRouter, store: any StateStore, clock: any Clock,
        logger: Logger
    ) {
        self.platform = platform
        self.router = router
        self.store = store
        self.clock = clock
        self.logger = logger
    }
}

/// The bounds of what the control loop does and keeps.
package enum Bounds {
    package static let parallelLaunches = 8
    /// How long a route that was just applied may take to be seen before it is applied again.
    static let routeSettles = Span.seconds(1)
    /// The pause after an act that failed, so that a lasting fault does not become a busy loop.
    static let pauseAfterFault = Span.seconds(1)
    /// Log lines kept with the record of a failed instance.
    static let logLinesKept = 20
    /// How often to look whether everything is retired: five minutes in all.
    static let looksUntilRetired = 3000
    /// How often an instance that never passed is probed, where its interval is longer.
    static let firstProbes = Span.milliseconds(200)
}

/// Keeps one service as intended: observe, plan, write the intent, act, write the outcome, and look again.
/// Recovery after a crash is the same loop.
package actor ServiceController {
    package let key: ServiceKey
    let world: World
    private(set) var state: ServiceState
    private(set) var releases: [ReleaseNumber: Release]
    private var launching: [InstanceID: ReleaseNumber] = [:]
    private var removing: Set<InstanceID> = []
    private var launchFailures: [LaunchFailure] = []
    private var routeFailure: String?
    private var lastRoute: (route: Route, at: Instant)?
    private var probes: [InstanceID: ProbeCounter] = [:]
    private var isGone = false
    private let lookingSince: Instant
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
        self.state = state
        self.world = world
        lookingSince = world.clock.now
        self.rolloutEnded = rolloutEnded
        self.releases = Dictionary(uniqueKeysWithValues: releases.map { ($0.number, $0) })
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

    /// The launches and removals under way. Taken before a look: one that ends meanwhile still counts as under way,
    /// so that a fresh instance is never mistaken for a half-made one.
    private struct UnderWay: Sendable {
        var launching: [InstanceID: ReleaseNumber]
        var removing: Set<InstanceID>
    }

    private func round() async throws -> Round {
        let underWay = UnderWay(launching: launching, removing: removing)
        let seen = try await observe(underWay)
        let begin = world.clock.now
        let (plan, journaled) = try await intent.through { try await decide(seen, underWay) }
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
            case .launch(let id, let release):
                launching[id] = release
                background.append(entry)
            case .remove(let id, _, _):
                removing.insert(id)
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
        try await observe(UnderWay(launching: launching, removing: removing))
    }

    private func observe(_ underWay: UnderWay) async throws -> Observation {
        let instances = try await world.platform.observe().filter { $0.key == key }
        let router = try await world.router.observe()
        var seen = Observation(at: world.clock.now, router: router)
        for var instance in instances {
            if probedCommand(instance) != nil {
                instance.commandHealth = probes[instance.id]?.health ?? .unproven
            }
            seen.instances[instance.id] = instance
        }
        // A launch under way may have left nothing to see yet; it counts all the same.
        for (id, release) in underWay.launching where seen.instances[id] == nil {
            seen.instances[id] = ObservedInstance(
                id: id, key: key, release: release, phase: .launching, address: "", startedAt: seen.at)
        }
        return seen
    }

    /// Plans, and writes the intent down before anything acts on it.
    private func decide(_ seen: Observation, _ underWay: UnderWay) async throws -> (Plan, [JournaledStep]) {
        let situation = Situation(
            state: state, releases: releases, seen: seen, launching: Set(underWay.launching.keys),
            removing: underWay.removing, launchFailures: launchFailures, routeFailure: routeFailure,
            lookingSince: lookingSince, now: world.clock.now)
        var plan = Planner.plan(situation)
        plan.steps.removeAll { isSettling($0, at: situation.now) }
        guard plan.state != state || !plan.steps.isEmpty || !plan.notes.isEmpty else { return (plan, []) }
        plan.state.generation += 1
        let numbers = try await world.store.commit(
            plan.state, adding: nil, intents: plan.steps, notes: plan.notes, at: situation.now)
        state = plan.state
        let known = Set(situation.launchFailures)
        launchFailures.removeAll { known.contains($0) }
        for note in plan.notes { log(note) }
        return (plan, zip(numbers, plan.steps).map { JournaledStep(number: $0, step: $1) })
    }

    private func isSettling(_ step: Step, at now: Instant) -> Bool {
        guard case .route(let route) = step, let lastRoute else { return false }
        return lastRoute.route == route && now - lastRoute.at < Bounds.routeSettles
    }

    // MARK: Acts

    private func apply(_ route: Route, _ number: Int, decidedAt begin: Instant) async -> Bool {
        do {
            try await world.router.apply(route)
            lastRoute = (route, world.clock.now)
            routeFailure = nil
            let milliseconds = (world.clock.now - begin).milliseconds
            let serving = route.servers.filter { if case .serving = $0.state { true } else { false } }.map(
                \.id.text)
            await finish(
                number,
                note: Note(
                    .routed,
                    serving.isEmpty
                        ? "no instance takes traffic"
                        : "traffic goes to \(counted(serving.count, "instance"))",
                    details: ["milliseconds": "\(milliseconds)", "serving": serving.joined(separator: " ")]))
            return true
        } catch {
            lastRoute = nil
            let failure = Failure.list(error)[0]
            routeFailure = failure.message
            await finish(number, failure: failure, note: Note(.stepFailed, failure.description))
            return false
        }
    }

    private func carryOut(_ entry: JournaledStep) async {
        switch entry.step {
        case .launch(let id, let release): await launch(id, release, entry)
        case .remove(let id, let reason, let grace): await remove(id, reason, grace, entry)
        case .route, .removeRoute: break
        }
        wake.signal()
    }

    private func launch(_ id: InstanceID, _ number: ReleaseNumber, _ entry: JournaledStep) async {
        defer { launching[id] = nil }
        guard let release = releases[number] else { return }
        let world = world
        do {
            let milliseconds = try await world.launches.through {
                try await world.platform.prepare(release.content.image)
                let begin = world.clock.now
                try await world.platform.launch(LaunchOrder(id: id, release: release))
                return (world.clock.now - begin).milliseconds
            }
            await finish(
                entry.number,
                note: Note(
                    .launched, "\(id) runs", instance: id, release: number,
                    details: ["milliseconds": "\(milliseconds)"]))
        } catch {
            let failure = Failure.list(error)[0]
            let log = await logTail(id)
            try? await world.platform.remove(id, grace: .zero)
            launchFailures.append(LaunchFailure(id: id, release: number, reason: failure.message))
            await finish(
                entry.number, failure: failure,
                note: Note(
                    .launchFailed, "\(id) could not be launched: \(failure)", instance: id, release: number,
                    details: log))
        }
    }

    private func remove(
        _ id: InstanceID, _ reason: RemovalReason, _ grace: Span, _ entry: JournaledStep
    ) async {
        let log = reason.isFailure ? await logTail(id) : [:]
        probes[id] = nil
        let note = Note(
            .removed, "\(id) is removed: \(reason.rawValue)", instance: id,
            details: log.merging(["reason": reason.rawValue]) { $1 })
        if await !report(entry, note, { try await self.world.platform.remove(id, grace: grace) }) {
            try? await world.clock.sleep(for: Bounds.pauseAfterFault)
        }
        removing.remove(id)
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
            await finish(entry.number, note: note)
            return true
        } catch {
            let failure = Failure.list(error)[0]
            await finish(entry.number, failure: failure, note: Note(.stepFailed, failure.description))
            return false
        }
    }

    private func finish(_ number: Int, failure: Failure? = nil, note: Note?) async {
        if let note { log(note) }
        do {
            let outcome = StepOutcome(journalNumber: number, failure: failure, note: note)
            try await world.store.finish([outcome], for: key, at: world.clock.now)
        } catch {
            // The act is done and will be seen; only its record is missing, and recovery closes such records.
            world.logger.error("outcome not written", metadata: ["service": "\(key)", "error": "\(error)"])
        }
    }

    private func log(_ note: Note) {
        world.logger.info(
            "\(note.kind.rawValue)", metadata: ["service": "\(key)", "what": "\(note.message)"])
    }

    // MARK: Probes that the router cannot make

    /// The command that probes an instance from inside, where its release has one.
    private func probedCommand(_ instance: ObservedInstance) -> [String]? {
        guard instance.phase == .running, !removing.contains(instance.id),
            case .command(let command) = releases[instance.release]?.content.run.health.kind
        else { return nil }
        return command
    }

    private func probe(_ instance: ObservedInstance) async {
        let id = instance.id
        guard let command = probedCommand(instance),
            let check = releases[instance.release]?.content.run.health
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
        _ rule: (inout ServiceState) throws -> (release: Release?, notes: [Note], result: Result)
    ) async throws -> Result {
        let result = try await intent.through {
            var next = state
            let change = try rule(&next)
            next.generation += 1
            let now = world.clock.now
            _ = try await world.store.commit(
                next, adding: change.release, intents: [], notes: change.notes, at: now)
            state = next
            if let release = change.release { releases[release.number] = release }
            for note in change.notes { log(note) }
            return change.result
        }
        routeFailure = nil
        wake.signal()
        return result
    }
}
