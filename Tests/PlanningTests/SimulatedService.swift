import Model
import TestKit

@testable import Planning

/// One service kept by the planner in a simulated world, as the real control loop does it: look, plan, store the
/// intent, act. Checks the laws at every step.
struct SimulatedService {
    var world: SimulatedWorld
    var state = ServiceState(key: Fixtures.key)
    var releases: [ReleaseNumber: Release] = [:]
    var violations: [String] = []
    /// How often, in percent, the daemon is killed before a step.
    var crashes = 0
    /// Kills the daemon once, when it has taken this many more steps.
    var stepsBeforeCrash: Int?
    /// How many able instances are never to be missing.
    var leastAble = 0
    private(set) var isGone = false
    /// What only the daemon knows, and forgets when it is killed.
    private var launching: [InstanceID: ReleaseNumber] = [:]
    private var removing: Set<InstanceID> = []
    private var launchFailures: [LaunchFailure] = []
    private var routeFailure: String?
    private var lookingSince: Instant
    private var random: SeededGenerator

    init(seed: UInt64) {
        world = SimulatedWorld(key: Fixtures.key, seed: seed)
        random = SeededGenerator(seed: ~seed)
        lookingSince = world.now
    }

    // MARK: The loop

    private func situation() -> Situation {
        var seen = world.observe()
        for (id, release) in launching where seen.instances[id] == nil {
            seen.instances[id] = ObservedInstance(
                id: id, key: state.key, release: release, phase: .launching, address: "",
                startedAt: world.now)
        }
        return Situation(
            state: state, releases: releases, seen: seen, launching: Set(launching.keys), removing: removing,
            launchFailures: launchFailures, routeFailure: routeFailure, lookingSince: lookingSince,
            now: world.now)
    }

    mutating func round() {
        collect()
        let situation = situation()
        let plan = Planner.plan(situation)
        check(plan, situation)
        state = plan.state
        launchFailures = []
        if plan.isGone { isGone = true }
        for step in plan.steps {
            if random.happens(percent: crashes) || stepsBeforeCrash == 0 {
                stepsBeforeCrash = nil
                return crash()
            }
            stepsBeforeCrash = stepsBeforeCrash.map { $0 - 1 }
            carryOut(step)
        }
        let wait = (plan.lookAgainAt ?? world.now) - world.now
        // Looks late as a rule, as a busy machine does.
        let longest = max(wait.milliseconds, Int.random(in: 20...400, using: &random))
        world.advance(by: min(longest, 1000))
        if leastAble > 0, world.ableToServe < leastAble {
            complain("only \(world.ableToServe) of \(leastAble) instances could serve")
        }
    }

    private mutating func collect() {
        let results = world.takeResults()
        for id in results.launched { launching[id] = nil }
        for id in results.failed {
            guard let release = launching.removeValue(forKey: id) else { continue }
            launchFailures.append(LaunchFailure(id: id, release: release, reason: "no such command"))
        }
        removing.subtract(results.removed)
    }

    private mutating func carryOut(_ step: Step) {
        switch step {
        case .launch(let id, let release):
            launching[id] = release
            world.launch(id, release: release)
        case .route(let route):
            routeFailure = world.apply(route) ? nil : "the port is in use"
        case .remove(let id, _, _):
            removing.insert(id)
            world.remove(id)
        case .runTask, .check: break
        case .removeRoute:
            world.removeRoute()
        }
    }

    mutating func crash() {
        launching = [:]
        removing = []
        launchFailures = []
        routeFailure = nil
        world.daemonDied()
        world.advance(by: Int.random(in: 1...3000, using: &random))
        lookingSince = world.now
    }

    // MARK: Laws that hold at every step

    private mutating func complain(_ what: String) {
        violations.append("after \(world.age) ms: \(what)")
    }

    private mutating func check(_ plan: Plan, _ situation: Situation) {
        for violation in world.violations { complain(violation) }
        if !situation.seen.instances.isEmpty { checkReleases(situation.seen) }
        checkRemovals(plan, situation)
        if plan.steps.isEmpty, plan.notes.isEmpty { checkFixedPoint(plan, situation) }
        if let rollout = plan.state.rollout ?? plan.state.lastRollout, rollout.kind == .rollback {
            switch rollout.phase {
            case .launching, .switching, .waiting, .ended(_, .succeeded), .ended(_, .failed),
                .ended(_, .superseded):
                break
            default: complain("a rollback is in \(rollout.phase)")
            }
        }
        if let lookAgainAt = plan.lookAgainAt, lookAgainAt <= situation.now {
            complain("it looks again without a pause")
        }
        checkBounds(plan, situation)
    }

    private mutating func checkReleases(_ seen: Observation) {
        for (id, instance) in seen.instances where world.launched[id] ?? instance.release != instance.release
        {
            complain("\(id) changed its release")
        }
    }

    private mutating func checkRemovals(_ plan: Plan, _ situation: Situation) {
        for case .remove(let id, let reason, _) in plan.steps {
            guard let instance = situation.seen.instances[id], !reason.isFailure else { continue }
            if situation.route?.servers[id]?.state.takesTraffic == true, !plan.state.isRetiring {
                complain("\(id) is removed and takes traffic")
            }
            if instance.phase == .launching, launching[id] != nil {
                complain("\(id) is removed beneath its launch")
            }
        }
    }

    private mutating func checkFixedPoint(_ plan: Plan, _ situation: Situation) {
        var again = situation
        again.state = plan.state
        again.launchFailures = []
        if Planner.plan(again) != plan { complain("planning again decides anew") }
    }

    private mutating func checkBounds(_ plan: Plan, _ situation: Situation) {
        let size = max(
            plan.state.replicas ?? 0, releases.values.map(\.content.run.replicas).max() ?? 0,
            sizeBefore)
        let live = situation.seen.instances.values.filter {
            if case .exited = $0.phase { return false }
            return plan.state.drainingSince[$0.id] == nil && !removing.contains($0.id)
        }
        for (release, instances) in Dictionary(grouping: live, by: \.release) {
            let coming = plan.steps.count { if case .launch(_, release) = $0 { true } else { false } }
            if instances.count + coming > 2 * size {
                complain("\(release) has \(instances.count) instances and gets \(coming) more")
            }
        }
        sizeBefore = size
    }

    /// A service that was just scaled down is still as large as before.
    private var sizeBefore = 0

    // MARK: What people do

    mutating func deploy(
        temper: SimulatedWorld.Temper = .good, _ make: (Int) -> Release = { Fixtures.release($0) }
    ) {
        let number = state.nextRelease()
        let release = make(number.value)
        let old = state.current.flatMap { releases[$0] }
        guard (try? state.deploy(release, replacing: old, at: world.now, by: "uid:0")) != nil else { return }
        releases[number] = release
        isGone = false
        world.tempers[number] = temper
        routeFailure = nil
    }

    mutating func rollBack(to target: ReleaseNumber? = nil) {
        _ = try? state.rollBack(to: target, known: releases, at: world.now, by: "uid:0")
        routeFailure = nil
    }

    mutating func scale(to count: Int) { _ = try? state.scale(to: count) }
    mutating func retire() { _ = state.beginRetiring(at: world.now) }

    /// Anything at all.
    mutating func meddle() {
        switch Int.random(in: 0..<20, using: &random) {
        case 0..<9:
            let temper = SimulatedWorld.Temper.allCases.randomElement(using: &random)!
            let release = Fixtures.random(Int.self, using: &random)
            deploy(temper: Bool.random(using: &random) ? .good : temper, release)
        case 9..<13: scale(to: Int.random(in: 1...4, using: &random))
        case 13..<18:
            let isNamed = Bool.random(using: &random)
            rollBack(to: isNamed ? releases.keys.sorted().randomElement(using: &random) : nil)
        case 18: retire()
        default: world.killAll()
        }
    }

    // MARK: The end

    /// Goes on until all is as it should be; nil, or what still is not after `limit` rounds.
    mutating func settle(limit: Int = 600) -> String? {
        var trouble: String?
        for _ in 0..<limit {
            round()
            trouble = unsettled()
            if trouble == nil { break }
        }
        return trouble
    }

    /// What is not as it should be when nothing is under way.
    func unsettled() -> String? {
        let seen = world.observe()
        let route = seen.router.routes[state.key]
        if let rollout = state.rollout { return "\(rollout.to) is in \(rollout.phase)" }
        if state.isRetiring { return "it is still retiring: \(seen.instances.keys.sorted())" }
        guard let current = state.current, let release = releases[current] else {
            if !seen.instances.isEmpty { return "left over: \(seen.instances.keys.sorted())" }
            return route == nil ? nil : "a door is left"
        }
        if state.standbys.count > release.content.rollout.keepStandby {
            return "\(state.standbys.count) standbys are kept"
        }
        for wanted in [current] + state.standbys {
            let size = state.replicas ?? releases[wanted]!.content.run.replicas
            let mine = seen.instances.values.filter { $0.release == wanted }
            guard mine.count == size, mine.allSatisfy({ world.isAble($0.id) }) else {
                return "\(wanted) has \(mine.map { "\($0.id) \($0.phase)" }.sorted()) of \(size)"
            }
            let isRight = mine.allSatisfy {
                route?.servers[$0.id]?.state.takesTraffic == (wanted == current)
            }
            if !isRight { return "the traffic of \(wanted) is not right" }
        }
        let kept = Set([current] + state.standbys)
        let others = seen.instances.values.filter { !kept.contains($0.release) }
        if !others.isEmpty { return "left over: \(others.map(\.id).sorted())" }
        if route?.servers.count != seen.instances.count { return "the route has servers too many" }
        return route?.listener == release.content.listen ? nil : "the door is another's"
    }
}

extension Fixtures {
    /// A release of any kind, with short waits.
    static func random(_: Int.Type, using random: inout SeededGenerator) -> (Int) -> Release {
        let replicas = Int.random(in: 1...3, using: &random)
        let port = Int.random(in: 8080...8081, using: &random)
        let isCommand = random.happens(percent: 20)
        let keepStandby = Int.random(in: 0...2, using: &random)
        let door = SocketAddress(host: "127.0.0.1", port: random.happens(percent: 10) ? 8001 : 8000)
        let watch = Span.milliseconds(Int.random(in: 0...1500, using: &random))
        let drain = Span.milliseconds(Int.random(in: 0...1500, using: &random))
        return {
            release(
                $0, replicas: replicas, port: port,
                health: HealthCheck(isCommand ? .command(["check"]) : .tcp), drain: drain, watch: watch,
                deadline: .seconds(4), keepStandby: keepStandby, listen: Listener(address: door))
        }
    }
}
