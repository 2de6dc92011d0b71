import Model
import TestKit

@testable import Planning

/// A situation that is brought about by playing plans in a world without faults, and then disturbed by hand.
struct Scene {
    var situation: Situation

    /// A service of which nothing was ever deployed.
    init() {
        situation = Situation(
            state: ServiceState(key: Fixtures.key), releases: [:], seen: Observation(at: Fixtures.start),
            now: Fixtures.start)
    }

    /// The given releases were rolled out one after the other, and all is settled.
    static func settled(_ releases: Release...) throws -> Scene {
        var scene = Scene()
        for release in releases {
            try scene.deploy(release)
            scene.settle()
        }
        return scene
    }

    /// r1 serves, and r2 is being rolled out as far as `phase`.
    static func rollingOut(
        to phase: String, _ new: Release = Fixtures.release(2), over old: Release = Fixtures.release(1)
    ) throws -> Scene {
        var scene = try settled(old)
        try scene.deploy(new)
        if phase == "returning" {
            scene.play { $0.phase == "waiting" }
            scene.end(of: new.number.value)
        }
        scene.play { $0.phase == phase }
        return scene
    }

    var state: ServiceState {
        get { situation.state }
        set { situation.state = newValue }
    }

    /// The name of the rollout's phase, or `none`.
    var phase: String {
        switch state.rollout?.phase {
        case .launching: "launching"
        case .switching: "switching"
        case .waiting: "waiting"
        case .returning: "returning"
        case .ended: "ended"
        case nil: "none"
        }
    }

    var outcome: String { state.lastRollout?.outcome?.name ?? "none" }
    var current: Int? { state.current?.value }

    // MARK: Playing

    mutating func deploy(_ release: Release) throws {
        state.releasesMade = release.number.value
        situation.releases[release.number] = release
        let old = state.current.flatMap { situation.releases[$0] }
        _ = try state.deploy(release, replacing: old, at: situation.now, by: "uid:0")
    }

    mutating func rollBack(to target: Int? = nil) throws {
        _ = try state.rollBack(
            to: target.map { ReleaseNumber($0) }, known: situation.releases, at: situation.now,
            by: "uid:0")
    }

    /// Decides, and keeps the intent.
    mutating func plan() -> Plan {
        let plan = Planner.plan(situation)
        state = plan.state
        return plan
    }

    /// Decides, acts, and lets a moment pass.
    @discardableResult
    mutating func play() -> Plan {
        let plan = plan()
        for step in plan.steps { situation.carryOut(step) }
        pass(.milliseconds(20))
        return plan
    }

    mutating func play(atMost limit: Int = 2000, until isReached: (Scene) -> Bool) {
        for _ in 0..<limit where !isReached(self) { play() }
    }

    mutating func settle() {
        for _ in 0..<2000 {
            let before = state
            if play().steps.isEmpty, state.rollout == nil, state == before { return }
        }
    }

    mutating func pass(_ span: Span) { situation.now = situation.now + span }

    // MARK: Disturbing

    func ids(of release: Int) -> [InstanceID] {
        situation.seen.instances.values.filter { $0.release.value == release }.map(\.id).sorted()
    }

    /// The first `count` instances of a release end.
    mutating func end(of release: Int, _ count: Int = 1, status: Int = 1) {
        for id in ids(of: release).prefix(count) {
            situation.seen.instances[id]?.phase = .exited(status: status)
        }
    }

    mutating func sicken(_ id: InstanceID, _ health: Health = .failing) {
        situation.seen.router.routes[state.key]?.servers[id]?.health = health
    }

    mutating func loseRouter() { situation.seen.router = ObservedRouter() }

    /// Which releases the router sends new requests to.
    var serving: [Int] {
        let taking = (situation.route?.servers ?? [:]).filter { $0.value.state.isServing }.keys
        return Set(taking.compactMap { situation.seen.instances[$0]?.release.value }).sorted()
    }
}

extension Plan {
    /// One line a step, as a test writes them down.
    var lines: [String] { steps.map(\.line) }
}
