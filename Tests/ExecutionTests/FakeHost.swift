import Execution
import Foundation
import Model
import Ports

/// A host in memory: instances run, and a router probes and serves them. It can be told to fail, and to be killed
/// after so many effects: from then on nothing more happens and every call throws.
actor FakeHost: Platform, TrafficRouter, GateKeeper {
    struct Killed: Error {}

    private var running: [InstanceID: ObservedInstance] = [:]
    private var routes: [ServiceKey: Route] = [:]
    private var isRouterRunning = false
    private(set) var everLaunched: [InstanceID] = []
    /// Commands of gates that were run, and questions that were asked.
    private(set) var tasks: [[String]] = []
    private(set) var questions: [String] = []
    /// Releases whose instances end at once.
    var broken: Set<ReleaseNumber> = []
    /// Releases whose instances never pass a probe.
    var mute: Set<ReleaseNumber> = []
    private var effectsLeft = Int.max
    private(set) var effects = 0
    private let clock: JumpingClock
    nonisolated let changes: AsyncStream<Void>

    init(clock: JumpingClock) {
        self.clock = clock
        changes = AsyncStream { $0.finish() }
    }

    func killDaemon(afterEffects count: Int) { effectsLeft = count }
    func reviveDaemon() { effectsLeft = .max }
    var isDaemonDead: Bool { effectsLeft <= 0 }
    func breakRelease(_ release: ReleaseNumber) { broken.insert(release) }
    func muteRelease(_ release: ReleaseNumber) { mute.insert(release) }
    func killInstance(_ id: InstanceID) { running[id]?.phase = .exited(status: 137) }
    func killRouter() { isRouterRunning = false }

    private func act() throws {
        guard effectsLeft > 0 else { throw Killed() }
        effectsLeft -= 1
        effects += 1
    }

    var instances: [ObservedInstance] { running.values.sorted { $0.id < $1.id } }

    func serving(_ key: ServiceKey) -> [InstanceID] {
        guard isRouterRunning else { return [] }
        return routes[key]?.servers.filter(\.state.isServing).map(\.id) ?? []
    }

    // MARK: Platform

    func observe(_ key: ServiceKey?) async throws -> [ObservedInstance] {
        guard effectsLeft > 0 else { throw Killed() }
        return instances.filter { key == nil || $0.key == key }
    }

    func prepare(_ image: Digest) async throws {}

    func launch(_ order: LaunchOrder) async throws {
        try act()
        let isBroken = broken.contains(order.release.number)
        everLaunched.append(order.id)
        running[order.id] = ObservedInstance(
            id: order.id, key: order.release.key, release: order.release.number,
            phase: isBroken ? .exited(status: 1) : order.task != nil ? .exited(status: 0) : .running,
            address: "10.0.0.1", startedAt: clock.now, isTask: order.task != nil)
        if let task = order.task { tasks.append(task) }
    }

    func remove(_ id: InstanceID, grace: Span) async throws {
        try act()
        running[id] = nil
    }

    func forgetImages(except images: Set<Digest>) async throws { keptImages = images }
    func log(of id: InstanceID, lines: Int) async throws -> [LogLine] {
        [LogLine(at: clock.now, stream: .err, text: "last words of \(id)")]
    }
    func execute(_ command: [String], in id: InstanceID, timeout: Span) async throws -> Int { 0 }

    // MARK: Drift

    private var drifts: [Drift] = []
    private(set) var isLastingDrift = false
    /// What was kept of which instance, in this order with the removals.
    private(set) var evidence: [InstanceID] = []
    private(set) var repairs: [String] = []
    /// What is not looked at, because looking fails.
    private var unseen: Set<String> = []
    private var routerDrifts: [Drift] = []
    /// Images that may be let go of, as they were said last.
    private(set) var keptImages: Set<Digest> = []

    func drift(_ id: InstanceID, _ drift: Drift) { running[id]?.drifts.append(drift) }
    func driftHost(_ drift: Drift, isLasting: Bool) { (drifts, isLastingDrift) = ([drift], isLasting) }

    func blind(_ what: String...) { unseen = Set(what) }
    func driftRouter(_ drift: Drift) { routerDrifts = [drift] }

    func hostDrifts() async throws -> [Drift] {
        if unseen.contains("host") { throw Failure(.internalError, "too many routes") }
        return drifts
    }
    func setRight(_ drift: Drift) async throws -> KeptEvidence? {
        repairs.append(drift.subject)
        if !isLastingDrift { drifts.removeAll { $0.subject == drift.subject } }
        guard drift.kind == .stranger else { return nil }
        return KeptEvidence(
            digest: try Digest(hex: String(repeating: "f", count: 64)), path: "/evidence/\(drift.subject)")
    }
    func restoreLimits(of id: InstanceID) async throws {
        repairs.append("limits of \(id)")
        running[id]?.drifts.removeAll { $0.kind == .limits }
    }
    func keepEvidence(of id: InstanceID, about drifts: [Drift]) async throws -> KeptEvidence {
        guard running[id] != nil else { throw Failure(.notFound, "\(id) is gone") }
        evidence.append(id)
        return KeptEvidence(
            digest: try Digest(hex: String(repeating: "e", count: 64)), path: "/evidence/\(id)")
    }
    func confinement(of id: InstanceID) async throws -> Confinement {
        throw Failure(.notFound, "nothing confines an instance in memory", at: id.text)
    }
    func setRight() async throws {
        repairs.append("router")
        routerDrifts = []
    }

    // MARK: Gates

    func ask(_ check: GateCheck) async -> GateAnswer {
        questions.append(check.idempotencyKey)
        return questions.count == 1 ? .unanswered(reason: "busy") : .passed(detail: "200")
    }

    // MARK: Router

    func observe() async throws -> ObservedRouter {
        guard effectsLeft > 0 else { throw Killed() }
        guard isRouterRunning else {
            var none = ObservedRouter()
            none.drifts = routerDrifts
            return none
        }
        var seen = ObservedRouter(isRunning: true)
        seen.drifts = routerDrifts
        for (key, route) in routes {
            var observed = ObservedRoute(listener: route.listener, match: route.match)
            for server in route.servers {
                let instance = running[server.id]
                let passes = instance?.phase == .running && !mute.contains(instance!.release)
                observed.servers[server.id] = ObservedServer(
                    state: server.state, health: passes ? .healthy : .failing, sessions: 0)
            }
            seen.routes[key] = observed
        }
        return seen
    }

    func apply(_ route: Route) async throws {
        try act()
        isRouterRunning = true
        routes[route.key] = route
    }

    func remove(_ key: ServiceKey) async throws {
        try act()
        routes[key] = nil
    }
}

/// Time that passes only when somebody waits for it.
final class JumpingClock: Ports.Clock {
    private let milliseconds = Counter(1_800_000_000_000)

    var now: Instant { Instant(milliseconds: milliseconds.value) }

    func sleep(for span: Span) async throws {
        try Task.checkCancellation()
        milliseconds.add(span.milliseconds)
        await Task.yield()
    }
}

final class Counter: @unchecked Sendable {
    private let lock = NSLock()
    private var stored: Int

    init(_ value: Int) { stored = value }
    var value: Int { lock.withLock { stored } }
    func add(_ count: Int) { lock.withLock { stored += count } }
}
