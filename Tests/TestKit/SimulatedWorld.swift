package import Model

/// A platform and a router for one service, with faults that a seed decides. Time moves only by `advance`.
///
/// Acts begin when they are asked for and end some time later, as real ones do. What it was asked that no correct
/// caller would ask is kept in `violations`.
package struct SimulatedWorld: Sendable {
    /// What is the matter with a release's instances.
    package enum Temper: CaseIterable, Sendable {
        case good, failsToLaunch, neverHealthy, diesBeforeHealthy, diesSoon, flaps
    }

    /// How often, in percent, things go wrong.
    package struct Odds: Sendable {
        package var routeRefused = 0
        package var routeLags = 0
        /// Each time that time moves.
        package var routerDies = 0
        package var instanceKilled = 0
        package var monitorLost = 0
        package var removalFails = 0
        package var clockSteps = 0

        package init() {}
    }

    private struct Instance: Sendable {
        var seen: ObservedInstance
        /// When its launch ends; nil: never, what made it is gone.
        var runsAt: Int?
        var failsToLaunch = false
        var healthyAfter: Int?
        var endsAfter: Int?
        var flapsEvery: Int?
        var goneAt: Int?
    }

    private struct Server: Sendable {
        var state: RouteServer.State
        var hasPassed = false
    }

    package let key: ServiceKey
    package var odds = Odds()
    /// A release that is not named is good.
    package var tempers: [ReleaseNumber: Temper] = [:]
    package private(set) var violations: [String] = []
    /// Instances that passed a health check at least once.
    package private(set) var passed: Set<InstanceID> = []
    /// Every name ever used, and its release.
    package private(set) var launched: [InstanceID: ReleaseNumber] = [:]
    package private(set) var failedLaunches: [InstanceID] = []
    package private(set) var finishedLaunches: [InstanceID] = []
    package private(set) var finishedRemovals: [InstanceID] = []
    private var instances: [InstanceID: Instance] = [:]
    private var isRouterRunning = true
    private var listener: Listener?
    private var servers: [InstanceID: Server]?
    private var lagging: (route: Route, at: Int)?
    private var uptime = 0
    private var skew = 0
    private var random: SeededGenerator

    package init(key: ServiceKey, seed: UInt64) {
        self.key = key
        random = SeededGenerator(seed: seed)
    }

    /// What a clock on the wall shows.
    package var now: Instant { Instant(milliseconds: 1_700_000_000_000 + uptime + skew) }

    /// Milliseconds since the beginning, whatever was done to the clock.
    package var age: Int { uptime }

    // MARK: Acts

    package mutating func launch(_ id: InstanceID, release: ReleaseNumber) {
        if launched[id] != nil { violations.append("\(id) was launched twice") }
        launched[id] = release
        var instance = Instance(
            seen: ObservedInstance(
                id: id, key: key, release: release, phase: .launching, address: "", startedAt: now))
        instance.runsAt = uptime + Int.random(in: 5...300, using: &random)
        let healthyAfter = Int.random(in: 5...400, using: &random)
        instance.healthyAfter = healthyAfter
        switch tempers[release] ?? .good {
        case .good: break
        case .failsToLaunch: instance.failsToLaunch = true
        case .neverHealthy: instance.healthyAfter = nil
        case .diesBeforeHealthy:
            instance.healthyAfter = nil
            instance.endsAfter = Int.random(in: 1...400, using: &random)
        case .diesSoon: instance.endsAfter = healthyAfter + Int.random(in: 50...1500, using: &random)
        case .flaps: instance.flapsEvery = Int.random(in: 300...2000, using: &random)
        }
        instances[id] = instance
    }

    package mutating func remove(_ id: InstanceID) {
        if instances[id] == nil { finishedRemovals.append(id) }
        instances[id]?.goneAt = uptime + Int.random(in: 0...200, using: &random)
    }

    /// Whether the router did as asked (perhaps some time later).
    package mutating func apply(_ route: Route) -> Bool {
        for server in route.servers where server.state.takesTraffic && !passed.contains(server.id) {
            violations.append("\(server.id) is to serve and never passed a health check")
        }
        if random.happens(percent: odds.routeRefused) { return false }
        isRouterRunning = true
        if random.happens(percent: odds.routeLags) {
            lagging = (route, uptime + Int.random(in: 20...600, using: &random))
        } else {
            lagging = nil
            carryOut(route)
        }
        return true
    }

    package mutating func removeRoute() {
        lagging = nil
        servers = nil
        listener = nil
    }

    private mutating func carryOut(_ route: Route) {
        listener = route.listener
        servers = Dictionary(
            uniqueKeysWithValues: route.servers.map { server in
                (
                    server.id,
                    Server(state: server.state, hasPassed: servers?[server.id]?.hasPassed ?? false)
                )
            })
    }

    // MARK: Faults

    /// The daemon is killed: what it was doing stops half-way, or is finished by what it had started.
    package mutating func daemonDied() {
        for id in instances.keys.sorted() {
            if instances[id]?.seen.phase == .launching, random.happens(percent: 70) {
                instances[id]?.runsAt = nil
            }
            if random.happens(percent: 70) { instances[id]?.goneAt = nil }
        }
        finishedLaunches = []
        finishedRemovals = []
        failedLaunches = []
    }

    package mutating func routerDied() {
        isRouterRunning = false
        listener = nil
        servers = nil
        lagging = nil
    }

    package mutating func kill(_ id: InstanceID) {
        if instances[id]?.seen.phase == .running { instances[id]?.seen.phase = .exited(status: 137) }
    }

    package mutating func killAll() { for id in instances.keys { kill(id) } }

    package mutating func stepClock(by milliseconds: Int) { skew += milliseconds }

    /// From now on nothing goes wrong by itself, and what flaps has recovered.
    package mutating func calm() {
        odds = Odds()
        tempers = [:]
        for id in instances.keys { instances[id]?.flapsEvery = nil }
    }

    // MARK: Time

    package mutating func advance(by milliseconds: Int) {
        uptime += max(1, milliseconds)
        if random.happens(percent: odds.clockSteps) {
            stepClock(by: Int.random(in: -20_000...20_000, using: &random))
        }
        for id in instances.keys.sorted() { advance(id) }
        if random.happens(percent: odds.routerDies) { routerDied() }
        if let due = lagging, due.at <= uptime {
            lagging = nil
            if isRouterRunning { carryOut(due.route) }
        }
        for id in (servers ?? [:]).keys where isAble(id) {
            servers?[id]?.hasPassed = true
            passed.insert(id)
        }
    }

    private mutating func advance(_ id: InstanceID) {
        guard var instance = instances[id] else { return }
        if let runsAt = instance.runsAt, runsAt <= uptime, instance.seen.phase == .launching {
            if instance.failsToLaunch {
                instances[id] = nil
                failedLaunches.append(id)
                return
            }
            instance.seen.phase = .running
            instance.seen.address = "10.0.0.\(launched.count)"
            instance.seen.startedAt = now
            finishedLaunches.append(id)
        }
        if instance.seen.phase == .running {
            if let end = instance.endsAfter, uptime - (instance.runsAt ?? 0) >= end {
                instance.seen.phase = .exited(status: 1)
            } else if random.happens(percent: odds.instanceKilled) {
                instance.seen.phase = .exited(status: 137)
            } else if random.happens(percent: odds.monitorLost) {
                instance.seen.isMonitored = false
            }
        }
        if let goneAt = instance.goneAt, goneAt <= uptime {
            finishedRemovals.append(id)
            if random.happens(percent: odds.removalFails) {
                instance.goneAt = nil
            } else {
                instances[id] = nil
                return
            }
        }
        instances[id] = instance
    }

    /// Whether an instance would answer a request now.
    package func isAble(_ id: InstanceID) -> Bool {
        guard let instance = instances[id], instance.seen.phase == .running, instance.goneAt == nil,
            let healthyAfter = instance.healthyAfter, let runsAt = instance.runsAt
        else { return false }
        let running = uptime - runsAt
        guard running >= healthyAfter else { return false }
        guard let period = instance.flapsEvery else { return true }
        return (running - healthyAfter) / period % 2 == 0
    }

    // MARK: Seeing

    /// Instances that take new requests now and can answer them.
    package var ableToServe: Int {
        (servers ?? [:]).count { $0.value.state.takesTraffic && isAble($0.key) }
    }

    package func observe() -> Observation {
        var seen = Observation(at: now)
        for (id, instance) in instances {
            seen.instances[id] = instance.seen
            if instance.seen.phase == .running {
                seen.instances[id]?.commandHealth =
                    isAble(id) ? .healthy : passed.contains(id) ? .failing : .unproven
            }
        }
        seen.router.isRunning = isRouterRunning
        if let servers {
            var route = ObservedRoute(listener: listener)
            for (id, server) in servers {
                let health: Health = isAble(id) ? .healthy : server.hasPassed ? .failing : .unproven
                // What it passes while it is looked at, it has passed.
                route.servers[id] = ObservedServer(
                    state: server.state, health: server.hasPassed ? health : .unproven,
                    sessions: server.state == .draining && uptime % 3 == 0 ? 1 : 0)
            }
            seen.router.routes[key] = route
        }
        return seen
    }

    /// Takes what ended since it was last asked: launches, failed launches, removals.
    package mutating func takeResults() -> (
        launched: [InstanceID], failed: [InstanceID], removed: [InstanceID]
    ) {
        defer { (finishedLaunches, failedLaunches, finishedRemovals) = ([], [], []) }
        return (finishedLaunches, failedLaunches, finishedRemovals)
    }
}

extension RouteServer.State {
    package var takesTraffic: Bool { if case .serving = self { true } else { false } }
}
