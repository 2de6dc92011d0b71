import Execution
import Model
import Testing

@Suite struct ServiceMachineTests {
    private static let key = ServiceKey(try! ServiceName("hello"))
    private static let now = Instant(milliseconds: 1_800_000_000_000)

    /// A machine whose first release waits for its gate's command.
    private static func gated() throws -> (ServiceMachine, Observation) {
        let digest = try Digest(hex: String(repeating: "a", count: 64))
        let content = Release.Content(
            image: digest, run: RunSettings(port: 80, health: HealthCheck(.tcp)),
            rollout: RolloutSettings(beforeSwitch: [Gate("migrate", .command(["migrate"]))]), listen: nil)
        var state = ServiceState(key: key)
        let release = Release(
            key: key, number: ReleaseNumber(1), content: content, digest: digest, createdAt: now, by: "test",
            message: "")
        state.releasesMade = 1
        state.instancesNamed = 1
        let id = InstanceID(key, release: release.number, ordinal: 1)
        let gate = RolloutStage(
            candidate: .whole, split: .none, wait: .gate(content.rollout.beforeSwitch[0]))
        state.rollout = Rollout(
            number: 1, kind: .deploy, from: nil, to: release.number, startedAt: now, stages: [gate],
            by: "test")
        var seen = Observation(at: now)
        seen.instances[id] = ObservedInstance(
            id: id, key: key, release: release.number, phase: .running, address: "10.0.0.2", startedAt: now)
        seen.router = ObservedRouter(
            isRunning: true,
            routes: [
                key: ObservedRoute(
                    listener: nil, servers: [id: ObservedServer(state: .warm, health: .healthy, sessions: 0)])
            ])
        return (ServiceMachine(state, releases: [release], lookingSince: now), seen)
    }

    @Test func `a gate's command that has left nothing to see yet is not taken for an instance too many`()
        throws
    {
        var (machine, seen) = try Self.gated()
        var begun: [InstanceID] = []
        for round in 0..<20 {
            let decision = machine.decide(seen, machine.underWay, at: Self.now + .milliseconds(20 * round))
            machine.adopt(decision)
            for case .runTask(let id, _, _) in decision.plan.steps { begun.append(id) }
        }
        #expect(begun.count == 1)
        #expect(machine.state.drainingSince.isEmpty && machine.removing.isEmpty)
    }

    @Test func `a decision that could not be stored is made again`() throws {
        var (machine, seen) = try Self.gated()
        let first = machine.decide(seen, machine.underWay, at: Self.now)
        let second = machine.decide(seen, machine.underWay, at: Self.now)
        #expect(first.isNews && first.plan == second.plan)
    }
}
