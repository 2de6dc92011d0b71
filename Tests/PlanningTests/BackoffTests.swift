import Model
import TestKit
import Testing

@testable import Planning

@Suite struct BackoffTests {
    @Test(arguments: [
        (1, nil), (2, nil), (3, 500), (4, 1000), (5, 2000), (9, 32_000), (10, 60_000), (999, 60_000),
    ])
    func `each restart waits twice as long as the one before, up to a limit`(recent: Int, wait: Int?) {
        let history = RestartHistory(recent: recent, last: Fixtures.start)
        #expect(history.nextLaunch.map { ($0 - Fixtures.start).milliseconds } == wait)
    }

    @Test func `a quiet time makes up for what was`() {
        var history = RestartHistory(recent: 9, last: Fixtures.start)
        history.count(at: Fixtures.start + Limits.restartMemory)
        #expect(history.recent == 10)
        history.count(at: Fixtures.start + Limits.restartMemory + Limits.restartMemory + .milliseconds(1))
        #expect(history.recent == 1)
    }

    /// How many launches there are in ten minutes if every instance ends as soon as it is launched.
    private func launches(_ scene: inout Scene, of release: Int) -> Int {
        var count = 0
        let end = scene.situation.now + .seconds(600)
        while scene.situation.now < end {
            scene.end(of: release, 9)
            let plan = scene.play()
            count += plan.lines.count { $0.hasPrefix("launch") }
            scene.pass(max(.zero, min(.seconds(1), plan.lookAgainAt! - scene.situation.now)))
        }
        return count
    }

    @Test func `a service that keeps crashing is restarted ever more slowly`() throws {
        var scene = try Scene.settled(Fixtures.release(1, replicas: 1))
        #expect(launches(&scene, of: 1) < 20)
    }

    @Test(arguments: [1, 10, 100])
    func `all instances ending at once are replaced at once`(size: Int) throws {
        var scene = try Scene.settled(Fixtures.release(1, replicas: size))
        scene.end(of: 1, size)
        #expect(scene.play().lines.count { $0.hasPrefix("launch") } == size)
        #expect(scene.state.restarts.recent == 1)
    }

    @Test func `instances that are sick and well in turns are replaced ever more slowly`() throws {
        var scene = try Scene.settled(Fixtures.release(1, replicas: 8))
        var launches = 0
        for round in 0..<600 {
            // Half of them are sick, each time the other half, and well again before a replacement is.
            for (place, id) in scene.ids(of: 1).enumerated() {
                scene.sicken(id, (place + round).isMultiple(of: 2) ? .failing : .healthy)
            }
            let plan = scene.plan()
            for case .launch(let id, let release) in plan.steps {
                launches += 1
                scene.situation.carryOut(.launch(id, release: release))
            }
            for case .remove(let id, _, _) in plan.steps { scene.situation.seen.instances[id] = nil }
            scene.pass(.seconds(1))
        }
        #expect(launches < 100)
    }

    @Test func `launches that fail without a trace count like crashes`() throws {
        var scene = try Scene.settled(Fixtures.release(1, replicas: 1))
        scene.end(of: 1)
        scene.play()
        var launches = 0
        for _ in 0..<100 {
            for id in scene.ids(of: 1) {
                scene.situation.seen.instances[id] = nil
                scene.situation.launchFailures.append(
                    LaunchFailure(id: id, release: ReleaseNumber(1), reason: "disk full"))
            }
            launches += scene.play().lines.count { $0.hasPrefix("launch") }
            scene.situation.launchFailures = []
        }
        #expect(launches <= 5)
    }

    @Test func `a standby that keeps crashing does not hold back what serves`() throws {
        var scene = try Scene.settled(Fixtures.release(1), Fixtures.release(2))
        for _ in 0..<50 {
            scene.end(of: 1, 9)
            scene.play()
        }
        scene.end(of: 2)
        #expect(scene.play().lines.contains { $0.hasPrefix("launch hello-r2-") })
    }

    @Test func `crashes of the old release do not hold back the new one, nor stay with it`() throws {
        var scene = try Scene.settled(Fixtures.release(1, replicas: 1))
        _ = launches(&scene, of: 1)
        try scene.deploy(Fixtures.release(2, replicas: 1))
        #expect(scene.play().lines.contains { $0.hasPrefix("launch hello-r2-") })
        scene.settle()
        #expect(scene.current == 2)
        scene.end(of: 2)
        #expect(scene.play().lines.contains { $0.hasPrefix("launch hello-r2-") })
    }

    @Test func `a clock that is set back makes no wait longer`() throws {
        var scene = try Scene.settled(Fixtures.release(1, replicas: 1))
        scene.state.restarts = RestartHistory(recent: 20, last: scene.situation.now)
        scene.end(of: 1)
        scene.play()
        scene.situation.now = scene.situation.now + .milliseconds(-86_400_000)
        _ = scene.plan()
        scene.pass(.seconds(61))
        #expect(scene.plan().lines.contains { $0.hasPrefix("launch") })
    }
}
