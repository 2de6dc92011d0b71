import Execution
import Foundation
import Logging
import Model
import Ports
import Storage
import Testing

/// The real control loop and the real store, over a host in memory.
@Suite final class ControllerTests: Sendable {
    let folder = NSTemporaryDirectory() + "kiln-execution-\(UUID().uuidString)"
    let clock = JumpingClock()
    let host: FakeHost
    let key = ServiceKey(try! ServiceName("hello"))

    /// Looks at the world before a test gives up; each lets the loop run a little.
    static let patience = 500_000

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

    func withController<Result: Sendable>(
        _ body: @Sendable @escaping (Controller) async throws -> Result
    ) async throws -> Result {
        let store = try Database(folder + "/kiln.db")
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        let controller = Controller(
            World(platform: host, router: host, store: store, clock: clock, logger: logger))
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
            _ = try await controller.deploy(content("a"), as: key, message: "", by: "test", force: false)
            try await until("r1 serves") { try await settled(controller) }
            #expect(await host.serving(key).count == 2)
            _ = try await controller.deploy(content("b"), as: key, message: "", by: "test", force: false)
            try await until("r2 serves") {
                try await controller.snapshot(of: key).state.current?.value == 2
            }
            #expect(await releases(host.serving(key)) == ["r2"])
        }
    }

    @Test func `what serves already is not rolled out again`() async throws {
        try await withController { [self] controller in
            _ = try await controller.deploy(content("a"), as: key, message: "", by: "test", force: false)
            try await until("r1 serves") { try await settled(controller) }
            let second = try await controller.deploy(
                content("a"), as: key, message: "", by: "test", force: false)
            #expect(second == nil)
            #expect(await host.everLaunched.count == 2)
        }
    }

    @Test(arguments: ["crashes", "never answers"])
    func `a release that fails leaves the old one serving, and its last words are kept`(how: String)
        async throws
    {
        try await withController { [self] controller in
            _ = try await controller.deploy(content("a"), as: key, message: "", by: "test", force: false)
            try await until("r1 serves") { try await settled(controller) }
            let bad = ReleaseNumber(2)
            if how == "crashes" { await host.breakRelease(bad) } else { await host.muteRelease(bad) }
            _ = try await controller.deploy(content("b"), as: key, message: "", by: "test", force: false)
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
            _ = try await controller.deploy(content("a"), as: key, message: "", by: "test", force: false)
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
            _ = try await controller.deploy(content("a"), as: key, message: "", by: "test", force: false)
            try await until("r1 serves") { try await settled(controller) }
            await host.killRouter()
            try await until("traffic is back") { await host.serving(key).count == 2 }
        }
    }

    @Test func `retiring leaves nothing, and the numbers go on afterwards`() async throws {
        try await withController { [self] controller in
            _ = try await controller.deploy(content("a"), as: key, message: "", by: "test", force: false)
            try await until("r1 serves") { try await settled(controller) }
            try await controller.retire(key)
            try await until("nothing is left") { try await controller.snapshots().isEmpty }
            #expect(await host.instances.isEmpty)
            let rollout = try await controller.deploy(
                content("a"), as: key, message: "", by: "test", force: false)
            #expect(rollout?.to == ReleaseNumber(2))
        }
    }

    /// Kills the daemon before its n-th effect, for every n there is, and starts another on what is left.
    @Test func `a daemon killed at any effect is taken up by the next: one release whole, no orphan`()
        async throws
    {
        var crashPoints = 0
        for effects in 1...100 {
            let run = try ControllerTests()
            if try await run.surviveCrash(afterEffects: effects) == false { break }
            crashPoints += 1
        }
        print("crash points walked: \(crashPoints)")
        #expect(crashPoints >= 8)
    }

    /// Whether the daemon died at all: false once there are fewer effects than asked for.
    func surviveCrash(afterEffects count: Int) async throws -> Bool {
        await host.killDaemon(afterEffects: count)
        try await withController { [self] controller in
            _ = try? await controller.deploy(content("a"), as: key, message: "", by: "test", force: false)
            try await until("r1 serves or the daemon is dead") {
                if await host.isDaemonDead { return true }
                return (try? await settled(controller)) == true
            }
            guard await !host.isDaemonDead else { return }
            _ = try? await controller.deploy(content("b"), as: key, message: "", by: "test", force: false)
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
        return died
    }
}
