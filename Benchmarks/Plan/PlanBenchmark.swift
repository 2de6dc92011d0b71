import Model
import Planning

/// How long one decision takes for a service of so many instances, in the situations that cost most.
/// Prints one JSON object: milliseconds by situation and size.
@main
struct PlanBenchmark {
    static let key = ServiceKey(try! ServiceName("bench"))
    static let now = Instant(milliseconds: 1_700_000_000_000)
    static let rounds = 7

    static func main() {
        var lines: [String] = []
        for size in [1000, 10_000, 100_000] {
            for (name, situation) in situations(size) {
                let milliseconds = median(of: situation)
                lines.append("\"\(name) \(size)\": \(milliseconds)")
            }
        }
        print("{" + lines.joined(separator: ", ") + "}")
    }

    private static func median(of situation: Situation) -> Double {
        let clock = ContinuousClock()
        let times = (0..<rounds).map { _ in
            clock.measure { precondition(Planner.plan(situation).state.key == key) }
        }
        let middle = times.sorted()[rounds / 2].components
        return Double(middle.seconds) * 1000 + Double(middle.attoseconds / 1_000_000_000_000) / 1000
    }

    private static func situations(_ size: Int) -> [(String, Situation)] {
        let settled = serving(size)
        var launching = settled
        let next = release(2, size, .blueGreen)
        launching.releases[next.number] = next
        _ = try! launching.state.deploy(
            next, replacing: settled.releases[ReleaseNumber(1)], at: now, by: "bench")

        var switching = launching
        for ordinal in 1...size { add(&switching, release: 2, ordinal: size + ordinal, weight: 0) }

        var canary = settled
        let trial = release(2, size, .canary([.weight(5, instances: nil), .pause(nil)]))
        canary.releases[trial.number] = trial
        _ = try! canary.state.deploy(
            trial, replacing: settled.releases[ReleaseNumber(1)], at: now, by: "bench")
        for ordinal in 1...max(1, size / 20) { add(&canary, release: 2, ordinal: size + ordinal, weight: 0) }
        return [
            ("settled", settled), ("launching", launching), ("switching", switching), ("canary", canary),
        ]
    }

    private static func serving(_ size: Int) -> Situation {
        var state = ServiceState(key: key)
        let first = release(1, size, .blueGreen)
        state.good = [first.number]
        state.current = first.number
        state.releasesMade = 2
        state.instancesNamed = 2 * size
        var seen = Observation(at: now)
        seen.router.isRunning = true
        seen.router.routes[key] = ObservedRoute(listener: first.content.listen)
        var situation = Situation(state: state, releases: [first.number: first], seen: seen, now: now)
        for ordinal in 1...size { add(&situation, release: 1, ordinal: ordinal, weight: 100) }
        return situation
    }

    private static func add(_ situation: inout Situation, release: Int, ordinal: Int, weight: Int) {
        let id = InstanceID(key, release: ReleaseNumber(release), ordinal: ordinal)
        situation.seen.instances[id] = ObservedInstance(
            id: id, key: key, release: ReleaseNumber(release), phase: .running, address: "10.0.0.1",
            startedAt: now)
        situation.seen.router.routes[key]?.servers[id] = ObservedServer(
            state: weight > 0 ? .serving(weight: weight) : .warm, health: .healthy, sessions: 0)
        situation.state.proven.insert(id)
    }

    private static func release(
        _ number: Int, _ size: Int, _ strategy: RolloutSettings.Strategy
    ) -> Release {
        let digest = try! Digest(hex: String(repeating: "0", count: 64))
        return Release(
            key: key, number: ReleaseNumber(number),
            content: Release.Content(
                image: digest,
                run: RunSettings(replicas: size, port: 80, health: HealthCheck(.http(path: "/"))),
                rollout: RolloutSettings(strategy: strategy, keepStandby: 0),
                listen: Listener(address: SocketAddress(host: "127.0.0.1", port: 8000))),
            digest: digest, createdAt: now, by: "bench", message: "")
    }
}
