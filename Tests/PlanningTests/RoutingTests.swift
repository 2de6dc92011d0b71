import Model
import TestKit
import Testing

@testable import Planning

@Suite struct RoutingTests {
    @Test func `a settled service asks nothing of the router`() throws {
        var scene = try Scene.settled(Fixtures.release(1), Fixtures.release(2))
        let plan = scene.plan()
        #expect(plan.steps == [] && plan.notes == [] && plan.state == scene.state)
        #expect(plan.lookAgainAt == scene.situation.now + Limits.settledLook)
    }

    @Test func `servers keep the port and health check of their own release`() throws {
        let check = HealthCheck(.tcp, interval: .milliseconds(250))
        var scene = try Scene.rollingOut(to: "launching", Fixtures.release(2, port: 9090, health: check))
        scene.play()
        let routes = scene.plan().steps.compactMap { if case .route(let route) = $0 { route } else { nil } }
        let servers = try #require(routes.first).servers
        #expect(servers.map(\.port) == [8080, 8080, 9090, 9090])
        #expect(servers.map(\.health.kind) == [.http(path: "/"), .http(path: "/"), .tcp, .tcp])
    }

    @Test func `an instance that never passed is warm, even where its release serves`() throws {
        var scene = try Scene.settled(Fixtures.release(1))
        _ = try scene.state.scale(to: 3, by: "uid:0")
        scene.play()
        #expect(scene.plan().lines == ["route 8000 hello-r1-1=100 hello-r1-2=100 hello-r1-3=warm"])
    }

    @Test func `what was proven stays proven when the router forgets it`() throws {
        var scene = try Scene.settled(Fixtures.release(1))
        scene.loseRouter()
        #expect(scene.plan().lines == ["route 8000 hello-r1-1=100 hello-r1-2=100"])
    }

    @Test func `where nobody can take over, traffic stays where it is`() throws {
        var scene = try Scene.rollingOut(to: "waiting")
        scene.end(of: 1, 2)
        try scene.rollBack()
        #expect(scene.play().lines.first == "route 8000 hello-r2-3=100 hello-r2-4=100")
        #expect(scene.serving == [2])
    }

    @Test(arguments: [
        (Health.healthy, Health.healthy, true), (.failing, .healthy, false), (.unproven, .healthy, false),
        (.healthy, .unproven, false), (.healthy, .failing, false),
    ])
    func `where a command probes, both it and the port must pass`(command: Health, port: Health, fit: Bool)
        throws
    {
        let release = Fixtures.release(1, replicas: 1, health: HealthCheck(.command(["check"])))
        var scene = Scene()
        try scene.deploy(release)
        scene.play()
        scene.play()
        let id = scene.ids(of: 1)[0]
        scene.situation.seen.instances[id]?.commandHealth = command
        scene.sicken(id, port)
        _ = scene.plan()
        #expect(scene.state.proven.contains(id) == fit)
    }

    @Test func `a router that refuses is not asked again in a tight loop`() throws {
        var scene = try Scene.settled(Fixtures.release(1))
        scene.loseRouter()
        scene.situation.routeFailure = "127.0.0.1:8000 is in use"
        let plan = scene.plan()
        #expect(plan.lines.count == 1)
        #expect(try #require(plan.lookAgainAt) >= scene.situation.now + Limits.watchLook)
    }

    @Test func `a service that nobody calls has no door`() throws {
        let scene = try Scene.settled(Fixtures.release(1, listen: nil))
        #expect(scene.outcome == "succeeded" && scene.situation.route?.listener == nil)
        #expect(scene.serving == [1])
    }
}
