import Model
import Planning
import TestKit
import Testing

/// Laws that hold whatever happens, over many seeds. A failure names its seed: call the same function with it.
@Suite struct PlannerLawsTests {
    /// Seeds are tried in slices, so that slices run side by side.
    static let slices = 0..<8

    private static func seeds(_ slice: Int, of count: Int) -> StrideTo<UInt64> {
        stride(from: UInt64(slice + 1), to: UInt64(count + 1), by: slices.count)
    }

    /// The first seed that breaks a law is told; the others would say the same.
    private func forAll(_ slice: Int, of count: Int, _ run: (UInt64) -> [String]) {
        for seed in Self.seeds(slice, of: count) {
            let violations = run(seed)
            guard violations.isEmpty else {
                Issue.record("seed \(seed): \(violations.prefix(3).joined(separator: "; "))")
                return
            }
        }
    }

    static func chaos(_ seed: UInt64) -> [String] {
        var random = SeededGenerator(seed: seed &* 31)
        var service = SimulatedService(seed: seed)
        service.deploy(temper: .good, Fixtures.random(Int.self, using: &random))
        service.crashes = [0, 2, 10].randomElement(using: &random)!
        service.world.odds.routeRefused = [0, 5, 40].randomElement(using: &random)!
        service.world.odds.routeLags = [0, 20].randomElement(using: &random)!
        service.world.odds.routerDies = [0, 3].randomElement(using: &random)!
        service.world.odds.instanceKilled = [0, 1, 3].randomElement(using: &random)!
        service.world.odds.monitorLost = [0, 1].randomElement(using: &random)!
        service.world.odds.removalFails = [0, 20].randomElement(using: &random)!
        service.world.odds.clockSteps = [0, 0, 2].randomElement(using: &random)!
        let pace = Int.random(in: 2...15, using: &random)
        for _ in 0..<60 {
            if random.happens(percent: pace) { service.meddle() }
            service.round()
            if !service.violations.isEmpty { return service.violations }
        }
        service.crashes = 0
        service.world.calm()
        let trouble = service.settle()
        return service.violations + (trouble.map { ["it never settles: \($0)"] } ?? [])
    }

    @Test(arguments: slices)
    func `whatever happens, no law is broken at any step, and when it stops all is as intended`(slice: Int) {
        forAll(slice, of: 1000, Self.chaos)
    }

    /// r1 serves, and nothing is under way.
    private static func settled(_ seed: UInt64, replicas: Int, keepStandby: Int = 1) -> SimulatedService {
        var service = SimulatedService(seed: seed)
        service.deploy {
            Fixtures.release(
                $0, replicas: replicas, drain: .seconds(1), deadline: .seconds(8), keepStandby: keepStandby)
        }
        if let trouble = service.settle() { service.violations.append("no beginning: \(trouble)") }
        return service
    }

    private static func next(_ replicas: Int, keepStandby: Int = 1) -> (Int) -> Release {
        {
            Fixtures.release(
                $0, replicas: replicas, drain: .seconds(1), deadline: .seconds(8), keepStandby: keepStandby)
        }
    }

    /// What is wrong with how it ended, where it did not end with `current` serving and that outcome.
    private static func ending(
        _ service: SimulatedService, current: Int, _ isRight: (Rollout.Outcome) -> Bool
    ) -> [String] {
        var wrong = service.violations
        if service.state.current != ReleaseNumber(current) {
            wrong.append("\(String(describing: service.state.current)) serves at the end")
        }
        if let outcome = service.state.lastRollout?.outcome, isRight(outcome) { return wrong }
        return wrong + ["it ended as \(String(describing: service.state.lastRollout?.phase))"]
    }

    @Test(arguments: slices)
    func `a failing release ends with the last good one serving`(slice: Int) {
        forAll(slice, of: 160) { seed in
            var service = Self.settled(seed, replicas: 2)
            let tempers = SimulatedWorld.Temper.allCases.filter { $0 != .good }
            service.crashes = [0, 5][Int(seed / 8) % 2]
            service.world.odds.routeRefused = 5
            service.world.odds.routeLags = 20
            service.deploy(temper: tempers[Int(seed) % tempers.count], Self.next(2))
            let trouble = service.settle()
            return Self.ending(service, current: 1) { if case .rolledBack = $0 { true } else { false } }
                + (trouble.map { [$0] } ?? [])
        }
    }

    @Test(arguments: slices)
    func `a good release is rolled out whatever happens to daemon and router meanwhile`(slice: Int) {
        forAll(slice, of: 160) { seed in
            var service = Self.settled(seed, replicas: 3)
            service.crashes = 5
            service.world.odds.routeRefused = 3
            service.world.odds.routeLags = 20
            service.world.odds.routerDies = 1
            service.deploy(Self.next(3))
            let trouble = service.settle(limit: 1500)
            return Self.ending(service, current: 2) { $0 == .succeeded } + (trouble.map { [$0] } ?? [])
        }
    }

    @Test(arguments: slices)
    func `while nobody kills any, enough instances serve from first to last`(slice: Int) {
        forAll(slice, of: 160) { seed in
            let size = Int(seed % 3) + 1
            let tempers: [SimulatedWorld.Temper] = [
                .good, .failsToLaunch, .neverHealthy, .diesBeforeHealthy,
            ]
            var service = Self.settled(seed, replicas: size)
            service.leastAble = size
            service.crashes = [0, 5][Int(seed / 8) % 2]
            service.world.odds.routeRefused = [0, 10][Int(seed / 16) % 2]
            service.world.odds.routeLags = 20
            service.deploy(temper: tempers[Int(seed / 3) % tempers.count], Self.next(size))
            var troubles = [service.settle()]
            service.deploy(Self.next(size + 1, keepStandby: Int(seed / 5) % 3))
            for _ in 0..<Int(seed % 40) { service.round() }
            service.rollBack()
            troubles.append(service.settle())
            return service.violations + troubles.compactMap { $0 }
        }
    }

    @Test(arguments: slices)
    func `a rollback that fails leaves what serves serving`(slice: Int) {
        forAll(slice, of: 80) { seed in
            let tempers: [SimulatedWorld.Temper] = [.failsToLaunch, .neverHealthy, .diesBeforeHealthy]
            var service = Self.settled(seed, replicas: 2)
            service.deploy(Self.next(2, keepStandby: 0))
            var troubles = [service.settle()]
            service.leastAble = 2
            service.crashes = 2
            service.world.tempers[ReleaseNumber(1)] = tempers[Int(seed) % 3]
            service.rollBack()
            troubles.append(service.settle())
            return Self.ending(service, current: 2) { if case .failed = $0 { true } else { false } }
                + troubles.compactMap { $0 }
        }
    }

    @Test(arguments: slices)
    func `a broken running release does not keep a new one from being shipped`(slice: Int) {
        forAll(slice, of: 80) { seed in
            let tempers = SimulatedWorld.Temper.allCases.filter { $0 != .good }
            var service = Self.settled(seed, replicas: 2)
            service.world.tempers[ReleaseNumber(1)] = tempers[Int(seed / 8) % tempers.count]
            service.world.killAll()
            for _ in 0..<Int(seed % 60) { service.round() }
            service.deploy(Self.next(2, keepStandby: 0))
            let trouble = service.settle()
            return Self.ending(service, current: 2) { $0 == .succeeded } + (trouble.map { [$0] } ?? [])
        }
    }

    @Test(arguments: 0..<60)
    func `a service can be retired at any moment, and nothing of it is left`(rounds: Int) {
        var service = Self.settled(UInt64(rounds), replicas: 2)
        service.deploy(temper: rounds.isMultiple(of: 3) ? .diesSoon : .good, Self.next(2))
        for _ in 0..<rounds { service.round() }
        service.retire()
        service.crashes = 3
        #expect(service.settle() == nil)
        #expect(service.isGone)
        #expect(service.violations == [])
        #expect(service.state.current == nil && service.state.releasesMade == 2)
    }

    @Test(arguments: 0..<16, [true, false])
    func `a daemon killed before any one step of a deploy or rollback still ends it`(
        step: Int, isDeploy: Bool
    ) {
        for seed in 0..<4 {
            var service = Self.settled(UInt64(seed), replicas: 2)
            if !isDeploy {
                service.deploy(Self.next(2))
                #expect(service.settle() == nil)
            }
            service.leastAble = 2
            service.stepsBeforeCrash = step
            if isDeploy { service.deploy(Self.next(2, keepStandby: 0)) } else { service.rollBack() }
            let trouble = service.settle()
            let wrong = Self.ending(service, current: isDeploy ? 2 : 1) { $0 == .succeeded }
            #expect(wrong == [] && trouble == nil, "seed \(seed)")
        }
    }
}
