import Model
import TestKit
import Testing

@testable import Planning

@Suite struct RepavingTests {
    private static func release(_ repave: RepaveSettings) -> Release {
        var release = Fixtures.release(1, drain: .zero)
        release.content.repave = repave
        return release
    }

    @Test func `instances are replaced before they are too old, not all at once, and none is missing`() throws
    {
        let limit = Span.seconds(7 * 86_400)
        var scene = try Scene.settled(RepavingTests.release(RepaveSettings(maxAge: limit)))
        _ = try scene.state.scale(to: 8, by: "uid:0")
        scene.settle()
        let first = Set(scene.ids(of: 1))
        // Seven days, an hour at a time.
        for _ in 0..<(7 * 24) {
            scene.pass(.seconds(3600))
            for _ in 0..<40 {
                scene.play()
                let servers = scene.situation.route?.servers ?? [:]
                #expect(servers.values.count { $0.state.isServing } >= 8)
                #expect(scene.ids(of: 1).count <= 8 + 2 * 2)
            }
        }
        #expect(first.isDisjoint(with: scene.ids(of: 1)))
        #expect(scene.ids(of: 1).count == 8)
        for id in scene.ids(of: 1) {
            let since = scene.situation.seen.instances[id]!.startedAt
            #expect(scene.situation.now - since <= limit)
        }
    }

    @Test func `age waits for its hours and for the end of a freeze`() throws {
        let night = MaintenanceWindow(days: [], from: 2 * 60, to: 4 * 60)
        let start = Instant("2027-03-01T12:00:00Z")!
        let freeze = Freeze(from: start, until: start + .seconds(5 * 86_400), reason: "a sale")
        var scene = try Scene.settled(
            RepavingTests.release(
                RepaveSettings(maxAge: .seconds(86_400), maintenance: [night], freezes: [freeze])))
        for id in scene.ids(of: 1) {
            scene.situation.seen.instances[id]?.startedAt = start + .seconds(-10 * 86_400)
        }
        for (time, isReplaced) in [
            ("2027-03-02T03:00:00Z", false), ("2027-03-06T13:00:00Z", false), ("2027-03-07T01:59:59Z", false),
            ("2027-03-07T02:00:00Z", true),
        ] {
            scene.situation.now = Instant(time)!
            #expect(scene.plan().steps.isEmpty != isReplaced, "\(time)")
        }
    }

    @Test func `a repave that somebody asks for replaces every instance once`() throws {
        var scene = try Scene.settled(Fixtures.release(1, drain: .zero), Fixtures.release(2, drain: .zero))
        let before = Set(scene.situation.seen.instances.keys)
        scene.pass(.seconds(60))
        let notes = try scene.state.repave(at: scene.situation.now, by: "uid:1000")
        #expect(notes.map(\.by) == ["uid:1000"])
        scene.settle()
        #expect(scene.state.repaveBefore == nil)
        #expect(before.isDisjoint(with: scene.situation.seen.instances.keys), "the standby's, too")
        #expect(scene.situation.seen.instances.count == before.count)
        #expect(scene.play().steps.isEmpty)
    }

    @Test func `nothing is repaved during a rollout`() throws {
        var scene = try Scene.rollingOut(to: "launching")
        #expect(throws: Failure.self) { try scene.state.repave(at: scene.situation.now, by: "uid:0") }
    }

    @Test func `one that a person is in is not renewed beneath them`() throws {
        var scene = try Scene.settled(Fixtures.release(1, drain: .zero))
        let id = scene.ids(of: 1)[0]
        _ = try scene.state.taint(
            id, reason: "a live look", until: scene.situation.now + .seconds(86_400), isInTraffic: true,
            at: scene.situation.now, by: "uid:0")
        scene.settle()
        scene.pass(.seconds(60))
        _ = try scene.state.repave(at: scene.situation.now, by: "uid:0")
        scene.settle()
        #expect(scene.ids(of: 1).contains(id))
        #expect(scene.state.repaveBefore == nil)
    }

    @Test func `a deploy that waits for another one waits for the end of a freeze as well`() throws {
        var scene = try Scene.rollingOut(to: "launching")
        var next = Fixtures.release(3)
        let until = scene.situation.now + .seconds(86_400)
        next.content.repave = RepaveSettings(
            freezes: [Freeze(from: scene.situation.now + .seconds(1), until: until, reason: "a sale")])
        scene.state.releasesMade = 3
        scene.situation.releases[next.number] = next
        _ = try scene.state.deploy(
            next, replacing: nil, isQueued: true, at: scene.situation.now, by: "uid:0")
        scene.settle()
        #expect(scene.current == 2)
        #expect(scene.state.queued.count == 1)
        scene.situation.now = until
        scene.settle()
        #expect(scene.current == 3)
    }
}
