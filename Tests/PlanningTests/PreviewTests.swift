import Model
import TestKit
import Testing

@testable import Planning

@Suite struct PreviewTests {
    private static let replaced = [
        "launch hello-r2-3", "launch hello-r2-4",
        "route 8000 hello-r1-1=100 hello-r1-2=100 hello-r2-3=warm hello-r2-4=warm",
        "route 8000 hello-r1-1=warm hello-r1-2=warm hello-r2-3=100 hello-r2-4=100",
    ]

    @Test func `a preview is what is then done`() throws {
        var scene = try Scene.settled(Fixtures.release(1))
        try scene.deploy(Fixtures.release(2))
        #expect(Preview.steps(scene.situation).map(\.line) == Self.replaced)
        var done: [String] = []
        scene.play { scene in
            var next = scene
            done += next.plan().lines
            return next.state.rollout == nil
        }
        #expect(done == Self.replaced)
    }

    @Test func `a preview without a standby ends with the old instances removed`() throws {
        var scene = try Scene.settled(Fixtures.release(1, drain: .seconds(600), watch: .seconds(3600)))
        try scene.deploy(Fixtures.release(2, watch: .seconds(86_400), keepStandby: 0))
        let lines = Preview.steps(scene.situation).map(\.line)
        #expect(lines.starts(with: Self.replaced))
        #expect(lines.contains("remove hello-r1-1 retired") && lines.contains("remove hello-r1-2 retired"))
    }

    @Test func `what is under way is taken for done`() throws {
        var scene = try Scene.settled(Fixtures.release(1))
        try scene.deploy(Fixtures.release(2))
        scene.play()
        for id in scene.ids(of: 2) {
            scene.situation.seen.instances[id]?.phase = .launching
            scene.situation.launching.insert(id)
        }
        scene.situation.routeFailure = "no answer"
        #expect(Preview.steps(scene.situation).map(\.line) == Array(Self.replaced.dropFirst(2)))
    }

    @Test func `a service in which nothing is to do has an empty preview, and a preview changes nothing`()
        throws
    {
        let scene = try Scene.settled(Fixtures.release(1), Fixtures.release(2))
        let before = scene.situation
        #expect(Preview.steps(scene.situation) == [] && scene.situation == before)
    }

    @Test func `a rollback to a standby is one step`() throws {
        var scene = try Scene.settled(Fixtures.release(1), Fixtures.release(2))
        try scene.rollBack()
        let route = "route 8000 hello-r1-1=100 hello-r1-2=100 hello-r2-3=warm hello-r2-4=warm"
        #expect(Preview.steps(scene.situation).first?.line == route)
    }

    @Test func `a retirement ends with the route removed`() throws {
        var scene = try Scene.settled(Fixtures.release(1))
        _ = scene.state.beginRetiring(at: scene.situation.now, by: "uid:0")
        #expect(Preview.steps(scene.situation).last?.line == "remove route")
    }
}
