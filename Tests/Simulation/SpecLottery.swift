import Model
import Planning
import TestKit

/// Draws a release's settings by the seed of its deployment: any kind, with short waits.
struct SpecLottery {
    private let deployment: Deployment
    private var random: SeededGenerator
    private var gates = 0

    /// Settings that the lint has nothing against, for a service of `size` instances.
    static func content(_ deployment: Deployment, size: Int) -> Release.Content {
        for attempt in 0..<SpecLottery.attempts {
            var lottery = SpecLottery(deployment, attempt: attempt)
            let content = lottery.content()
            if RolloutLint.problems(content, size: size).isEmpty { return content }
        }
        var lottery = SpecLottery(deployment, attempt: 0)
        var content = lottery.content()
        content.rollout.strategy = .blueGreen
        return content
    }

    private static let attempts = 5

    private init(_ deployment: Deployment, attempt: Int) {
        self.deployment = deployment
        random = SeededGenerator(seed: deployment.spec &+ UInt64(attempt) &* 0x51_7c_c1_b7)
    }

    private mutating func pick(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &random) }
    private mutating func span(_ range: ClosedRange<Int>) -> Span { .milliseconds(pick(range)) }
    private mutating func chance(_ percent: Int) -> Bool { random.happens(percent: percent) }

    private mutating func content() -> Release.Content {
        var run = RunSettings(
            replicas: deployment.replicas, port: pick(8080...8081), health: HealthCheck(health()))
        run.stopGrace = span(0...1000)
        if !deployment.isPlain, chance(6) {
            let least = max(1, deployment.replicas - 1)
            run.autoscale = Autoscale(
                min: least, max: deployment.replicas + 3, target: .requestsPerSecond(pick(20...80)))
        }
        // All are launched eight at a time.
        let deadline = Span.milliseconds(4000 + 60 * deployment.replicas)
        var rollout = RolloutSettings(
            drain: span(0...1500), watch: isUnsteady ? .seconds(5) : span(0...1500), deadline: deadline,
            keepStandby: deployment.shape == .recreate ? 0 : pick(0...2), rollbackWindow: pick(0...10))
        rollout.strategy = strategy()
        rollout.analysis = AnalysisSettings(
            minRequests: pick(5...40), hasBaseline: chance(50),
            probes: chance(30) ? SyntheticProbes(path: "/", rate: pick(1...50)) : nil)
        rollout.beforeSwitch = someGates()
        rollout.afterSwitch = someGates()
        return Release.Content(
            image: Fixtures.digest(Int(deployment.spec % 1_000_000)), run: run, rollout: rollout,
            listen: door())
    }

    /// Its fault shows only while it is watched.
    private var isUnsteady: Bool { deployment.isPlain && [.diesSoon, .flaps].contains(deployment.temper) }

    private mutating func health() -> HealthCheck.Kind {
        chance(15) ? .command(["check"]) : chance(50) ? .tcp : .http(path: "/")
    }

    private mutating func door() -> Listener? {
        !deployment.isPlain && chance(4)
            ? nil : Listener(address: SocketAddress(host: "127.0.0.1", port: chance(8) ? 8001 : 8000))
    }

    private mutating func strategy() -> RolloutSettings.Strategy {
        switch deployment.shape {
        case .blueGreen: .blueGreen
        case .recreate: .recreate
        case .rolling: .rolling(rolling())
        case .canary: .canary(steps())
        }
    }

    private mutating func rolling() -> RollingSettings {
        let batch =
            chance(50) ? Amount.count(pick(1...max(1, deployment.replicas / 2 + 1))) : .percent(pick(1...100))
        let surge = chance(30) ? Amount.count(0) : chance(50) ? .count(pick(1...3)) : .percent(pick(10...100))
        let healthy = chance(40) ? Amount.percent(100) : .percent(pick(0...99))
        return RollingSettings(batch: batch, surge: surge, minHealthy: healthy, minReady: span(0...800))
    }

    private mutating func steps() -> [CanaryStep] {
        var steps: [CanaryStep] = []
        var weight = 0
        if chance(15) {
            steps.append(.match(HeaderMatch(header: "x-canary", value: chance(50) ? "yes" : nil)))
        }
        for _ in 0..<pick(1...3) {
            weight = min(100, weight + [0, 5, 10, 25, 50, 100][pick(0...5)])
            // Enough of them for their share: nobody means one instance to do the work of ten.
            let fewest = max(1, Amount.percent(weight / 2).of(deployment.replicas))
            let instances: Amount? =
                chance(60) ? nil : .count(pick(fewest...max(fewest, deployment.replicas)))
            steps.append(.weight(weight, instances: instances))
            if (1...99).contains(weight), chance(50) {
                steps.append(.analyze(deployment.isPlain ? span(8000...15_000) : span(1500...5000)))
            }
            if chance(25) { steps.append(.pause(deployment.isPlain || chance(70) ? span(100...2000) : nil)) }
            if chance(20) { steps.append(.gate(gate())) }
        }
        return steps
    }

    private mutating func someGates() -> [Gate] {
        guard chance(25) else { return [] }
        return (0..<pick(1...2)).map { _ in gate() }
    }

    private mutating func gate() -> Gate {
        gates += 1
        let fate: GateFate = deployment.isPlain || chance(70) ? .passes : chance(50) ? .fails : .silent
        let timeout = deployment.isPlain ? Span.seconds(60) : span(1000...6000)
        let otherwise = Gate.Otherwise.allCases[pick(0...2)]
        let bounds = MetricQuery(server: "http://127.0.0.1:9090", query: "up", least: 1)
        let kind: Gate.Kind =
            switch pick(0...(deployment.isPlain ? 4 : 5)) {
            case 0: .health(span(100...900))
            case 1: .http(path: "/ready", status: 200, body: nil)
            case 2: .command(["gate-\(gates)-\(fate.rawValue)"])
            case 3: .webhook(url: "http://127.0.0.1/hook")
            case 4: .query(bounds)
            default: .approval(by: nil)
            }
        return Gate("gate-\(gates)-\(fate.rawValue)", kind, timeout: timeout, otherwise: otherwise)
    }
}

/// What comes of a gate's question; its name says so.
enum GateFate: String, CaseIterable {
    case passes, fails, silent

    static func of(_ name: String) -> GateFate {
        allCases.first { name.hasSuffix($0.rawValue) } ?? .passes
    }
}
