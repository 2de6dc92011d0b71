import Model
import TestKit
import Testing

@testable import Planning

@Suite struct DriftingTests {
    private static func drift(_ kind: Drift.Kind = .process, _ subject: String = "sh") -> Drift {
        Drift(kind, subject, "\(subject) is not as launched", source: .event, at: Fixtures.start)
    }

    @Test func `what drifted serves until another does, and then goes`() throws {
        var scene = try Scene.settled(Fixtures.release(1))
        let id = scene.ids(of: 1)[0]
        scene.situation.seen.instances[id]?.drifts = [DriftingTests.drift()]
        let plan = scene.play()
        #expect(plan.lines == ["launch hello-r1-3"])
        #expect(plan.notes.map(\.kind) == [.drifted])
        #expect(plan.notes.first?.details["answer"] == "replaced")
        #expect(scene.play().lines == ["route 8000 hello-r1-1=100 hello-r1-2=100 hello-r1-3=warm"])
        #expect(scene.play().lines == ["route 8000 hello-r1-1=draining hello-r1-2=100 hello-r1-3=100"])
        #expect(
            scene.play().lines
                == ["route 8000 hello-r1-2=100 hello-r1-3=100", "remove hello-r1-1 drifted"])
        scene.settle()
        #expect(scene.state.tainted.isEmpty)
    }

    @Test func `what was seen once is replaced, although it is not seen again`() throws {
        var scene = try Scene.settled(Fixtures.release(1))
        let id = scene.ids(of: 1)[0]
        scene.situation.seen.instances[id]?.drifts = [DriftingTests.drift()]
        scene.play()
        scene.situation.seen.instances[id]?.drifts = []
        scene.settle()
        #expect(!scene.ids(of: 1).contains(id))
        #expect(scene.ids(of: 1).count == 2)
    }

    @Test func `limits are put back the first time, and replaced the second`() throws {
        var scene = try Scene.settled(Fixtures.release(1))
        let id = scene.ids(of: 1)[0]
        let drift = DriftingTests.drift(.limits, "memory.max")
        scene.situation.seen.instances[id]?.drifts = [drift]
        #expect(scene.play().lines == ["restore limits hello-r1-1"])
        scene.settle()
        #expect(scene.ids(of: 1).contains(id))
        scene.situation.seen.instances[id]?.drifts = [drift]
        scene.settle()
        #expect(!scene.ids(of: 1).contains(id))
    }

    @Test(arguments: [DriftSettings.Mode.alert, .off])
    func `a service that does not want it keeps what drifted`(mode: DriftSettings.Mode) throws {
        var release = Fixtures.release(1)
        release.content.drift = DriftSettings(mode: mode)
        var scene = try Scene.settled(release)
        let id = scene.ids(of: 1)[0]
        scene.situation.seen.instances[id]?.drifts = [DriftingTests.drift()]
        let first = scene.play()
        #expect(first.steps.isEmpty)
        #expect(first.notes.count == (mode == .alert ? 1 : 0))
        #expect(scene.play().notes.isEmpty, "it is told once")
        #expect(scene.ids(of: 1).contains(id))
    }

    @Test func `an exception holds until its day`() throws {
        var release = Fixtures.release(1)
        let until = Fixtures.start + .seconds(86_400)
        release.content.drift = DriftSettings(
            exceptions: [.init(kind: .process, mode: .off, reason: "a profiler", until: until)])
        var scene = try Scene.settled(release)
        let id = scene.ids(of: 1)[0]
        scene.situation.seen.instances[id]?.drifts = [DriftingTests.drift()]
        #expect(scene.play().steps.isEmpty)
        scene.situation.now = until
        #expect(scene.play().lines == ["launch hello-r1-3"])
    }

    /// An attack on everything at once: never fewer serve than should, and in the end Kiln stops and says so, once.
    @Test func `a thousand drifts in a minute take no capacity, and are told to be too many once`() throws {
        var scene = try Scene.settled(Fixtures.release(1, drain: .zero))
        _ = try scene.state.scale(to: 8, by: "uid:0")
        scene.settle()
        var (notes, most) = ([Note](), 0)
        for _ in 0..<3000 {
            for id in scene.ids(of: 1) {
                scene.situation.seen.instances[id]?.drifts = [DriftingTests.drift()]
            }
            notes += scene.play().notes
            scene.pass(.seconds(1))
            let servers = scene.situation.route?.servers ?? [:]
            #expect(servers.values.count { $0.state.isServing } >= 8)
            most = max(most, scene.ids(of: 1).count)
        }
        #expect(most <= 8 + 2 * 2, "at most a quarter is replaced at a time")
        #expect(notes.count { $0.kind == .driftHalted } == 1)
        // Four rounds of two are one time; the last eight are only told.
        #expect(notes.count { $0.kind == .drifted } <= 4 * Limits.driftRounds * 2 + 8)
        // A new release begins with a clean slate.
        try scene.deploy(Fixtures.release(2))
        scene.settle()
        #expect(scene.state.drift?.answered.contains { $0.isHalted } != true)
    }

    @Test func `what touched many at once is repaired to the last, and is not taken for coming back`() throws
    {
        var scene = try Scene.settled(Fixtures.release(1, drain: .zero))
        _ = try scene.state.scale(to: 20, by: "uid:0")
        scene.settle()
        let touched = Set(scene.ids(of: 1))
        for id in touched {
            scene.situation.seen.instances[id]?.drifts = [DriftingTests.drift(.image, "/bin/sh")]
        }
        var notes: [Note] = []
        for _ in 0..<3000 {
            notes += scene.play().notes
            scene.pass(.milliseconds(180))
        }
        #expect(touched.isDisjoint(with: scene.ids(of: 1)))
        #expect(scene.ids(of: 1).count == 20)
        #expect(!notes.contains { $0.kind == .driftHalted })
    }

    @Test func `limits that are being put back are not taken for changed again`() throws {
        var scene = try Scene.settled(Fixtures.release(1))
        let id = scene.ids(of: 1)[0]
        scene.situation.seen.instances[id]?.drifts = [
            DriftingTests.drift(.limits, "memory.max"), DriftingTests.drift(.limits, "pids.max"),
        ]
        let plan = scene.plan()
        #expect(plan.lines == ["restore limits hello-r1-1"])
        scene.situation.restoring = [id]
        for _ in 0..<10 { #expect(scene.plan().steps.isEmpty) }
    }

    @Test(arguments: ["launching", "switching", "waiting", "returning"], [1, 2])
    func `drift during a rollout is repaired, and does not end it`(phase: String, release: Int) throws {
        var scene = try Scene.rollingOut(to: phase)
        guard let id = scene.ids(of: release).first else { return }
        scene.situation.seen.instances[id]?.drifts = [DriftingTests.drift()]
        scene.settle()
        #expect(scene.phase == "none")
        #expect(scene.outcome == (phase == "returning" ? "rolled-back" : "succeeded"))
        #expect(!scene.ids(of: release).contains(id))
        #expect(scene.ids(of: scene.current!).count == 2)
    }

    // MARK: People

    @Test func `one that a person keeps takes no requests, and another does its work`() throws {
        var scene = try Scene.settled(Fixtures.release(1))
        let id = scene.ids(of: 1)[0]
        let until = scene.situation.now + .seconds(900)
        let notes = try scene.state.taint(
            id, reason: "looks slow", until: until, isInTraffic: false, at: scene.situation.now, by: "uid:0")
        #expect(notes.map(\.kind) == [.tainted])
        #expect(notes[0].by == "uid:0")
        // It serves on until the other one can: a look into the only instance must not be an outage.
        #expect(scene.play().lines == ["launch hello-r1-3"])
        #expect(scene.situation.route?.servers[id]?.state.isServing == true)
        scene.settle()
        #expect(scene.ids(of: 1).count == 3)
        #expect(scene.situation.route?.servers[id]?.state == .warm)
        scene.situation.now = until
        scene.settle()
        #expect(!scene.ids(of: 1).contains(id))
        #expect(scene.ids(of: 1).count == 2)
    }

    @Test func `one that is used in traffic serves on, and is replaced in the end`() throws {
        var scene = try Scene.settled(Fixtures.release(1))
        let id = scene.ids(of: 1)[0]
        _ = try scene.state.taint(
            id, reason: "a live look", until: scene.situation.now + .seconds(900), isInTraffic: true,
            at: scene.situation.now, by: "uid:0")
        scene.settle()
        #expect(scene.ids(of: 1).count == 2)
        #expect(scene.situation.route?.servers[id]?.state.isServing == true)
        _ = try scene.state.endTaint(id, message: "left", by: "uid:0")
        scene.settle()
        #expect(!scene.ids(of: 1).contains(id))
        #expect(throws: Failure.self) { try scene.state.endTaint(id, message: "left", by: "uid:0") }
    }

    @Test func `a kept one goes with its service, and no longer than is allowed`() throws {
        var scene = try Scene.settled(Fixtures.release(1))
        let (id, now) = (scene.ids(of: 1)[0], scene.situation.now)
        #expect(throws: Failure.self) {
            try scene.state.taint(
                id, reason: "for ever", until: now + Limits.longestKeeping + .seconds(1), isInTraffic: false,
                at: now, by: "uid:0")
        }
        _ = try scene.state.taint(
            id, reason: "forensics", until: now + Limits.longestKeeping, isInTraffic: false, at: now,
            by: "uid:0")
        scene.settle()
        _ = scene.state.beginRetiring(at: scene.situation.now, by: "uid:0")
        scene.settle()
        #expect(scene.situation.seen.instances.isEmpty)
    }

    @Test func `a kept one does not keep a rolling deploy from its room`() throws {
        let rolling = RolloutSettings.Strategy.rolling(
            RollingSettings(batch: .count(1), surge: .count(1), minReady: .zero))
        var (first, second) = (Fixtures.release(1), Fixtures.release(2))
        first.content.rollout.strategy = rolling
        second.content.rollout.strategy = rolling
        var scene = try Scene.settled(first)
        let id = scene.ids(of: 1)[0]
        _ = try scene.state.taint(
            id, reason: "forensics", until: scene.situation.now + .seconds(86_400), isInTraffic: false,
            at: scene.situation.now, by: "uid:0")
        scene.settle()
        try scene.deploy(second)
        scene.settle()
        #expect(scene.outcome == "succeeded")
        #expect(scene.ids(of: 1).contains(id))
    }

    @Test
    func `only so many are kept at a time, none that is leaving, and nobody is put into traffic by another`()
        throws
    {
        var scene = try Scene.settled(Fixtures.release(1))
        _ = try scene.state.scale(to: Limits.keptAtATime + 2, by: "uid:0")
        scene.settle()
        let (ids, now) = (scene.ids(of: 1), scene.situation.now)
        func keep(_ id: InstanceID, isInTraffic: Bool = false) throws {
            _ = try scene.state.taint(
                id, reason: "a look", until: now + .seconds(60), isInTraffic: isInTraffic, at: now,
                by: "uid:0")
        }
        for id in ids.prefix(Limits.keptAtATime) { try keep(id) }
        try keep(ids[0], isInTraffic: true)
        #expect(scene.state.tainted(ids[0])?.isInTraffic == false)
        #expect(throws: Failure.self) { try keep(ids[Limits.keptAtATime]) }
        _ = try scene.state.endTaint(ids[1], message: "done", by: "uid:0")
        scene.state.drainingSince[ids[Limits.keptAtATime]] = now
        #expect(throws: Failure.self) { try keep(ids[Limits.keptAtATime]) }
    }

    @Test func `what a gate's command runs in is judged by the gate, not replaced`() throws {
        var scene = try Scene.settled(Fixtures.release(1))
        let task = InstanceID(scene.state.key, release: ReleaseNumber(1), ordinal: 77)
        scene.situation.seen.instances[task] = ObservedInstance(
            id: task, key: scene.state.key, release: ReleaseNumber(1), phase: .running, address: "",
            startedAt: scene.situation.now, isTask: true, drifts: [DriftingTests.drift()])
        _ = scene.plan()
        #expect(scene.state.tainted.isEmpty)
    }
}
