import Model
import TestKit
import Testing

@testable import Planning

extension Fixtures {
    /// A release that is rolled out by `strategy`.
    static func release(
        _ number: Int, _ strategy: RolloutSettings.Strategy, replicas: Int = 4,
        _ change: (inout Release.Content) -> Void = { _ in }
    ) -> Release {
        var release = Fixtures.release(number, replicas: replicas, keepStandby: 0)
        release.content.rollout.strategy = strategy
        change(&release.content)
        return release
    }

    static func rolling(
        _ number: Int, replicas: Int = 4, batch: Amount = .count(1), surge: Amount = .count(1),
        minHealthy: Amount = .percent(100), minReady: Span = .seconds(2)
    ) -> Release {
        release(
            number,
            .rolling(RollingSettings(batch: batch, surge: surge, minHealthy: minHealthy, minReady: minReady)),
            replicas: replicas)
    }
}

extension Scene {
    /// How many instances of a release take traffic.
    func taking(_ release: Int) -> Int {
        ids(of: release).count { situation.route?.servers[$0]?.state.isServing == true }
    }

    /// The share of new requests, in per cent, that a release gets by weight.
    func share(_ release: Int) -> Double {
        let servers = situation.route?.servers ?? [:]
        let total = servers.values.reduce(0) { $0 + $1.state.weight }
        let mine = ids(of: release).reduce(0) { $0 + (servers[$1]?.state.weight ?? 0) }
        return total == 0 ? 0 : Double(mine) * 100 / Double(total)
    }

}

@Suite struct RollingTests {
    /// How many of each release took traffic, and existed, whenever that changed.
    private func course(_ scene: inout Scene) -> [[Int]] {
        var course: [[Int]] = []
        for _ in 0..<4000 where scene.phase != "none" {
            scene.play()
            let now = [scene.taking(1), scene.taking(2), scene.ids(of: 1).count + scene.ids(of: 2).count]
            if course.last != now { course.append(now) }
        }
        return course
    }

    @Test func `one after the other is launched, given traffic, and only then an old one removed`() throws {
        var scene = try Scene.settled(Fixtures.release(1, replicas: 3))
        try scene.deploy(Fixtures.rolling(2, replicas: 3))
        let course = course(&scene)
        #expect(scene.outcome == "succeeded" && scene.current == 2)
        #expect(course.allSatisfy { $0[0] + $0[1] >= 3 && $0[2] <= 4 })
        #expect(course.map { $0[1] }.last == 3 && course.map { $0[0] }.last == 0)
        #expect(Set(course.map { $0[1] }) == [0, 1, 2, 3])
    }

    @Test(arguments: [1, 2, 3, 4, 7, 10, 100], [Amount.count(1), .count(3), .percent(25), .percent(100)])
    func `whatever the batch, capacity and surge keep their bounds`(size: Int, amount: Amount) throws {
        for surge in [Amount.count(0), .count(1), .percent(50)] {
            let least = surge == .count(0) ? Amount.percent(50) : .percent(100)
            let release = Fixtures.rolling(
                2, replicas: size, batch: amount, surge: surge, minHealthy: least, minReady: .zero)
            guard RolloutLint.problems(release.content, size: size).isEmpty else { continue }
            var scene = try Scene.settled(Fixtures.release(1, replicas: size))
            try scene.deploy(release)
            let course = course(&scene)
            #expect(scene.outcome == "succeeded", "surge \(surge)")
            #expect(course.allSatisfy { $0[0] + $0[1] >= least.of(size) }, "surge \(surge)")
            #expect(course.allSatisfy { $0[2] <= size + surge.of(size) }, "surge \(surge)")
        }
    }

    @Test func `a batch that fails brings all of the old release back before it takes traffic away`() throws {
        var scene = try Scene.settled(Fixtures.release(1, replicas: 4))
        try scene.deploy(Fixtures.rolling(2))
        scene.play { $0.taking(2) == 3 }
        #expect(scene.taking(1) >= 1)
        scene.end(of: 2)
        for _ in 0..<500 where scene.phase != "none" {
            scene.play()
            #expect(scene.taking(1) + scene.taking(2) >= 3)
        }
        #expect(scene.outcome == "rolled-back" && scene.current == 1 && scene.taking(1) == 4)
        scene.settle()
        #expect(scene.ids(of: 2) == [])
    }

    @Test func `a rolling release that is superseded is drained back as the old one grows again`() throws {
        var scene = try Scene.settled(Fixtures.release(1, replicas: 4))
        try scene.deploy(Fixtures.rolling(2))
        scene.play { $0.taking(2) == 3 }
        try scene.deploy(Fixtures.rolling(3))
        for _ in 0..<3000 where scene.phase != "none" {
            scene.play()
            #expect(scene.serving.count <= 2)
            #expect(scene.taking(1) + scene.taking(2) + scene.taking(3) >= 4)
        }
        #expect(scene.outcome == "succeeded" && scene.current == 3 && scene.serving == [3])
    }

    @Test func `where nothing may be missing and nothing run in excess, one runs in excess`() throws {
        let stuck = Fixtures.rolling(2, surge: .count(0), minHealthy: .percent(72))
        var scene = try Scene.settled(Fixtures.release(1, replicas: 4))
        _ = try scene.state.scale(to: 1, by: "uid:0")
        scene.settle()
        try scene.deploy(stuck)
        let course = course(&scene)
        #expect(scene.outcome == "succeeded" && course.allSatisfy { $0[0] + $0[1] >= 1 && $0[2] <= 2 })
    }

    @Test func `a broken old release whose replacements pile up does not keep out the one that mends it`()
        throws
    {
        var scene = try Scene.settled(Fixtures.release(1, replicas: 4))
        for id in scene.ids(of: 1) { scene.sicken(id) }
        try scene.deploy(Fixtures.rolling(2))
        for _ in 0..<4000 where scene.phase != "none" {
            scene.play()
            for id in scene.ids(of: 1) { scene.sicken(id) }
        }
        #expect(scene.outcome == "succeeded" && scene.current == 2)
    }

    @Test func `a service that grows meanwhile ends at its new size`() throws {
        var scene = try Scene.settled(Fixtures.release(1, replicas: 4))
        try scene.deploy(Fixtures.rolling(2))
        scene.play { $0.taking(2) == 2 }
        _ = try scene.state.scale(to: 8, by: "uid:0")
        scene.settle()
        #expect(scene.outcome == "succeeded" && scene.taking(2) == 8 && scene.ids(of: 1) == [])
    }

    @Test func `going back to one that rolls takes no trial, and keeps the bounds`() throws {
        var scene = try Scene.settled(Fixtures.rolling(1), Fixtures.rolling(2))
        #expect(scene.ids(of: 1) == [])
        try scene.rollBack()
        let course = course(&scene)
        #expect(scene.outcome == "succeeded" && scene.current == 1)
        #expect(course.allSatisfy { $0[0] + $0[1] >= 4 && $0[2] <= 5 })
    }
}

@Suite struct RecreateTests {
    @Test func `the old release is gone before the new one starts, in every rollout and return`() throws {
        var scene = try Scene.settled(Fixtures.release(1, .recreate, replicas: 2))
        try scene.deploy(Fixtures.release(2, .recreate, replicas: 2))
        func check() { #expect(scene.ids(of: 1).isEmpty || scene.ids(of: 2).isEmpty) }
        for _ in 0..<500 where scene.phase != "none" {
            scene.play()
            check()
        }
        #expect(scene.outcome == "succeeded" && scene.taking(2) == 2)
        try scene.rollBack()
        for _ in 0..<500 where scene.phase != "none" {
            scene.play()
            check()
        }
        #expect(scene.outcome == "succeeded" && scene.taking(1) == 2)
    }

    @Test func `a standby of an earlier release does not keep the new one out`() throws {
        var scene = try Scene.settled(Fixtures.release(1), Fixtures.release(2))
        #expect(scene.ids(of: 1).count == 2)
        try scene.deploy(Fixtures.release(3, .recreate, replicas: 2))
        scene.settle()
        #expect(scene.outcome == "succeeded" && scene.taking(3) == 2 && scene.ids(of: 1) == [])
    }

    @Test func `what was to make room for it serves on where it is called off before it has begun`() throws {
        let old = Fixtures.release(1, watch: .seconds(60), keepStandby: 0)
        var scene = try Scene.settled(old)
        try scene.deploy(Fixtures.release(2, watch: .seconds(60), keepStandby: 0))
        scene.play { $0.phase == "waiting" }
        #expect(scene.serving == [2])
        try scene.deploy(Fixtures.release(3, .recreate))
        // The router refuses, and the old standby of the release that served is removed.
        let plan = scene.plan()
        for case .remove(let id, _, _) in plan.steps { scene.situation.seen.instances[id] = nil }
        #expect(scene.serving == [2] && scene.ids(of: 1) == [])
        try scene.deploy(Fixtures.release(4))
        for _ in 0..<500 where scene.phase != "none" {
            scene.play()
            #expect(!scene.serving.isEmpty)
        }
        #expect(scene.outcome == "succeeded" && scene.serving == [4])
    }

    @Test func `one that fails is gone before the old one is started again`() throws {
        var scene = try Scene.settled(Fixtures.release(1, .recreate, replicas: 1))
        try scene.deploy(Fixtures.release(2, .recreate, replicas: 1))
        for _ in 0..<800 where scene.phase != "none" {
            scene.play()
            scene.end(of: 2)
            #expect(scene.ids(of: 1).isEmpty || scene.ids(of: 2).isEmpty)
        }
        #expect(scene.outcome == "rolled-back" && scene.current == 1 && scene.taking(1) == 1)
    }
}
