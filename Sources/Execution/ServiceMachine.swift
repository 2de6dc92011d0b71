package import Model
internal import Planning

/// All that a service's controller knows and decides. It does nothing itself: it is told what was seen and what came of
/// its steps, and says what is to be stored and done next. So the loop can be tried without a world around it.
package struct ServiceMachine: Sendable {
    package private(set) var state: ServiceState
    package private(set) var releases: [ReleaseNumber: Release]
    /// Steps under way: they are not begun again, and what they make is not mistaken for a leftover.
    package private(set) var launching: [InstanceID: ReleaseNumber] = [:]
    /// Those among the launches that run gates' commands.
    private var tasks: Set<InstanceID> = []
    package private(set) var removing: Set<InstanceID> = []
    private var checking: Set<String> = []
    private var restoring: Set<InstanceID> = []
    private var launchFailures: [LaunchFailure] = []
    private var routeFailure: String?
    private var routeFailedAt: Instant?
    private var lastRoute: (route: Route, at: Instant)?
    private var gateReports: [String: GateReport] = [:]
    /// The router's counts at the last decision that used them; nil before the first.
    private var countsUsed: [InstanceID: RequestCounts]?
    private var load = LoadMeter()
    private let lookingSince: Instant

    /// Takes a service up where it was left: after a deploy of the first release, or after a crash.
    package init(_ state: ServiceState, releases: [Release], lookingSince: Instant) {
        self.state = state
        self.releases = Dictionary(uniqueKeysWithValues: releases.map { ($0.number, $0) })
        self.lookingSince = lookingSince
    }

    /// The launches and removals under way. Taken before a look: one that ends meanwhile still counts as under way,
    /// so that a fresh instance is never mistaken for a half-made one.
    package struct UnderWay: Sendable {
        var launching: [InstanceID: ReleaseNumber]
        var tasks: Set<InstanceID>
        var removing: Set<InstanceID>
    }

    package var underWay: UnderWay { UnderWay(launching: launching, tasks: tasks, removing: removing) }

    // MARK: Deciding

    /// A plan, which counts once its state is stored.
    package struct Decision: Sendable {
        package var plan: Plan
        package var at: Instant
        fileprivate var failuresUsed: Set<LaunchFailure>
        fileprivate var counts: [InstanceID: RequestCounts]
        /// Whether anything is to be stored or done.
        package var isNews: Bool
    }

    /// What to do after a look at the platform and the router.
    package mutating func decide(_ observed: Observation, _ underWay: UnderWay, at now: Instant) -> Decision {
        let seen = complete(observed, underWay)
        let route = seen.router.routes[state.key]
        if load.isWanted(by: state, releases) { load.take(seen, route, at: now) }
        let counts = needsCounts ? (route?.servers ?? [:]).mapValues(\.counts) : [:]
        var situation = Situation(
            state: state, releases: releases, seen: seen, launching: Set(underWay.launching.keys),
            removing: underWay.removing, checking: checking, gateReports: gateReports,
            traffic: trafficSinceUsed(counts), load: load.samples, launchFailures: launchFailures,
            routeFailure: routeFailure, routeFailedAt: routeFailedAt,
            isRouteUnsettled: isUnsettled(route, at: now), lookingSince: lookingSince, now: now)
        situation.restoring = restoring
        var plan = Planner.plan(situation)
        plan.steps.removeAll { isSettling($0, at: now) }
        let isNews = plan.state != state || !plan.steps.isEmpty || !plan.notes.isEmpty
        if isNews { plan.state.generation = state.generation + 1 }
        return Decision(
            plan: plan, at: now, failuresUsed: Set(launchFailures), counts: counts, isNews: isNews)
    }

    /// Makes a decision count, now that its state is stored. Its steps are under way from here on.
    package mutating func adopt(_ decision: Decision) {
        let plan = decision.plan
        state = plan.state
        launchFailures.removeAll { decision.failuresUsed.contains($0) }
        if plan.usesTraffic { countsUsed = decision.counts }
        if state.rollout == nil { gateReports = [:] }
        for step in plan.steps {
            switch step {
            case .launch(let id, let release): launching[id] = release
            case .runTask(let id, let release, _):
                launching[id] = release
                tasks.insert(id)
            case .remove(let id, _, _): removing.insert(id)
            case .check(let check): checking.insert(check.idempotencyKey)
            case .removeRoute: lastRoute = nil
            case .restoreLimits(let id): restoring.insert(id)
            case .route: break
            }
        }
    }

    /// What was seen, and launches under way that have left nothing to see yet.
    private func complete(_ observed: Observation, _ underWay: UnderWay) -> Observation {
        var seen = observed
        for (id, release) in underWay.launching where seen.instances[id] == nil {
            seen.instances[id] = ObservedInstance(
                id: id, key: state.key, release: release, phase: .launching, address: "", startedAt: seen.at,
                isTask: underWay.tasks.contains(id))
        }
        return seen
    }

    private var needsCounts: Bool {
        guard let rollout = state.rollout, case .gate(let gate) = rollout.currentStage.wait else {
            return false
        }
        if case .analysis = gate.kind { return true }
        return false
    }

    private func trafficSinceUsed(_ counts: [InstanceID: RequestCounts]) -> [InstanceID: RequestCounts] {
        guard let countsUsed else { return [:] }
        var traffic: [InstanceID: RequestCounts] = [:]
        for (id, now) in counts { traffic[id] = countsUsed[id].map { now.since($0) } ?? now }
        return traffic
    }

    /// Whether the router was just given a route that it does not show yet.
    private func isUnsettled(_ shown: ObservedRoute?, at now: Instant) -> Bool {
        guard let lastRoute, now - lastRoute.at < Bounds.routeSettles else { return false }
        guard let shown, shown.listener == lastRoute.route.listener else { return true }
        return !lastRoute.route.servers.allSatisfy { server in
            shown.servers[server.id].map { $0.state == server.state } ?? true
        }
    }

    /// A route that was just applied may take a moment to be seen.
    private func isSettling(_ step: Step, at now: Instant) -> Bool {
        guard case .route(let route) = step, let lastRoute else { return false }
        return lastRoute.route == route && now - lastRoute.at < Bounds.routeSettles
    }

    /// Takes up what is stored where it is not what was thought to be: a write may have worked and not been confirmed.
    /// What is under way stays under way.
    package mutating func reread(_ stored: ServiceState, _ releases: [Release]) {
        state = stored
        self.releases = Dictionary(uniqueKeysWithValues: releases.map { ($0.number, $0) })
        countsUsed = nil
    }

    // MARK: Outcomes

    package mutating func launched(_ id: InstanceID) {
        launching[id] = nil
        tasks.remove(id)
    }

    package mutating func launchFailed(_ id: InstanceID, _ reason: String) {
        guard let release = launching.removeValue(forKey: id) else { return }
        tasks.remove(id)
        launchFailures.append(LaunchFailure(id: id, release: release, reason: reason))
    }

    /// Whether or not it worked: what is still there will be seen, and removed again.
    package mutating func removed(_ id: InstanceID) { removing.remove(id) }

    package mutating func restored(_ id: InstanceID) { restoring.remove(id) }

    package mutating func routed(_ route: Route, at now: Instant) {
        lastRoute = (route, now)
        routeFailure = nil
    }

    package mutating func routeRefused(_ reason: String, at now: Instant? = nil) {
        lastRoute = nil
        routeFailure = reason
        routeFailedAt = now
    }

    package mutating func answered(_ check: GateCheck, _ answer: GateAnswer, at now: Instant) {
        checking.remove(check.idempotencyKey)
        gateReports[check.idempotencyKey] = GateReport(answer, at: now)
    }

    // MARK: Requests

    /// A change of intent that people ask for, which counts once it is stored.
    package struct Change<Result: Sendable>: Sendable {
        package var state: ServiceState
        package var release: Release?
        package var notes: [Note]
        package var result: Result
    }

    package func changed<Result: Sendable>(
        _ rule: (inout ServiceState, [ReleaseNumber: Release]) throws -> (
            release: Release?, notes: [Note], result: Result
        )
    ) throws -> Change<Result> {
        var next = state
        let change = try rule(&next, releases)
        next.generation += 1
        return Change(state: next, release: change.release, notes: change.notes, result: change.result)
    }

    package mutating func adopt<Result>(_ change: Change<Result>) {
        // Launches that failed before a rollout began say nothing about it.
        if change.state.rollout?.number != state.rollout?.number { launchFailures = [] }
        state = change.state
        if let release = change.release { releases[release.number] = release }
        // What the router refused before may be what this change is about.
        routeFailure = nil
    }
}
