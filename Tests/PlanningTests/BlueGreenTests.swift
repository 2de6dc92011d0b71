import Model
import TestKit
import Testing

@testable import Planning

@Suite struct BlueGreenTests {
    @Test func `a first release is launched, proven behind a shut door, and then let in`() throws {
        var scene = Scene()
        try scene.deploy(Fixtures.release(1))
        #expect(scene.play().lines == ["launch hello-r1-1", "launch hello-r1-2"])
        #expect(scene.play().lines == ["route shut hello-r1-1=warm hello-r1-2=warm"])
        #expect(scene.play().lines == ["route 8000 hello-r1-1=100 hello-r1-2=100"])
        #expect(scene.phase == "switching")
        #expect(scene.play().lines == [])
        #expect(scene.phase == "waiting")
        scene.pass(.seconds(5))
        #expect(scene.play().lines == [])
        #expect(scene.outcome == "succeeded" && scene.current == 1)
    }

    @Test func `a second release takes all traffic in one step, and the first stays as a standby`() throws {
        var scene = try Scene.settled(Fixtures.release(1))
        try scene.deploy(Fixtures.release(2))
        #expect(scene.play().lines == ["launch hello-r2-3", "launch hello-r2-4"])
        #expect(
            scene.play().lines
                == ["route 8000 hello-r1-1=100 hello-r1-2=100 hello-r2-3=warm hello-r2-4=warm"])
        #expect(
            scene.play().lines
                == ["route 8000 hello-r1-1=warm hello-r1-2=warm hello-r2-3=100 hello-r2-4=100"])
        #expect(scene.play().lines == [])
        #expect(scene.phase == "waiting")
        scene.settle()
        #expect(scene.outcome == "succeeded" && scene.current == 2)
        #expect(scene.state.standbys == [ReleaseNumber(1)])
        #expect(scene.ids(of: 1).count == 2 && scene.serving == [2])
    }

    @Test(arguments: 0...2)
    func `as many old releases are kept warm as the new one says`(keepStandby: Int) throws {
        let scene = try Scene.settled(
            Fixtures.release(1), Fixtures.release(2), Fixtures.release(3, keepStandby: keepStandby))
        #expect(scene.state.standbys.map(\.value) == Array([2, 1].prefix(keepStandby)))
        #expect(scene.situation.seen.instances.count == 2 * (keepStandby + 1))
        #expect(scene.serving == [3])
    }

    @Test func `a release of which three instances end is given up at once`() throws {
        var scene = try Scene.rollingOut(to: "launching")
        for failures in 1...3 {
            scene.play { !$0.ids(of: 2).isEmpty }
            scene.end(of: 2)
            scene.play()
            #expect(scene.phase == (failures < 3 ? "launching" : "none"))
        }
        #expect(scene.outcome == "rolled-back" && scene.current == 1)
        scene.settle()
        #expect(scene.ids(of: 2) == [] && scene.serving == [1])
    }

    @Test func `three launches that fail end a rollout with the reason`() throws {
        var scene = try Scene.rollingOut(to: "launching")
        for ordinal in 1...3 {
            scene.situation.launchFailures = [
                LaunchFailure(
                    id: InstanceID(Fixtures.key, release: ReleaseNumber(2), ordinal: 100 + ordinal),
                    release: ReleaseNumber(2), reason: "no such command")
            ]
            _ = scene.plan()
        }
        #expect(scene.outcome == "rolled-back")
        #expect(scene.state.lastRollout?.endText.contains("no such command") == true)
    }

    @Test func `launches that a crash of the daemon cut short are begun again and not counted`() throws {
        var scene = try Scene.rollingOut(to: "launching", Fixtures.release(2, replicas: 5))
        scene.play()
        for id in scene.ids(of: 2) { scene.situation.seen.instances[id]?.phase = .launching }
        let plan = scene.plan()
        #expect(scene.phase == "launching" && scene.state.rollout?.failed == [])
        #expect(plan.lines.count { $0.hasSuffix("half-made") } == 5)
        #expect(plan.lines.count { $0.hasPrefix("launch") } == 5)
    }

    @Test(arguments: [("deploy", "rolled-back"), ("first", "failed"), ("rollback", "failed")])
    func `a release that is not healthy in time is given up`(kind: String, outcome: String) throws {
        var scene = kind == "first" ? Scene() : try Scene.settled(Fixtures.release(1))
        if kind == "rollback" {
            try scene.deploy(Fixtures.release(2, keepStandby: 0))
            scene.settle()
            try scene.rollBack()
        } else {
            try scene.deploy(Fixtures.release(2))
        }
        let before = scene.current
        _ = scene.plan()
        scene.pass(.seconds(60))
        let plan = scene.plan()
        #expect(scene.phase == "none" && scene.outcome == outcome && scene.current == before)
        #expect(plan.notes.contains { $0.kind == .rolloutEnded })
    }

    @Test(arguments: ["switching", "waiting"])
    func `a release whose instance dies with traffic on it gives the traffic back at once`(phase: String)
        throws
    {
        var scene = try Scene.rollingOut(to: phase)
        scene.end(of: 2)
        let plan = scene.play()
        #expect(scene.phase == "returning")
        let route = "route 8000 hello-r1-1=100 hello-r1-2=100 hello-r2-4=draining"
        #expect(plan.lines == [route, "remove hello-r2-3 exited"])
        scene.settle()
        #expect(scene.outcome == "rolled-back" && scene.current == 1 && scene.serving == [1])
        #expect(scene.ids(of: 2) == [])
    }

    @Test func `a release that fails its probes or loses its monitor while watched is rolled back`() throws {
        for isProbe in [true, false] {
            var scene = try Scene.rollingOut(to: "waiting")
            let id = scene.ids(of: 2)[0]
            if isProbe { scene.sicken(id) } else { scene.situation.seen.instances[id]?.isMonitored = false }
            scene.play()
            #expect(scene.phase == "returning")
        }
    }

    @Test func `instances of the old release may end while the new one is watched`() throws {
        var scene = try Scene.rollingOut(to: "waiting")
        scene.end(of: 1, 2)
        scene.settle()
        #expect(scene.outcome == "succeeded" && scene.serving == [2])
        #expect(scene.ids(of: 1) == (try [InstanceID("hello-r1-5"), InstanceID("hello-r1-6")]))
    }

    @Test func `a removal that is interrupted never counts against a release that is watched`() throws {
        var scene = try Scene.rollingOut(to: "waiting", Fixtures.release(2, deadline: .seconds(3)))
        _ = try scene.state.scale(to: 1, by: "uid:0")
        let surplus = scene.ids(of: 2)[0]
        for _ in 0..<5 {
            let plan = scene.plan()
            for case .route(let route) in plan.steps { scene.situation.carryOut(.route(route)) }
            scene.situation.removing.formUnion(
                plan.steps.compactMap { if case .remove(let id, _, _) = $0 { id } else { nil } })
            scene.pass(.milliseconds(700))
        }
        #expect(scene.situation.removing.contains(surplus))
        scene.situation.removing = []
        let plan = scene.plan()
        #expect(scene.phase == "waiting")
        #expect(plan.lines.contains("remove \(surplus) surplus"))
    }

    @Test func `a launch that was cut short is no trouble of a release that is watched`() throws {
        var scene = try Scene.rollingOut(to: "waiting")
        _ = try scene.state.scale(to: 3, by: "uid:0")
        scene.play()
        scene.situation.seen.instances[scene.ids(of: 2)[2]]?.phase = .launching
        scene.play()
        #expect(scene.phase == "waiting")
    }

    @Test func `a rollback to a standby switches in its very first plan and is not watched`() throws {
        var scene = try Scene.settled(Fixtures.release(1), Fixtures.release(2))
        try scene.rollBack()
        let route = "route 8000 hello-r1-1=100 hello-r1-2=100 hello-r2-3=warm hello-r2-4=warm"
        #expect(scene.play().lines == [route])
        scene.play()
        #expect(scene.outcome == "succeeded" && scene.current == 1)
        scene.settle()
        #expect(scene.ids(of: 2) == [] && scene.state.good == [ReleaseNumber(1)])
    }

    @Test func `a rollback to a release without a standby launches it anew`() throws {
        var scene = try Scene.settled(Fixtures.release(1), Fixtures.release(2, keepStandby: 0))
        #expect(scene.ids(of: 1) == [])
        try scene.rollBack()
        #expect(scene.play().lines == ["launch hello-r1-5", "launch hello-r1-6"])
        scene.settle()
        #expect(scene.outcome == "succeeded" && scene.current == 1 && scene.serving == [1])
    }

    @Test func `a rollback that fails in the middle of its switch leaves the current release serving`() throws
    {
        var scene = try Scene.settled(Fixtures.release(1), Fixtures.release(2))
        try scene.rollBack()
        _ = scene.plan()
        #expect(scene.phase == "switching")
        scene.end(of: 1, 2)
        for _ in 0..<20 {
            _ = scene.plan()
            scene.pass(.seconds(1))
        }
        #expect(scene.outcome == "failed" && scene.current == 2)
        scene.settle()
        #expect(scene.serving == [2])
    }

    @Test(arguments: ["launching", "switching", "waiting", "returning"])
    func `a new deploy supersedes one in any phase`(phase: String) throws {
        var scene = try Scene.rollingOut(to: phase)
        try scene.deploy(Fixtures.release(3))
        #expect(scene.outcome == "superseded")
        scene.settle()
        #expect(scene.outcome == "succeeded" && scene.current == 3 && scene.serving == [3])
        #expect(scene.state.good.map(\.value) == [1, 3] && scene.ids(of: 2) == [])
    }

    @Test(arguments: ["launching", "switching", "waiting", "returning"])
    func `a deploy can be aborted in any phase, more than once`(phase: String) throws {
        var scene = try Scene.rollingOut(to: phase)
        try scene.rollBack()
        let reason = scene.state.rollout?.phase
        scene.pass(.milliseconds(10))
        try scene.rollBack()
        #expect(scene.state.rollout?.phase == reason)
        scene.play()
        #expect(scene.serving == [1])
        scene.settle()
        #expect(scene.outcome == "rolled-back" && scene.current == 1 && scene.ids(of: 2) == [])
    }

    @Test(arguments: ["launching", "switching", "waiting", "returning"])
    func `a router that restarts in any phase is given the whole route again`(phase: String) throws {
        var scene = try Scene.rollingOut(to: phase)
        if phase == "launching" { scene.play() }
        scene.loseRouter()
        let plan = scene.play()
        #expect(plan.lines.count { $0.hasPrefix("route 8000") } == 1)
        scene.settle()
        #expect(scene.outcome == (phase == "returning" ? "rolled-back" : "succeeded"))
    }

    @Test(arguments: ["launching", "switching", "waiting", "returning"])
    func `no instance at all is left in any phase, and it still comes to a good end`(phase: String) throws {
        var scene = try Scene.rollingOut(to: phase)
        scene.play()
        for release in 1...2 { scene.end(of: release, 9) }
        scene.settle()
        #expect(scene.phase == "none" && scene.serving == [scene.current])
        #expect(scene.ids(of: scene.current!).count == 2)
    }

    @Test(arguments: ["launching", "switching", "waiting", "returning"])
    func `a clock that is set back makes no phase longer`(phase: String) throws {
        var scene = try Scene.rollingOut(to: phase)
        scene.situation.now = scene.situation.now + .milliseconds(-3_600_000)
        for _ in 0..<200 {
            _ = scene.plan()
            scene.pass(.seconds(1))
        }
        #expect(scene.phase == "none")
    }

    @Test(arguments: ["launching", "switching", "waiting", "returning"])
    func `no wait runs out while the daemon is away`(phase: String) throws {
        var scene = try Scene.rollingOut(to: phase)
        scene.loseRouter()
        scene.pass(.seconds(3600))
        scene.situation.lookingSince = scene.situation.now
        _ = scene.plan()
        #expect(scene.phase == phase)
        scene.settle()
        #expect(scene.outcome == (phase == "returning" ? "rolled-back" : "succeeded"))
    }

    @Test func `a router that goes on refusing ends a rollout, and one that refuses once does not`() throws {
        for phase in ["launching", "switching"] {
            var scene = try Scene.rollingOut(to: phase)
            if phase == "launching" { scene.play() }
            scene.loseRouter()
            scene.situation.routeFailure = "127.0.0.1:8000 is in use"
            _ = scene.plan()
            scene.pass(.seconds(1))
            _ = scene.plan()
            #expect(scene.phase == phase)
            scene.pass(.seconds(1))
            _ = scene.plan()
            #expect(scene.phase != phase)
        }
    }

    @Test func `a refusal of something that was asked before says nothing about a new release`() throws {
        var scene = try Scene.settled(Fixtures.release(1))
        scene.situation.routeFailure = "127.0.0.1:8001 is in use"
        try scene.deploy(Fixtures.release(2))
        for _ in 0..<10 {
            _ = scene.plan()
            scene.pass(.seconds(1))
        }
        #expect(scene.phase == "launching")
    }

    @Test func `a current release whose door cannot be opened does not block one with another door`() throws {
        var scene = try Scene.settled(Fixtures.release(1))
        scene.loseRouter()
        let other = Listener(address: SocketAddress(host: "127.0.0.1", port: 9000))
        try scene.deploy(Fixtures.release(2, listen: other))
        for _ in 0..<400 where scene.phase != "none" {
            let plan = scene.plan()
            for step in plan.steps {
                if case .route(let route) = step {
                    let isRefused = route.listener == Fixtures.listener
                    scene.situation.routeFailure = isRefused ? "127.0.0.1:8000 is in use" : nil
                    if isRefused { continue }
                }
                scene.situation.carryOut(step)
            }
            scene.pass(.milliseconds(100))
        }
        #expect(scene.outcome == "succeeded" && scene.current == 2)
    }

    @Test func `a release that the router stops serving is not watched for ever`() throws {
        var scene = try Scene.rollingOut(to: "waiting")
        scene.loseRouter()
        scene.pass(.seconds(19))
        _ = scene.plan()
        #expect(scene.phase == "waiting")
        scene.pass(.seconds(1))
        _ = scene.plan()
        #expect(scene.phase == "returning")
    }

    @Test func `a first release that fails leaves neither instance nor door`() throws {
        var scene = Scene()
        try scene.deploy(Fixtures.release(1))
        scene.play { $0.phase == "waiting" }
        scene.end(of: 1)
        scene.settle()
        #expect(scene.outcome == "failed" && scene.current == nil)
        #expect(scene.situation.seen.instances.isEmpty && scene.situation.route == nil)
    }

    @Test func `a first release that serves is what a failing second one leads back to`() throws {
        var scene = Scene()
        try scene.deploy(Fixtures.release(1))
        scene.play { $0.phase == "waiting" }
        try scene.deploy(Fixtures.release(2))
        _ = scene.plan()
        scene.pass(.seconds(60))
        scene.settle()
        #expect(scene.outcome == "rolled-back" && scene.current == 1 && scene.serving == [1])
    }

    @Test func `an old release that does not come back in time is reported, and kept`() throws {
        var scene = try Scene.rollingOut(to: "waiting")
        scene.end(of: 1, 2)
        scene.end(of: 2)
        _ = scene.plan()
        #expect(scene.phase == "returning")
        for _ in 0..<91 {
            _ = scene.plan()
            scene.pass(.seconds(1))
        }
        #expect(scene.outcome == "failed" && scene.current == 1)
        scene.settle()
        #expect(scene.serving == [1])
    }

    @Test func `the door moves with the traffic`() throws {
        let other = Listener(address: SocketAddress(host: "127.0.0.1", port: 9000))
        var scene = try Scene.rollingOut(to: "switching", Fixtures.release(2, listen: other))
        #expect(scene.situation.route?.listener == other)
        scene.end(of: 2)
        scene.play()
        #expect(scene.situation.route?.listener == Fixtures.listener)
    }
}
