import Model
import TestKit
import Testing

@testable import Planning

/// Gates that only certain people open.
@Suite struct ApprovalGateTests {
    private static let people = Approvers(["alice", "bob", "carol"], count: 2)
    private static let gate = Gate("go-live", .approval(by: people), timeout: .seconds(600))

    private static func scene(_ gate: Gate = gate) throws -> Scene {
        var scene = try Scene.settled(Fixtures.release(1))
        try scene.deploy(
            Fixtures.release(2, .blueGreen, replicas: 2) { $0.rollout.beforeSwitch = [gate] })
        scene.play { $0.state.rollout?.openApproval != nil }
        return scene
    }

    private static func yes(_ name: String, _ number: Int = 1, gate: String = "go-live") -> SignedApproval {
        SignedApproval(
            GivenApproval(
                gate: gate, name: name, keyID: "\(name)-\(number)",
                evidence: Fixtures.digest(number * 100 + name.utf8.count), at: Fixtures.start, message: "why"),
            envelope: "{}")
    }

    private static let keys: Set = ["alice-1", "alice-2", "bob-1", "carol-1"]

    private func failure(_ body: () throws -> Void) -> Failure? {
        do { try body() } catch { return Failure.list(error)[0] }
        return nil
    }

    @Test func `the gate opens when enough different people have signed, and not before`() throws {
        var scene = try Self.scene()
        let now = scene.situation.now
        let first = try scene.state.approve(
            nil, signed: Self.yes("alice"), trusted: Self.keys, at: now, by: "uid:0")
        #expect(first.map(\.kind) == [.approved] && first[0].by == "uid:0")
        #expect(first[0].message == "alice approved gate go-live (1 of 2: alice)")
        #expect(
            first[0].details == [
                "gate": "go-live", "name": "alice", "key": "alice-1", "message": "why", "envelope": "{}",
                "evidence": "\(Self.yes("alice").given.evidence)",
            ])
        for _ in 0..<50 { scene.play() }
        #expect(scene.state.rollout?.openApproval == Self.gate && scene.serving == [1])
        #expect(scene.state.rollout?.approvalText(of: Self.gate) == "1 of 2: alice")
        let second = try scene.state.approve(
            "go-live", signed: Self.yes("bob"), trusted: Self.keys, at: scene.situation.now, by: "uid:7")
        #expect(second.map(\.kind) == [.approved, .gatePassed])
        #expect(second[1].message == "gate go-live passed: approved by alice, bob")
        scene.settle()
        #expect(scene.outcome == "succeeded")
        // Who said yes stays with the rollout.
        #expect(scene.state.lastRollout?.approvals.map(\.name) == ["alice", "bob"])
    }

    @Test func `one person counts once, whatever keys that person has had`() throws {
        var scene = try Self.scene()
        let now = scene.situation.now
        let first = Self.yes("alice")
        _ = try scene.state.approve(nil, signed: first, trusted: Self.keys, at: now, by: "uid:0")
        // The same approval again: its answer may have been lost.
        let before = scene.state
        let again = try scene.state.approve(nil, signed: first, trusted: Self.keys, at: now, by: "uid:0")
        #expect(again.isEmpty && scene.state == before)
        let said = failure {
            _ = try scene.state.approve(
                nil, signed: Self.yes("alice", 2), trusted: Self.keys, at: now, by: "uid:0")
        }
        #expect(said?.code == .conflict)
        #expect(said?.message == "alice has approved gate go-live already: one person counts once")
        #expect(scene.state == before)
    }

    @Test func `what a key gave before it was revoked counts no more`() throws {
        var scene = try Self.scene()
        let now = scene.situation.now
        _ = try scene.state.approve(nil, signed: Self.yes("alice"), trusted: Self.keys, at: now, by: "uid:0")
        let left = Self.keys.subtracting(["alice-1"])
        let notes = try scene.state.approve(nil, signed: Self.yes("bob"), trusted: left, at: now, by: "uid:0")
        #expect(notes.map(\.kind) == [.approved])
        #expect(scene.state.rollout?.approvalText(of: Self.gate) == "1 of 2: bob")
        // With another key of hers she may say yes again.
        let last = try scene.state.approve(
            nil, signed: Self.yes("alice", 2), trusted: left, at: now, by: "uid:0")
        #expect(last.map(\.kind) == [.approved, .gatePassed])
    }

    @Test func `a plain yes is refused, with who may say it and how`() throws {
        var scene = try Self.scene()
        let said = failure { _ = try scene.state.approve(nil, at: scene.situation.now, by: "uid:0") }
        #expect(said?.code == .notPermitted)
        #expect(
            said?.message
                == "gate go-live takes a signed approval by 2 of alice, bob and carol (0 of 2)")
        #expect(
            said?.suggestion == "kiln rollout approve hello --gate go-live --key alice|bob|carol")
    }

    @Test func `a signed yes opens a gate that anybody may open`() throws {
        let gate = Gate("ok", .approval(by: nil), timeout: .seconds(600))
        var scene = try Self.scene(gate)
        let notes = try scene.state.approve(
            nil, signed: Self.yes("carol", gate: "ok"), trusted: Self.keys, at: scene.situation.now,
            by: "uid:0")
        #expect(notes.map(\.kind) == [.approved, .gatePassed])
        scene.settle()
        #expect(scene.outcome == "succeeded")
    }

    @Test func `neither promote nor resume stands in for a signed approval`() throws {
        var paused = Self.gate
        (paused.timeout, paused.otherwise) = (.seconds(5), .pause)
        var scene = try Self.scene(paused)
        let promoted = failure { _ = try scene.state.promote(at: scene.situation.now, by: "uid:0") }
        #expect(promoted?.code == .notPermitted)
        #expect(promoted?.message.hasSuffix("promote does not stand in for it") == true)
        for _ in 0..<400 where scene.state.rollout?.pause == nil { scene.play() }
        let resumed = failure { _ = try scene.state.resume(at: scene.situation.now, by: "uid:0") }
        #expect(resumed?.code == .notPermitted)
        #expect(scene.state.rollout?.pause != nil && scene.serving == [1])
        // It was paused for want of an answer: with the answers it goes on by itself.
        for name in ["alice", "bob"] {
            _ = try scene.state.approve(
                nil, signed: Self.yes(name), trusted: Self.keys, at: scene.situation.now, by: "uid:0")
        }
        scene.settle()
        #expect(scene.outcome == "succeeded" && scene.serving == [2])
    }

    @Test func `a pause by hand at such a gate ends by hand, and opens nothing`() throws {
        var scene = try Self.scene()
        _ = try scene.state.pause(at: scene.situation.now, by: "uid:0")
        _ = try scene.state.resume(at: scene.situation.now, by: "uid:0")
        #expect(scene.state.rollout?.openApproval == Self.gate)
    }

    @Test func `an old release that fails opens no gate: what it takes is asked next`() throws {
        var scene = try Scene.settled(Fixtures.release(1))
        let steps: [CanaryStep] = [
            .weight(10, instances: nil), .pause(.seconds(3000)), .gate(Self.gate),
            .weight(50, instances: nil),
        ]
        try scene.deploy(Fixtures.canary(2, steps, replicas: 2))
        scene.play { $0.state.rollout?.split == .share(10) && $0.phase == "waiting" }
        scene.end(of: 1, 2)
        scene.play { $0.state.rollout?.openApproval != nil }
        #expect(scene.state.rollout?.openApproval == Self.gate)
        for _ in 0..<100 { scene.play() }
        #expect(scene.state.rollout.map { $0.split != .share(100) } ?? false)
    }

    @Test func `without an answer in time the old release serves`() throws {
        var short = Self.gate
        short.timeout = .seconds(5)
        var scene = try Self.scene(short)
        _ = try scene.state.approve(
            nil, signed: Self.yes("alice"), trusted: Self.keys, at: scene.situation.now, by: "uid:0")
        scene.settle()
        #expect(scene.outcome == "rolled-back" && scene.serving == [1])
    }

    private static let bad: [(Approvers, Gate.Otherwise, String)] = [
        (Approvers([]), .fail, "does not say by whom"),
        (Approvers(["a", "a"]), .fail, "does not say by whom"),
        (Approvers(["A b"]), .fail, "does not say by whom"),
        (Approvers((0..<33).map { "k\($0)" }), .fail, "does not say by whom"),
        (Approvers(["a"], count: 2), .fail, "asks for 2 of 1 approval"),
        (Approvers(["a"], count: 0), .fail, "asks for 0 of 1 approval"),
        (Approvers(["a"]), .pass, "with nobody's approval"),
    ]

    @Test(arguments: 0..<7) func `a gate that nobody could open, or anybody, is refused`(_ index: Int) {
        let (approvers, otherwise, said) = Self.bad[index]
        let release = Fixtures.release(2, .blueGreen, replicas: 2) {
            $0.rollout.beforeSwitch = [Gate("ok", .approval(by: approvers), otherwise: otherwise)]
        }
        let problems = RolloutLint.problems(release.content, size: 2)
        #expect(problems.count == 1 && problems[0].message.contains(said), "\(problems)")
        let good = Fixtures.release(2, .blueGreen, replicas: 2) { $0.rollout.beforeSwitch = [Self.gate] }
        #expect(RolloutLint.problems(good.content, size: 2).isEmpty)
    }

    @Test func `a preview says yes as people would, and reaches the end`() throws {
        let scene = try Self.scene()
        #expect(Preview.steps(scene.situation).isEmpty == false)
        #expect(
            ReleaseChange.list(
                from: Fixtures.release(1).content,
                to: Fixtures.release(1, .blueGreen, replicas: 2) { $0.rollout.beforeSwitch = [Self.gate] }
                    .content
            ).contains { $0.new?.contains("approval by 2 of alice, bob and carol") == true })
    }
}
