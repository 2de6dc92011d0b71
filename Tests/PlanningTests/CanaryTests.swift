import Model
import TestKit
import Testing

@testable import Planning

extension Fixtures {
    static func canary(
        _ number: Int, _ steps: [CanaryStep], replicas: Int = 10,
        _ change: (inout Release.Content) -> Void = { _ in }
    ) -> Release {
        release(number, .canary(steps), replicas: replicas, change)
    }
}

@Suite struct CanaryTests {
    private static let trial: [CanaryStep] = [
        .weight(5, instances: nil), .analyze(.seconds(10)), .weight(50, instances: nil), .pause(.seconds(5)),
    ]

    private static func begun(_ steps: [CanaryStep] = trial, replicas: Int = 10) throws -> Scene {
        var scene = try Scene.settled(Fixtures.release(1, replicas: replicas))
        try scene.deploy(Fixtures.canary(2, steps, replicas: replicas))
        return scene
    }

    @Test func `traffic goes over step by step, whatever the numbers of instances`() throws {
        var scene = try Self.begun([
            .weight(1, instances: .count(3)), .pause(.seconds(1)), .weight(30, instances: nil),
            .pause(.seconds(1)), .weight(95, instances: .percent(100)), .pause(.seconds(1)),
        ])
        for share in [1.0, 30, 95] {
            scene.play { $0.state.pausing && abs($0.share(2) - share) < max(0.3, share / 8) }
            #expect(abs(scene.share(2) - share) < max(0.3, share / 8), "\(scene.share(2))")
        }
        scene.settle()
        #expect(scene.outcome == "succeeded" && scene.serving == [2] && scene.taking(2) == 10)
    }

    @Test func `a fresh baseline of the same size and share runs beside the canary`() throws {
        var scene = try Self.begun()
        scene.play { $0.state.rollout?.analysis != nil }
        let baseline = try #require(scene.state.rollout?.baseline)
        #expect(baseline.count == 1 && scene.ids(of: 1).count == 11)
        let weights = scene.situation.route?.servers.mapValues(\.state.weight) ?? [:]
        #expect(baseline.map { weights[$0] } == scene.ids(of: 2).map { weights[$0] })
    }

    /// Plays on while each look counts so many requests and errors a side, every second.
    private func compare(
        _ scene: inout Scene, seconds: Int, canary: (requests: Int, errors: Int),
        baseline: (requests: Int, errors: Int)
    ) {
        for _ in 0..<seconds where scene.state.rollout?.analysis != nil {
            scene.pass(.seconds(1))
            let ids = scene.state.rollout?.baseline ?? []
            scene.situation.traffic = [:]
            for id in scene.ids(of: 2) {
                scene.situation.traffic[id] = RequestCounts(requests: canary.requests, errors: canary.errors)
            }
            for id in ids {
                scene.situation.traffic[id] = RequestCounts(
                    requests: baseline.requests, errors: baseline.errors)
            }
            scene.play()
        }
    }

    @Test func `one that is no worse goes on, and one with errors is stopped`() throws {
        var good = try Self.begun()
        good.play { $0.state.rollout?.analysis != nil }
        compare(&good, seconds: 30, canary: (50, 1), baseline: (50, 1))
        #expect(good.state.rollout?.stage ?? 0 > 1)
        var bad = try Self.begun()
        bad.play { $0.state.rollout?.analysis != nil }
        compare(&bad, seconds: 9, canary: (200, 20), baseline: (200, 0))
        bad.settle()
        #expect(bad.outcome == "rolled-back" && bad.serving == [1] && bad.ids(of: 2) == [])
    }

    @Test func `synthetic probes fill up what visitors do not ask for, and nothing more`() throws {
        var scene = try Scene.settled(Fixtures.release(1, replicas: 10))
        try scene.deploy(
            Fixtures.canary(2, Self.trial) {
                $0.rollout.analysis.probes = SyntheticProbes(path: "/a", rate: 50)
            })
        scene.play { $0.state.rollout?.analysis != nil }
        /// Requests that are asked for at the next look, when `visitors` and the probes came since the last one.
        func asked(_ visitors: Int, answered: Int) -> Int? {
            scene.pass(.seconds(1))
            scene.situation.traffic = [scene.ids(of: 1)[0]: RequestCounts(requests: visitors + answered)]
            let plan = scene.plan()
            for step in plan.steps { scene.situation.carryOut(step) }
            for case .check(let check) in plan.steps {
                guard case .visits("/a", let count) = check.gate.kind else { continue }
                #expect(check.targets == ["\(Fixtures.listener.address)"])
                return count
            }
            return nil
        }
        #expect(asked(0, answered: 0) == 50)
        #expect(asked(0, answered: 50) == 50)
        #expect(asked(20, answered: 50) == 30)
        #expect(asked(50, answered: 30) == nil)
        #expect(asked(7, answered: 0) == 43)
        // Those of the last look are still under way.
        scene.situation.checking = ["hello/2/analysis-1/probes"]
        #expect(asked(0, answered: 0) == nil)
        scene.situation.checking = []
        _ = try scene.state.pause(at: scene.situation.now, by: "uid:0")
        #expect(asked(0, answered: 0) == nil)
    }

    @Test func `without traffic it pauses, neither passing nor failing, until there is some`() throws {
        var scene = try Self.begun()
        scene.play { $0.state.rollout?.analysis != nil }
        compare(&scene, seconds: 60, canary: (0, 0), baseline: (0, 0))
        #expect(scene.phase == "waiting" && scene.share(2) > 4 && scene.share(2) < 6)
        #expect(scene.state.rollout?.pause?.reason.hasPrefix("not enough data") == true)
        compare(&scene, seconds: 10, canary: (80, 0), baseline: (80, 0))
        #expect(scene.state.rollout?.pause == nil && scene.state.rollout?.stage ?? 0 > 1)
    }

    @Test func `a header leads to the new release before any weight does`() throws {
        let header = HeaderMatch(header: "X-Canary")
        var scene = try Self.begun([.match(header), .pause(nil), .weight(50, instances: nil)])
        scene.play { $0.state.rollout?.pause != nil }
        #expect(scene.situation.route?.match == RouteMatch(header: header, servers: scene.ids(of: 2)))
        #expect(scene.share(2) == 0)
        _ = try scene.state.resume(at: scene.situation.now, by: "uid:0")
        scene.settle()
        #expect(scene.outcome == "succeeded" && scene.situation.route?.match == nil)
    }

    @Test func `a broken old release does not hold back the one that mends it`() throws {
        var scene = try Scene.settled(Fixtures.release(1, replicas: 2))
        for id in scene.ids(of: 1) { scene.sicken(id) }
        try scene.deploy(Fixtures.canary(2, Self.trial, replicas: 2))
        for _ in 0..<3000 where scene.phase != "none" {
            scene.play()
            for id in scene.ids(of: 1) { scene.sicken(id) }
        }
        #expect(scene.outcome == "succeeded" && scene.current == 2)
    }

    @Test func `people pause, go on, promote and give up`() throws {
        var scene = try Self.begun()
        scene.play { $0.state.rollout?.analysis != nil }
        _ = try scene.state.pause(at: scene.situation.now, by: "uid:7")
        #expect(throws: Failure.self) { try scene.state.pause(at: scene.situation.now, by: "uid:7") }
        _ = try scene.state.resume(at: scene.situation.now, by: "uid:7")
        _ = try scene.state.promote(at: scene.situation.now, by: "uid:7")
        scene.settle()
        #expect(scene.outcome == "succeeded" && scene.taking(2) == 10)
        #expect(throws: Failure.self) { try scene.state.abort(at: scene.situation.now, by: "uid:7") }

        var other = try Self.begun()
        other.play { $0.share(2) > 1 }
        _ = try other.state.abort(at: other.situation.now, by: "uid:7")
        other.settle()
        #expect(other.outcome == "rolled-back" && other.serving == [1])
    }

    @Test func `one that looks worse and was hardly seen has not passed`() throws {
        var scene = try Self.begun([.weight(5, instances: nil), .analyze(.seconds(2))])
        scene.play { $0.state.rollout?.analysis != nil }
        compare(&scene, seconds: 2, canary: (200, 60), baseline: (200, 0))
        #expect(
            scene.state.rollout?.gates["analysis-1"].map { if case .open = $0 { true } else { false } }
                == true)
        compare(&scene, seconds: 5, canary: (200, 60), baseline: (200, 0))
        scene.settle()
        #expect(scene.outcome == "rolled-back")
    }

    @Test func `however large its share, the baseline leaves the other old instances their part`() throws {
        var scene = try Self.begun([.weight(50, instances: nil), .analyze(.seconds(10))])
        scene.play { $0.state.rollout?.analysis != nil }
        #expect(abs(scene.share(2) - 50) < 3 && scene.taking(1) == 15)
    }

    @Test
    func `when the comparison is over, those that were compared with go, not those that carry the rest`()
        throws
    {
        var scene = try Self.begun([.weight(5, instances: .percent(90)), .analyze(.seconds(2))])
        scene.play { $0.state.rollout?.pause != nil }
        let old = Set(scene.ids(of: 1)).subtracting(scene.state.rollout?.baseline ?? [])
        _ = try scene.state.resume(at: scene.situation.now, by: "uid:0")
        _ = scene.play()
        #expect(old.allSatisfy { scene.situation.route?.servers[$0]?.state.isServing == true })
        scene.settle()
        #expect(scene.outcome == "succeeded")
    }

    @Test func `a deploy takes the place of those that wait`() throws {
        var scene = try Self.begun([.weight(50, instances: nil)])
        let third = Fixtures.release(3, replicas: 10)
        scene.situation.releases[third.number] = third
        _ = try scene.state.deploy(
            third, replacing: nil, isQueued: true, at: scene.situation.now, by: "uid:0")
        scene.state.rollout = nil
        try scene.deploy(Fixtures.release(4, replicas: 10))
        #expect(scene.state.queued == [])
    }

    @Test func `a deploy that waits begins when the one before has ended`() throws {
        var scene = try Self.begun([.weight(50, instances: nil)])
        scene.play { $0.share(2) > 1 }
        let third = Fixtures.release(3, replicas: 10)
        scene.situation.releases[third.number] = third
        _ = try scene.state.deploy(
            third, replacing: nil, isQueued: true, at: scene.situation.now, by: "uid:0")
        #expect(scene.state.rollout?.to == ReleaseNumber(2))
        scene.settle()
        #expect(scene.current == 3 && scene.state.good.map(\.value) == [1, 2, 3])
    }
}

extension ServiceState {
    fileprivate var pausing: Bool {
        guard let rollout, case .waiting = rollout.phase else { return false }
        if case .pause = rollout.currentStage.wait { return true }
        return false
    }
}

@Suite struct WeightsTests {
    @Test(arguments: 1...99, [1, 2, 3, 10, 50, 250])
    func `a share is kept to a tenth of itself`(share: Int, stable: Int) throws {
        for canaries in [1, 2, 10, 100] {
            let weights = Weights.of([(100 - share, stable), (share, canaries)])
            let total = weights.reduce(0) { $0 + $1.count * $1.weight }
            let got = Double(weights[1].count * weights[1].weight) * 100 / Double(total)
            let smaller = Double(min(share, 100 - share))
            #expect(abs(got - Double(share)) <= smaller * 0.13, "\(canaries): \(got)")
            #expect(weights.allSatisfy { (1...256).contains($0.weight) && $0.count > 0 })
            #expect(weights[0].count <= stable && weights[1].count <= canaries)
        }
    }
}
