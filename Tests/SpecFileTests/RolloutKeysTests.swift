import Model
import Testing

@testable import SpecFile

@Suite struct RolloutKeysTests {
    private func rollout(_ lines: String) throws -> RolloutSettings {
        let text = lines.split(separator: "\n", omittingEmptySubsequences: false).map { "  " + $0 }
        return try SpecFile.parse(
            SoundSpec.with(line: 16, text.joined(separator: "\n")), file: "kiln.yaml"
        ).rollout
    }

    @Test(
        arguments: [
            ("blue-green", RolloutSettings.Strategy.blueGreen, 1),
            ("rolling", .rolling(RollingSettings()), 0),
            ("recreate", .recreate, 0),
        ])
    func `a strategy alone has careful defaults`(
        _ word: String, _ strategy: RolloutSettings.Strategy, _ keepStandby: Int
    ) throws {
        #expect(
            try rollout("strategy: \(word)") == RolloutSettings(strategy: strategy, keepStandby: keepStandby))
    }

    @Test func `a canary without steps begins small and looks three times`() throws {
        let steps: [CanaryStep] = [
            .weight(5, instances: nil), .analyze(.seconds(120)), .weight(25, instances: nil),
            .analyze(.seconds(300)), .weight(50, instances: nil), .analyze(.seconds(300)),
        ]
        #expect(try rollout("strategy: canary") == RolloutSettings(strategy: .canary(steps)))
    }

    @Test func `the rollout that the README shows is sound`() throws {
        let readme = try Repository.text("README.md")
        let begin = try #require(readme.firstRange(of: "```yaml\nrollout:\n")).upperBound
        let end = try #require(readme[begin...].firstRange(of: "```")).lowerBound
        let text = SoundSpec.with(line: 16, String(readme[begin..<end]))
        let settings = try SpecFile.parse(text, file: "README.md").rollout
        #expect(settings.strategy.name == "canary")
        #expect((settings.beforeSwitch + settings.afterSwitch).map(\.name) == ["migrate", "query-1"])
    }

    @Test func `batches are numbers or parts`() throws {
        let settings = try rollout(
            "strategy: rolling\nbatch: 2\nsurge: 0\nmin-healthy: 75%\nmin-ready: 0s\nkeep-standby: 1")
        let rolling = RollingSettings(
            batch: .count(2), surge: .count(0), minHealthy: .percent(75), minReady: .zero)
        #expect(settings.strategy == .rolling(rolling))
        #expect(settings.keepStandby == 1)
    }

    @Test func `every kind of step is read`() throws {
        let settings = try rollout(
            """
            strategy: canary
            steps:
              - match: {header: X-Canary}
              - match: {header: X-Canary, value: yes}
              - {weight: 5}
              - {analyze: 2m}
              - {pause: 10m}
              - {pause: {}}
              - {weight: 50, instances: 50%}
              - {weight: 60, instances: 3}
              - gate: {health: 30s}
              - {gate: {name: ask, approval: {}}}
              - gate: {analysis: 30s}
            """)
        let steps: [CanaryStep] = [
            .match(HeaderMatch(header: "X-Canary")), .match(HeaderMatch(header: "X-Canary", value: "yes")),
            .weight(5, instances: nil), .analyze(.seconds(120)), .pause(.seconds(600)), .pause(nil),
            .weight(50, instances: .percent(50)), .weight(60, instances: .count(3)),
            .gate(Gate("health-1", .health(.seconds(30)), timeout: .seconds(90))),
            .gate(Gate("ask", .approval(by: nil), timeout: .seconds(86_400))),
            // The step that compares has the name analysis-1.
            .gate(Gate("analysis-2", .analysis(.seconds(30)), timeout: .seconds(90))),
        ]
        #expect(settings.strategy == .canary(steps))
    }

    @Test func `every kind of gate is read, and named where it has no name`() throws {
        let settings = try rollout(
            """
            before-switch:
              - command: [/srv/app/migrate, --once]
              - {name: command-2, command: [b], timeout: 10m, otherwise: pause}
              - {command: [c]}
              - http: /ready
              - http: {path: /ready, status: 204, body: "all: ok"}
              - {approval: go-live, timeout: 1h}
              - {approval: {by: [alice]}}
              - {approval: {name: board, by: [alice, bob.b, ci-1], count: 2}, otherwise: pause}
            after-switch:
              - approval: {}
              - {webhook: "https://ci.example/kiln?x=1", otherwise: pass}
              - query: {server: "http://127.0.0.1:9090", query: "sum(up) > 0", min: -0.5, max: 100}
              - {health: 2m}
            """)
        let query = MetricQuery(
            server: "http://127.0.0.1:9090", query: "sum(up) > 0", least: -500, most: 100_000)
        #expect(
            settings.beforeSwitch == [
                Gate("command-1", .command(["/srv/app/migrate", "--once"])),
                Gate("command-2", .command(["b"]), timeout: .seconds(600), otherwise: .pause),
                Gate("command-3", .command(["c"])),
                Gate("http-1", .http(path: "/ready", status: 200, body: nil)),
                Gate("http-2", .http(path: "/ready", status: 204, body: "all: ok")),
                Gate("go-live", .approval(by: nil), timeout: .seconds(3600)),
                Gate("approval-1", .approval(by: Approvers(["alice"])), timeout: .seconds(86_400)),
                Gate(
                    "board", .approval(by: Approvers(["alice", "bob.b", "ci-1"], count: 2)),
                    timeout: .seconds(86_400), otherwise: .pause),
            ])
        #expect(
            settings.afterSwitch == [
                Gate("approval-2", .approval(by: nil), timeout: .seconds(86_400)),
                Gate("webhook-1", .webhook(url: "https://ci.example/kiln?x=1"), otherwise: .pass),
                Gate("query-1", .query(query)),
                Gate("health-1", .health(.seconds(120)), timeout: .seconds(180)),
            ])
    }

    @Test func `fractions are exact`() throws {
        let settings = try rollout(
            """
            strategy: canary
            analysis:
              false-alarms: 0.05%
              min-requests: 500
              error-tolerance: 12.5%
              slowdown-tolerance: 25%
              baseline: false
              queries: [{server: "http://p:9090", query: up, max: 0.001}]
              probes: {path: /search?q=x}
            rollback-window: 0
            """)
        let query = MetricQuery(server: "http://p:9090", query: "up", most: 1)
        #expect(
            settings.analysis
                == AnalysisSettings(
                    falseAlarms: 5, minRequests: 500, errorTolerance: 1250, slowdownTolerance: 25,
                    hasBaseline: false, queries: [query],
                    probes: SyntheticProbes(path: "/search?q=x", rate: 50)))
        #expect(settings.rollbackWindow == 0)
    }

    @Test(
        arguments: [
            ("{requests-per-second: 100}", Autoscale.Target.requestsPerSecond(100)), ("{cpu: 60%}", .cpu(60)),
            ("{concurrency: 10}", .concurrency(10)),
        ])
    func `the number of instances begins at the least that autoscale keeps`(
        _ target: String, _ value: Autoscale.Target
    ) throws {
        let text = SoundSpec.with(line: 9, "  autoscale: {min: 2, max: 10, target: \(target)}")
        let run = try SpecFile.parse(text, file: "kiln.yaml").run
        #expect(run.autoscale == Autoscale(min: 2, max: 10, target: value))
        #expect(run.replicas == 2)
    }

    @Test(
        arguments: [
            ("0", 2, 0), ("1", 2, 100), ("0.1", 2, 10), ("0.05", 2, 5), ("12.5", 2, 1250), ("-0.5", 3, -500),
            ("100", 0, 100),
        ])
    func `a number is read and written without a rounding`(_ text: String, _ decimals: Int, _ units: Int) {
        #expect(FixedPoint.units(text, decimals: decimals) == units)
        #expect(FixedPoint.text(units, decimals: decimals) == text)
    }

    @Test(arguments: ["", "-", ".", "1.", ".5", "01", "1e3", "0x1", "1.234", "1..2", "+1", "1 ", "１"])
    func `what is not a plain number is none`(_ text: String) {
        #expect(FixedPoint.units(text, decimals: 2) == nil)
    }
}
