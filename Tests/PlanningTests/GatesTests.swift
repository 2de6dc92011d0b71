import Model
import TestKit
import Testing

@testable import Planning

@Suite struct GatesTests {
    private static func scene(_ before: [Gate] = [], after: [Gate] = []) throws -> Scene {
        var scene = try Scene.settled(Fixtures.release(1))
        try scene.deploy(
            Fixtures.release(2, .blueGreen, replicas: 2) {
                $0.rollout.beforeSwitch = before
                $0.rollout.afterSwitch = after
            })
        return scene
    }

    private func isAsked(_ scene: Scene) -> Bool { scene.state.rollout?.gates.isEmpty == false }

    @Test func `a command runs once in an instance of its own, before any traffic, and is removed`() throws {
        var scene = try Self.scene([Gate("migrate", .command(["migrate", "--all"]))])
        var runs: [String] = []
        for _ in 0..<2000 where scene.phase != "none" {
            let plan = scene.play()
            runs += plan.lines.filter { $0.hasPrefix("run ") }
            if runs.isEmpty { #expect(scene.serving == [1]) }
        }
        #expect(runs == ["run hello-r2-5 migrate --all"])
        #expect(scene.outcome == "succeeded")
        scene.settle()
        #expect(!scene.situation.seen.instances.values.contains { $0.isTask })
    }

    @Test func `a command that fails ends the rollout before anybody saw the release`() throws {
        var scene = try Self.scene([Gate("smoke", .command(["smoke"]))])
        scene.play { isAsked($0) && $0.situation.seen.instances.values.contains { $0.isTask } }
        let task = try #require(scene.situation.seen.instances.values.first { $0.isTask }?.id)
        scene.situation.seen.instances[task]?.phase = .exited(status: 3)
        let plan = scene.play()
        #expect(plan.notes.contains { $0.kind == .gateFailed && $0.message.contains("status 3") })
        scene.settle()
        #expect(scene.outcome == "rolled-back" && scene.serving == [1])
        #expect(!scene.situation.seen.instances.values.contains { $0.isTask })
    }

    @Test(arguments: Gate.Otherwise.allCases)
    func `a gate that says nothing in time goes the way that it says`(otherwise: Gate.Otherwise) throws {
        var scene = try Self.scene([
            Gate("ok", .approval(by: nil), timeout: .seconds(5), otherwise: otherwise)
        ])
        scene.play { isAsked($0) }
        for _ in 0..<400 where scene.phase == "waiting" && scene.state.rollout?.pause == nil { scene.play() }
        switch otherwise {
        case .fail:
            scene.settle()
            #expect(scene.outcome == "rolled-back")
        case .pass:
            scene.settle()
            #expect(scene.outcome == "succeeded")
        case .pause:
            #expect(scene.state.rollout?.pause != nil)
            _ = try scene.state.resume(at: scene.situation.now, by: "uid:0")
            scene.settle()
            #expect(scene.outcome == "succeeded")
        }
    }

    @Test func `a person approves by the gate's name`() throws {
        var scene = try Self.scene(after: [Gate("release-manager", .approval(by: nil))])
        #expect(throws: Failure.self) { try scene.state.approve(nil, at: scene.situation.now, by: "uid:1") }
        scene.play { isAsked($0) }
        #expect(scene.serving == [2])
        #expect(throws: Failure.self) { try scene.state.approve("x", at: scene.situation.now, by: "uid:1") }
        _ = try scene.state.approve("release-manager", at: scene.situation.now, by: "uid:1")
        scene.settle()
        #expect(scene.outcome == "succeeded")
    }

    @Test func `a question is put once at a time, with one key, until it is answered`() throws {
        var scene = try Self.scene([Gate("hook", .webhook(url: "http://localhost/"))])
        var asked: [GateCheck] = []
        for _ in 0..<300 where scene.phase != "none" && scene.serving != [2] {
            let plan = scene.plan()
            for step in plan.steps {
                guard case .check(let check) = step else {
                    scene.situation.carryOut(step)
                    continue
                }
                asked.append(check)
                scene.situation.checking = [check.idempotencyKey]
            }
            scene.pass(.milliseconds(100))
            guard let check = asked.last, !scene.situation.checking.isEmpty else { continue }
            scene.situation.checking = []
            let answer: GateAnswer =
                asked.count < 3 ? .unanswered(reason: "busy") : .passed(detail: "200 OK")
            scene.situation.gateReports[check.idempotencyKey] = GateReport(answer, at: scene.situation.now)
        }
        #expect(asked.count == 3 && Set(asked.map(\.idempotencyKey)) == ["hello/2/hook"])
        #expect(asked.allSatisfy { $0.targets.count == 2 })
        scene.settle()
        #expect(scene.outcome == "succeeded")
    }
}

@Suite struct LintTests {
    private static let canaries: [([CanaryStep], String)] = [
        ([.weight(25, instances: nil), .weight(5, instances: nil)], "goes back from 25 to 5"),
        ([.analyze(.seconds(60))], "before the new release has traffic"),
        ([.weight(100, instances: nil), .analyze(.seconds(60))], "after the old release has lost"),
        ([.weight(5, instances: .percent(0))], "0% of 10 instances is 0"),
        ([.weight(5, instances: .count(11))], "11 of 10 instances is 11"),
        ([.gate(Gate("a", .analysis(.seconds(1))))], "only one has traffic"),
        ([.weight(75, instances: .count(1))], "1 of 10 instances would carry 75 % of the requests"),
        ([.weight(20, instances: .count(4)), .weight(30, instances: nil)], "go back from 4 to 3"),
        (
            [.gate(Gate("a", .approval(by: nil))), .gate(Gate("a", .approval(by: nil)))],
            "two gates are called a"
        ),
    ]

    @Test(arguments: canaries.indices)
    func `steps that cannot be meant are refused before anything moves`(row: Int) {
        let (steps, expected) = Self.canaries[row]
        let problems = RolloutLint.problems(Fixtures.canary(1, steps).content, size: 10)
        #expect(problems.count == 1 && problems[0].message.contains(expected), "\(problems)")
        #expect(problems.allSatisfy { $0.suggestion?.isEmpty == false })
    }

    @Test func `a rolling update that could never move is refused`() {
        let stuck = Fixtures.rolling(1, surge: .count(0))
        #expect(RolloutLint.problems(stuck.content, size: 4).count == 1)
        let more = Fixtures.rolling(1, minHealthy: .count(9))
        #expect(RolloutLint.problems(more.content, size: 4).count == 1)
        #expect(RolloutLint.problems(Fixtures.rolling(1).content, size: 4).isEmpty)
    }

    @Test func `what has no problem ends, in a world without faults`() throws {
        let steps: [CanaryStep] = [
            .match(HeaderMatch(header: "X-Canary")), .pause(nil), .weight(5, instances: nil),
            .analyze(.seconds(60)), .gate(Gate("ok", .approval(by: nil))),
            .weight(50, instances: .percent(50)),
        ]
        var scene = try Scene.settled(Fixtures.release(1, replicas: 10))
        let release = Fixtures.canary(2, steps)
        #expect(RolloutLint.problems(release.content, size: 10).isEmpty)
        try scene.deploy(release)
        let steps2 = Preview.steps(scene.situation)
        guard case .remove = steps2.last else {
            Issue.record("the preview does not reach the end: \(steps2.suffix(2))")
            return
        }
    }
}
