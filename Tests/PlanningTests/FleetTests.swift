import Model
import TestKit
import Testing

@testable import Planning

@Suite struct FleetTests {
    @Test func `a killed instance is replaced at once, under a new name`() throws {
        var scene = try Scene.settled(Fixtures.release(1))
        scene.end(of: 1, status: 137)
        let plan = scene.play()
        #expect(
            plan.lines
                == ["route 8000 hello-r1-2=100", "launch hello-r1-3", "remove hello-r1-1 exited"])
        #expect(plan.notes.map(\.kind) == [.instanceFailed])
        scene.settle()
        #expect(scene.ids(of: 1).map(\.text) == ["hello-r1-2", "hello-r1-3"])
    }

    @Test(arguments: [true, false])
    func `a sick or unmonitored instance stays until its replacement serves`(isSick: Bool) throws {
        var scene = try Scene.settled(Fixtures.release(1))
        let id = scene.ids(of: 1)[0]
        if isSick {
            scene.sicken(id)
        } else {
            scene.situation.seen.instances[id]?.isMonitored = false
        }
        func keepSick() { if isSick { scene.sicken(id) } }
        #expect(scene.play().lines == ["launch hello-r1-3"])
        keepSick()
        #expect(scene.play().lines == ["route 8000 hello-r1-1=100 hello-r1-2=100 hello-r1-3=warm"])
        keepSick()
        let drained = scene.play().lines
        #expect(drained == ["route 8000 hello-r1-1=draining hello-r1-2=100 hello-r1-3=100"])
        keepSick()
        let end = scene.play().lines
        #expect(end == ["route 8000 hello-r1-2=100 hello-r1-3=100", "remove hello-r1-1 replaced"])
    }

    @Test func `a sick instance that recovers makes its unfinished replacement surplus`() throws {
        var scene = try Scene.settled(Fixtures.release(1))
        scene.sicken(scene.ids(of: 1)[0])
        scene.play()
        scene.sicken(scene.ids(of: 1)[0], .healthy)
        #expect(scene.play().lines == ["remove hello-r1-3 surplus"])
    }

    @Test func `replacements that fall sick too do not pile up`() throws {
        var scene = try Scene.settled(Fixtures.release(1, drain: .zero))
        for _ in 0..<600 {
            for id in scene.ids(of: 1) where scene.state.proven.contains(id) { scene.sicken(id) }
            scene.play()
            scene.pass(.milliseconds(200))
            #expect(scene.situation.seen.instances.count <= 5)
        }
    }

    @Test func `scaling up launches what is missing, scaling down drains what is too many`() throws {
        var scene = try Scene.settled(Fixtures.release(1), Fixtures.release(2, keepStandby: 0))
        _ = try scene.state.scale(to: 4, by: "uid:0")
        #expect(scene.play().lines == ["launch hello-r2-5", "launch hello-r2-6"])
        scene.settle()
        _ = try scene.state.scale(to: 1, by: "uid:0")
        #expect(
            scene.play().lines
                == ["route 8000 hello-r2-3=draining hello-r2-4=draining hello-r2-5=draining hello-r2-6=100"])
        scene.settle()
        #expect(scene.ids(of: 2).map(\.text) == ["hello-r2-6"])
    }

    @Test(arguments: ["launching", "switching", "waiting", "returning"], [1, 5])
    func `a service can be scaled in any phase of a rollout`(phase: String, count: Int) throws {
        var scene = try Scene.rollingOut(to: phase)
        _ = try scene.state.scale(to: count, by: "uid:0")
        scene.settle()
        #expect(scene.phase == "none")
        #expect(scene.ids(of: scene.current!).count == count)
        #expect(scene.outcome == (phase == "returning" ? "rolled-back" : "succeeded"))
    }

    @Test func `what serves keeps the size that was set by hand until the new release has succeeded`() throws
    {
        var scene = try Scene.settled(Fixtures.release(1, replicas: 2))
        _ = try scene.state.scale(to: 5, by: "uid:0")
        scene.settle()
        try scene.deploy(Fixtures.release(2, replicas: 3))
        scene.play { $0.phase == "waiting" }
        #expect(scene.ids(of: 1).count == 5 && scene.ids(of: 2).count == 3)
        var failing = scene
        failing.end(of: 2)
        failing.settle()
        #expect(failing.ids(of: 1).count == 5 && failing.state.replicas == 5)
        scene.settle()
        #expect(scene.ids(of: 2).count == 3 && scene.state.replicas == nil && scene.ids(of: 1).count == 2)
    }

    @Test func `requests in flight are waited for, and no longer than the release says`() throws {
        var scene = try Scene.settled(Fixtures.release(1, drain: .seconds(10)))
        _ = try scene.state.scale(to: 1, by: "uid:0")
        scene.play()
        let id = scene.ids(of: 1)[0]
        scene.situation.seen.router.routes[Fixtures.key]?.servers[id]?.sessions = 3
        #expect(scene.plan().lines == [])
        scene.pass(.seconds(10))
        #expect(scene.plan().lines == ["route 8000 hello-r1-2=100", "remove hello-r1-1 surplus"])
    }

    @Test func `an instance that still takes new requests is not removed, however long that takes`() throws {
        var scene = try Scene.settled(Fixtures.release(1))
        _ = try scene.state.scale(to: 1, by: "uid:0")
        for _ in 0..<100 {
            scene.situation.routeFailure = "no answer"
            #expect(!scene.plan().lines.contains { $0.hasPrefix("remove") })
            scene.pass(.seconds(1))
        }
    }

    @Test func `a launch under way is let finish before its instance is removed`() throws {
        var scene = try Scene.rollingOut(to: "launching")
        scene.play()
        for id in scene.ids(of: 2) {
            scene.situation.seen.instances[id]?.phase = .launching
            scene.situation.launching.insert(id)
        }
        scene.pass(.seconds(60))
        #expect(scene.plan().lines == [] && scene.outcome == "rolled-back")
        scene.situation.launching = []
        #expect(scene.plan().lines.count { $0.hasSuffix("half-made") } == 2)
    }

    @Test(arguments: [59, 60, 3600], [1, -1])
    func `an instance that is not healthy in time is replaced, whatever is done to the clock`(
        seconds: Int, direction: Int
    ) throws {
        var scene = try Scene.settled(Fixtures.release(1))
        _ = try scene.state.scale(to: 3, by: "uid:0")
        _ = scene.play()
        let young = scene.ids(of: 1)[2]
        let startedAt = try #require(scene.situation.seen.instances[young]).startedAt
        scene.situation.now = startedAt + .seconds(seconds) * direction
        #expect(scene.plan().lines.contains("remove \(young) never-healthy") == (seconds >= 60))
    }

    @Test func `what is not wanted any more is kept while nobody else can take its traffic`() throws {
        var scene = try Scene.rollingOut(to: "waiting")
        scene.end(of: 1, 2)
        try scene.rollBack()
        for _ in 0..<100 {
            for step in scene.plan().steps {
                if case .launch = step { continue }
                scene.situation.carryOut(step)
            }
            scene.pass(.seconds(1))
        }
        #expect(scene.outcome == "failed" && scene.serving == [2] && scene.ids(of: 2).count == 2)
        scene.settle()
        #expect(scene.serving == [1] && scene.ids(of: 2) == [])
    }

    @Test func `an instance that nothing intended knows is removed, without blame`() throws {
        var scene = try Scene.settled(Fixtures.release(1))
        let stray = InstanceID(Fixtures.key, release: ReleaseNumber(9), ordinal: 77)
        scene.situation.seen.instances[stray] = ObservedInstance(
            id: stray, key: Fixtures.key, release: ReleaseNumber(9), phase: .running, address: "",
            startedAt: Fixtures.start)
        let plan = scene.play()
        #expect(plan.lines == ["remove hello-r9-77 unknown"] && plan.notes == [])
    }

    @Test func `an instance of another service is none of its business`() throws {
        var scene = try Scene.settled(Fixtures.release(1))
        let other = ServiceKey(try ServiceName("other"))
        let id = InstanceID(other, release: ReleaseNumber(1), ordinal: 1)
        scene.situation.seen.instances[id] = ObservedInstance(
            id: id, key: other, release: ReleaseNumber(1), phase: .exited(status: 1), address: "",
            startedAt: Fixtures.start)
        #expect(scene.plan().lines == [])
    }

    @Test func `an instance that ended is told of once, however often its removal is tried`() throws {
        var scene = try Scene.settled(Fixtures.release(1))
        scene.end(of: 1)
        let plans = (0..<5).map { _ in scene.plan() }
        #expect(plans.map { $0.notes.count } == [1, 0, 0, 0, 0])
        #expect(plans.allSatisfy { $0.lines.contains("remove hello-r1-1 exited") })
        #expect(scene.state.restarts.recent == 1)
    }

    @Test func `retiring drains all, removes all, shuts the door, and is then gone`() throws {
        var scene = try Scene.settled(Fixtures.release(1), Fixtures.release(2))
        _ = scene.state.beginRetiring(at: scene.situation.now, by: "uid:0")
        #expect(
            scene.play().lines
                == [
                    "route 8000 hello-r2-3=draining hello-r2-4=draining", "remove hello-r1-1 retired",
                    "remove hello-r1-2 retired",
                ])
        #expect(
            scene.play().lines == ["route 8000", "remove hello-r2-3 retired", "remove hello-r2-4 retired"])
        #expect(scene.play().lines == ["remove route"])
        let plan = scene.play()
        #expect(plan.isGone && plan.lines == [] && plan.notes.map(\.kind) == [.retired])
        #expect(scene.state.instancesNamed == 4 && scene.state.releasesMade == 2)
    }
}
