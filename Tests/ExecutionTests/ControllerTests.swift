import Execution
import Foundation
import Logging
import Model
import Ports
import Storage
import TestKit
import Testing
import Trust

/// The real control loop and the real store, over a host in memory.
@Suite final class ControllerTests: Sendable {
    let folder = NSTemporaryDirectory() + "kiln-execution-\(UUID().uuidString)"
    let clock = JumpingClock()
    let host: FakeHost
    let key = ServiceKey(try! ServiceName("hello"))

    /// Looks at the world before a test gives up; each lets the loop run a little.
    static let patience = 1_000_000

    init() throws {
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        host = FakeHost(clock: clock)
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    func content(_ image: Character, replicas: Int = 2) -> Release.Content {
        Release.Content(
            image: try! Digest(hex: String(repeating: image, count: 64)),
            run: RunSettings(replicas: replicas, port: 80, health: HealthCheck(.http(path: "/"))),
            rollout: RolloutSettings(drain: .seconds(1), watch: .seconds(1), deadline: .seconds(10)),
            listen: Listener(address: SocketAddress(host: "127.0.0.1", port: 8000)))
    }

    func deploy(
        _ image: Character, by strategy: RolloutSettings.Strategy = .blueGreen, _ controller: Controller,
        queue: Bool = false
    ) async throws -> DeployOutcome {
        var content = content(image)
        content.rollout.strategy = strategy
        if strategy == .recreate { content.rollout.keepStandby = 0 }
        if case .canary = strategy {
            content.rollout.beforeSwitch = [Gate("migrate", .command(["migrate", String(image)]))]
            content.rollout.afterSwitch = [Gate("tell", .webhook(url: "http://localhost/"))]
        }
        return try await controller.deploy(
            content, as: key, message: "", by: "test", force: false, queue: queue)
    }

    func withController<Result: Sendable>(
        keys: @escaping @Sendable () throws -> KeyRing = { KeyRing() },
        admission: any AdmissionController = OpenAdmission(), ledger: any Ledger = MemoryLedger(),
        images: (any ImagePuller)? = nil, _ body: @Sendable @escaping (Controller) async throws -> Result
    ) async throws -> Result {
        let store = try Database(folder + "/kiln.db")
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        var world = World(
            platform: host, router: host, gates: host, admission: admission,
            ledger: ledger, store: store, clock: clock, logger: logger, keys: keys)
        world.images = images
        let controller = Controller(world)
        try await controller.recover()
        return try await withThrowingTaskGroup(of: Result?.self) { group in
            group.addTask {
                await controller.run()
                return nil
            }
            group.addTask { try await body(controller) }
            while let result = try await group.next() {
                if let result {
                    group.cancelAll()
                    return result
                }
            }
            throw CancellationError()
        }
    }

    func until(_ what: String, _ isTrue: () async throws -> Bool) async throws {
        for _ in 1...Self.patience {
            if try await isTrue() { return }
            await Task.yield()
        }
        Issue.record("never: \(what)")
    }

    func settled(_ controller: Controller) async throws -> Bool {
        let state = try await controller.snapshot(of: key).state
        return state.rollout == nil && state.lastRollout != nil
    }

    func releases(_ ids: [InstanceID]) -> Set<String> {
        Set(ids.map { $0.text.split(separator: "-")[1].description })
    }

    @Test func `a deploy ends with all instances serving, and a second one takes their place`() async throws {
        try await withController { [self] controller in
            _ = try await deploy("a", controller)
            try await until("r1 serves") { try await settled(controller) }
            #expect(await host.serving(key).count == 2)
            _ = try await deploy("b", controller)
            try await until("r2 serves") {
                try await controller.snapshot(of: key).state.current?.value == 2
            }
            #expect(await releases(host.serving(key)) == ["r2"])
        }
    }

    @Test func `what serves already is not rolled out again`() async throws {
        try await withController { [self] controller in
            _ = try await deploy("a", controller)
            try await until("r1 serves") { try await settled(controller) }
            let second = try await deploy("a", controller)
            guard case .unchanged = second else {
                Issue.record("it was rolled out again: \(second)")
                return
            }
            #expect(await host.everLaunched.count == 2)
        }
    }

    @Test(arguments: ["crashes", "never answers"])
    func `a release that fails leaves the old one serving, and its last words are kept`(how: String)
        async throws
    {
        try await withController { [self] controller in
            _ = try await deploy("a", controller)
            try await until("r1 serves") { try await settled(controller) }
            let bad = ReleaseNumber(2)
            if how == "crashes" { await host.breakRelease(bad) } else { await host.muteRelease(bad) }
            _ = try await deploy("b", controller)
            try await until("r2 is rolled back") {
                try await controller.snapshot(of: key).state.lastRollout?.to == bad
            }
            guard case .rolledBack = try await controller.snapshot(of: key).state.lastRollout?.outcome else {
                Issue.record("not rolled back")
                return
            }
            #expect(await releases(host.serving(key)) == ["r1"])
            try await until("the failed instances are gone") {
                await host.instances.allSatisfy { $0.release == ReleaseNumber(1) }
            }
            let events = try await controller.events(of: key, after: 0, limit: 1000)
            if how == "crashes" {
                #expect(
                    events.contains { $0.note.details["log"]?.contains("last words of hello-r2") == true })
            }
        }
    }

    @Test func `a killed instance is replaced under a new name`() async throws {
        try await withController { [self] controller in
            _ = try await deploy("a", controller)
            try await until("r1 serves") { try await settled(controller) }
            let victim = await host.serving(key)[0]
            await host.killInstance(victim)
            try await until("a new one serves") {
                let serving = await host.serving(key)
                return serving.count == 2 && !serving.contains(victim)
            }
            let launched = await host.everLaunched
            #expect(Set(launched).count == launched.count)
        }
    }

    @Test func `a router that died is given its routes again`() async throws {
        try await withController { [self] controller in
            _ = try await deploy("a", controller)
            try await until("r1 serves") { try await settled(controller) }
            await host.killRouter()
            try await until("traffic is back") { await host.serving(key).count == 2 }
        }
    }

    @Test func `retiring leaves nothing, and the numbers go on afterwards`() async throws {
        try await withController { [self] controller in
            _ = try await deploy("a", controller)
            try await until("r1 serves") { try await settled(controller) }
            try await controller.retire(key, by: "uid:0", saying: "moved")
            try await until("nothing is left") { try await controller.snapshots().isEmpty }
            let said = try await controller.events(of: key, after: 0, limit: 1000).map(\.note).filter {
                $0.details["message"] == "moved"
            }
            #expect(said.map(\.kind) == [.retiring], "what follows from it is nobody's wish")
            #expect(await host.instances.isEmpty)
            guard case .began(let rollout) = try await deploy("a", controller) else {
                Issue.record("nothing began")
                return
            }
            #expect(rollout.to == ReleaseNumber(2))
        }
    }

    static let strategies: [RolloutSettings.Strategy] = [
        .blueGreen, .rolling(RollingSettings(batch: .count(1), surge: .count(1), minReady: .zero)),
        .canary([.weight(10, instances: nil), .pause(.milliseconds(50)), .weight(50, instances: nil)]),
        .recreate,
    ]

    /// Kills the daemon before its n-th effect, for every n there is, and starts another on what is left.
    @Test(arguments: strategies.indices)
    func `a daemon killed at any effect is taken up by the next: one release whole, no orphan`(
        strategy: Int
    ) async throws {
        var crashPoints = 0
        for effects in 1...100 {
            let run = try ControllerTests()
            if try await run.surviveCrash(afterEffects: effects, Self.strategies[strategy]) == false { break }
            crashPoints += 1
        }
        print("crash points walked: \(crashPoints)")
        #expect((8..<100).contains(crashPoints))
    }

    /// Whether the daemon died at all: false once there are fewer effects than asked for.
    func surviveCrash(afterEffects count: Int, _ strategy: RolloutSettings.Strategy) async throws -> Bool {
        await host.killDaemon(afterEffects: count)
        try await withController { [self] controller in
            _ = try? await deploy("a", by: strategy, controller)
            try await until("r1 serves or the daemon is dead") {
                if await host.isDaemonDead { return true }
                return (try? await settled(controller)) == true
            }
            guard await !host.isDaemonDead else { return }
            _ = try? await deploy("b", by: strategy, controller)
            try await until("r2 serves or the daemon is dead") {
                if await host.isDaemonDead { return true }
                return (try? await controller.snapshot(of: key).state.lastRollout?.to.value) == 2
            }
        }
        let died = await host.isDaemonDead
        await host.reviveDaemon()
        try await withController { [self] controller in
            try await until("it is settled after \(count) effects") {
                let state = try await controller.snapshot(of: key).state
                guard state.rollout == nil, let current = state.current else { return false }
                let wanted = 2 * (1 + state.standbys.count)
                let serving = await host.serving(key)
                return await host.instances.count == wanted && serving.count == 2
                    && releases(serving) == [current.description]
            }
        }
        let launched = await host.everLaunched
        #expect(Set(launched).count == launched.count, "a name was used twice after \(count) effects")
        let tasks = await host.tasks
        #expect(Set(tasks).count == tasks.count, "a gate's command ran twice after \(count) effects")
        let questions = await Set(host.questions)
        #expect(questions.isSubset(of: ["hello/1/tell", "hello/2/tell"]))
        return died
    }

    @Test func `a deploy that is queued begins when the one under way has ended`() async throws {
        try await withController { [self] controller in
            _ = try await deploy("a", controller)
            guard case .queued(let queued, let behind) = try await deploy("b", controller, queue: true) else {
                Issue.record("it was not queued")
                return
            }
            #expect(queued.to == ReleaseNumber(2) && behind == 1)
            try await until("r2 serves") {
                try await controller.snapshot(of: key).state.current?.value == 2
            }
            let good = try await controller.snapshot(of: key).state.good
            #expect(good.map(\.value) == [1, 2])
        }
    }

    @Test func `what could never end is refused, and nothing is kept of it`() async throws {
        try await withController { [self] controller in
            let steps: [CanaryStep] = [.weight(50, instances: nil), .weight(5, instances: nil)]
            await #expect(throws: Failures.self) { try await deploy("a", by: .canary(steps), controller) }
            let snapshots = try await controller.snapshots()
            #expect(snapshots.isEmpty)
        }
    }

    @Test func `people pause, go on with, promote, approve and abort a rollout`() async throws {
        try await withController { [self] controller in
            _ = try await deploy("a", controller)
            try await until("r1 serves") { try await settled(controller) }
            let steps: [CanaryStep] = [
                .weight(50, instances: nil), .pause(nil),
                .gate(Gate("boss", .approval(by: nil), timeout: .seconds(1_000_000))),
                .pause(nil),
            ]
            _ = try await deploy("b", by: .canary(steps), controller)
            try await until("it waits") {
                try await controller.snapshot(of: key).state.rollout?.pause != nil
            }
            _ = try await controller.resume(key, by: "uid:1", saying: "go on")
            try await until("it asks") {
                if case .open = try await controller.snapshot(of: key).state.rollout?.gates["boss"] {
                    true
                } else {
                    false
                }
            }
            _ = try await controller.approve(key, gate: "boss", by: "uid:1", saying: "seen")
            try await until("it waits again") {
                try await controller.snapshot(of: key).state.rollout?.pause != nil
            }
            _ = try await controller.promote(key, by: "uid:1")
            try await until("r2 serves") { try await settled(controller) }
            #expect(await releases(host.serving(key)) == ["r2"])
            await #expect(throws: Failure.self) { try await controller.abort(key, by: "uid:1") }
            let notes = try await controller.events(of: key, after: 0, limit: 1000).map(\.note)
            func reason(_ kind: Note.Kind) -> String? { notes.last { $0.kind == kind }?.details["message"] }
            #expect(reason(.resumed) == "go on" && reason(.approved) == "seen" && reason(.promoted) == nil)
        }
    }
}
