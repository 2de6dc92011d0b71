import Execution
import Foundation
import HostPlatform
import Model
import Ports
import Synchronization

/// Counts the effects of a daemon that runs inside the test, and lets it die before one of them: from then on nothing
/// that it does reaches the host or the disk.
final class Mortality: Sendable {
    struct Killed: Error {}

    private let left: Mutex<Int>

    init(effects: Int = .max) { left = Mutex(effects) }

    var isDead: Bool { left.withLock { $0 <= 0 } }

    func look() throws {
        if isDead { throw Killed() }
    }

    func act() throws {
        try left.withLock { left in
            guard left > 0 else { throw Killed() }
            if left < .max { left -= 1 }
            // The effect that was one too many does not happen.
            if left == 0 { throw Killed() }
        }
    }
}

struct MortalPlatform: Platform {
    let base: HostPlatform
    let life: Mortality

    func observe(_ key: ServiceKey?) async throws -> [ObservedInstance] {
        try life.look()
        return try await base.observe(key)
    }
    func prepare(_ image: Digest) async throws {
        try life.look()
        try await base.prepare(image)
    }
    func launch(_ order: LaunchOrder) async throws {
        try life.act()
        try await base.launch(order)
        try life.look()
    }
    func remove(_ id: InstanceID, grace: Span) async throws {
        try life.act()
        try await base.remove(id, grace: grace)
        try life.look()
    }
    func forgetImages(except images: Set<Digest>) async throws {
        try life.look()
        try await base.forgetImages(except: images)
    }
    func log(of id: InstanceID, lines: Int) async throws -> [LogLine] {
        try await base.log(of: id, lines: lines)
    }
    func execute(_ command: [String], in id: InstanceID, timeout: Span) async throws -> Int {
        try life.look()
        return try await base.execute(command, in: id, timeout: timeout)
    }
    func hostDrifts() async throws -> [Drift] {
        try life.look()
        return try await base.hostDrifts()
    }
    func setRight(_ drift: Drift) async throws -> KeptEvidence? {
        try life.act()
        let kept = try await base.setRight(drift)
        try life.look()
        return kept
    }
    func restoreLimits(of id: InstanceID) async throws {
        try life.act()
        try await base.restoreLimits(of: id)
        try life.look()
    }
    func keepEvidence(of id: InstanceID, about drifts: [Drift]) async throws -> KeptEvidence {
        try life.act()
        let kept = try await base.keepEvidence(of: id, about: drifts)
        try life.look()
        return kept
    }
    func confinement(of id: InstanceID) async throws -> Confinement { try await base.confinement(of: id) }
    var changes: AsyncStream<Void> { base.changes }
}

struct MortalRouter: TrafficRouter {
    let base: HAProxyRouter
    let life: Mortality

    func observe() async throws -> ObservedRouter {
        try life.look()
        return try await base.observe()
    }
    func apply(_ route: Route) async throws {
        try life.act()
        try await base.apply(route)
        try life.look()
    }
    func setRight() async throws {
        try life.act()
        try await base.setRight()
    }
    func remove(_ key: ServiceKey) async throws {
        try life.act()
        try await base.remove(key)
        try life.look()
    }
}

struct MortalStore: StateStore {
    let base: any StateStore
    let life: Mortality

    func services() async throws -> [ServiceState] { try await base.services() }
    func service(_ key: ServiceKey) async throws -> ServiceState? { try await base.service(key) }
    func releases(of key: ServiceKey) async throws -> [Release] { try await base.releases(of: key) }
    func commit(
        _ state: ServiceState, adding release: Release?, intents: [Step], notes: [Note], at now: Instant
    ) async throws -> [Int] {
        try life.act()
        let numbers = try await base.commit(state, adding: release, intents: intents, notes: notes, at: now)
        try life.look()
        return numbers
    }
    func finish(_ outcomes: [StepOutcome], for key: ServiceKey, at now: Instant) async throws {
        try life.act()
        try await base.finish(outcomes, for: key, at: now)
    }
    func events(of key: ServiceKey, after number: Int, limit: Int) async throws -> [Event] {
        try await base.events(of: key, after: number, limit: limit)
    }
    func unfinishedSteps() async throws -> [UnfinishedStep] { try await base.unfinishedSteps() }
}

/// Gates that say yes.
struct AgreeableGates: GateKeeper {
    func ask(_ check: GateCheck) async -> GateAnswer { .passed(detail: "yes") }
}
