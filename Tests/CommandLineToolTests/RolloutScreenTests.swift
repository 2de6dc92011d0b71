import Model
import Testing
import WireAPI

@testable import CommandLineTool

@Suite struct RolloutScreenTests {
    private let key = ServiceKey(try! ServiceName("hello"))
    private let now = Instant(milliseconds: 1_800_000_000_000)
    private let before = Instant(milliseconds: 1_800_000_000_000 - 72_000)

    private func rollout(_ waits: RolloutStage.Wait...) -> Rollout {
        Rollout(
            number: 4, kind: .deploy, from: ReleaseNumber(3), to: ReleaseNumber(4), startedAt: before,
            stages: waits.map { RolloutStage(candidate: .whole, split: .share(5), wait: $0) }, by: "uid:0")
    }

    private func status(_ rollout: Rollout, queued: [QueuedRollout] = []) -> RolloutStatus {
        RolloutStatus(
            key: key, rollout: rollout, strategy: "canary", deadline: .seconds(90),
            releases: [
                ReleaseStatus(release: ReleaseNumber(4), share: 500, healthy: 1, wanted: 1),
                ReleaseStatus(release: ReleaseNumber(3), share: 9500, healthy: 4, wanted: 5),
            ],
            traffic: TrafficCounts(requests: 1_234_567, failed: 0, refused: 1, cut: 2, serverErrors: 3),
            queued: queued)
    }

    @Test func `everything about a rollout is on one screen`() {
        let gates = [
            Gate("settings", .command(["nginx", "-t"])), Gate("analysis-1", .analysis(.seconds(120))),
            Gate("go-live", .approval(by: nil)),
        ]
        var rollout = rollout(.gate(gates[0]), .gate(gates[1]), .gate(gates[2]))
        rollout.stage = 1
        rollout.phase = .waiting(since: before)
        rollout.gates = [
            "settings": .passed(at: before, detail: "hello-r4-9 ended with status 0"),
            "analysis-1": .open(since: before, task: nil),
        ]
        var progress = AnalysisProgress(since: before)
        progress.finding = AnalysisFinding(
            .undecided, "3 errors in 412", numbers: ["errors-old": "2", "errors-new": "3"])
        rollout.analysis = progress
        let text = status(rollout, queued: [QueuedRollout(to: ReleaseNumber(5), by: "uid:0")]).text(at: now)
        #expect(
            text == """
                hello  deploy of r3 → r4, canary, by uid:0
                  stage 2 of 3: gate analysis-1: comparing r4 with r3; goes on in 48s
                  r4  5 % of new requests   1 of 1 healthy
                  r3  95 % of new requests  4 of 5 healthy
                  gates
                    settings    passed: hello-r4-9 ended with status 0
                    analysis-1  open for 1m 12s
                    go-live     not asked yet
                  newest comparison: undecided: 3 errors in 412
                    errors-new 3, errors-old 2
                  so far: 1,234,567 requests, 1 refused, 2 cut, 0 failed, 3 answered with 5xx
                  waiting: r5
                """)
    }

    @Test func `a pause says since when, why, and what goes on`() {
        var rollout = rollout(.settle(.seconds(30)))
        rollout.phase = .waiting(since: before)
        rollout.pause = Rollout.Pause(since: before, reason: "uid:0 asked for it")
        let lines = status(rollout).text(at: now).split(separator: "\n")
        #expect(lines[1] == "  stage 1 of 1: paused; `kiln rollout resume hello` goes on")
        #expect(lines[2] == "  paused for 1m 12s, since 2027-01-15T07:58:48.000Z: uid:0 asked for it")
    }

    @Test func `one that has ended says how`() {
        var rollout = rollout(.none)
        rollout.phase = .ended(at: now, .rolledBack(reason: "it crashed"))
        let lines = status(rollout).text(at: now).split(separator: "\n")
        #expect(lines[1] == "  r4 was rolled back: it crashed")
        #expect(lines.last == "  in all: 1,234,567 requests, 1 refused, 2 cut, 0 failed, 3 answered with 5xx")
    }

    private static let waits: [(RolloutStage.Wait, String)] = [
        (.settle(.seconds(100)), "watching r4; goes on in 28s"),
        (.settle(.seconds(10)), "watching r4; goes on in 0ms"),
        (.pause(.seconds(600)), "pausing; goes on in 8m 48s"),
        (.pause(nil), "pausing; `kiln rollout resume hello` goes on"),
        (
            .gate(Gate("go", .approval(by: nil), timeout: .seconds(86_400))),
            "gate go: `kiln rollout approve hello --gate go` goes on; gives up in 23h 58m"
        ),
        (
            .gate(
                Gate(
                    "go", .approval(by: Approvers(["alice", "bob"], count: 2)), timeout: .seconds(86_400))),
            "gate go: 0 of 2; `kiln rollout approve hello --gate go --key NAME` by 2 of alice and bob goes on; "
                + "gives up in 23h 58m"
        ),
        (
            .gate(
                Gate(
                    "page", .http(path: "/x", status: 204, body: nil), timeout: .seconds(80),
                    otherwise: .pause)),
            "gate page: GET /x is to answer 204; goes on in 8s"
        ),
        (.gate(Gate("up", .health(.seconds(80)))), "gate up: r4 is to stay healthy; goes on in 8s"),
    ]

    @Test(arguments: 0..<8) func `what it waits for is said, with the time that is left`(_ index: Int) {
        let (wait, said) = RolloutScreenTests.waits[index]
        var rollout = rollout(wait)
        rollout.phase = .waiting(since: before)
        #expect(rollout.wait(in: key, deadline: nil)?.text(at: now) == said)
    }

    @Test func `instances have a deadline`() {
        let launching = rollout(.none)
        #expect(
            launching.wait(in: key, deadline: .seconds(90))?.text(at: now)
                == "waiting for r4 to become healthy; gives up in 18s")
        #expect(launching.wait(in: key, deadline: nil)?.text(at: now) == "waiting for r4 to become healthy")
    }

    @Test(
        arguments: [
            (Rollout.Outcome.succeeded, nil), (.rolledBack(reason: "x"), 1), (.failed(reason: "x"), 1),
            (.superseded, 2),
        ] as [(Rollout.Outcome, Int32?)])
    func `the exit code tells how it ended`(_ outcome: Rollout.Outcome, _ code: Int32?) {
        var rollout = rollout(.none)
        rollout.phase = .ended(at: now, outcome)
        var thrown: Int32?
        do { try rollout.requireSuccess(of: key) } catch { thrown = Failure.list(error)[0].exitCode }
        #expect(thrown == code)
    }

    @Test(arguments: [
        (0, "0"), (999, "999"), (1000, "1,000"), (12_345, "12,345"), (-1_234_567, "-1,234,567"),
    ])
    func `digits are grouped by three`(_ number: Int, _ text: String) { #expect(number.grouped == text) }

    @Test func `a pause in the events names the command that goes on, once`() {
        let byHand = Note(.paused, "uid:0 paused the rollout")
        #expect(byHand.line(in: key) == "  uid:0 paused the rollout; `kiln rollout resume hello` goes on")
        let bySteps = Note(.paused, "its steps say so: `kiln rollout resume hello` goes on")
        #expect(bySteps.line(in: key) == "  its steps say so: `kiln rollout resume hello` goes on")
        let finding = Note(.analysis, "analysis-1: pass", details: ["b": "2", "a": "1"])
        #expect(finding.line(in: key) == "  analysis-1: pass")
    }

    @Test func `a long list goes on in the next line`() {
        let items = (1...5).map { "item \($0) " + String(repeating: "x", count: 30) }
        let lines = Screen.filled(items, indent: "  ")
        #expect(
            lines.count == 3 && lines.allSatisfy { $0.count <= 101 && $0.hasPrefix("  item") }, "\(lines)")
        #expect(lines[0].hasSuffix("x,") && lines[2].hasSuffix("x"))
        #expect(Screen.filled([], indent: "  ").isEmpty)
    }
}
