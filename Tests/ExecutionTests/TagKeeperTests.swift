import Execution
import Foundation
import Model
import Ports
import Synchronization
import TestKit
import Testing

/// Registries in memory, which say what a name stands for, or nothing.
private final class FakeRegistry: ImagePuller {
    let stands = Mutex<[String: Digest]>([:])
    let asked = Mutex<[String]>([])

    func resolve(_ request: Recipe.ImageRequest, for architecture: Architecture) async throws -> Digest {
        asked.withLock { $0.append(request.name) }
        guard let digest = stands.withLock({ $0[request.name] }) else {
            throw Failure(.registryUnreachable, "nobody answers", at: request.name)
        }
        return digest
    }

    func pull(_ request: Recipe.ImageRequest, _ digest: Digest, for architecture: Architecture) async throws {
        throw Failure(.internalError, "nothing is pulled")
    }
}

/// What is told of tags that moved in their registry, by the real loop.
extension ControllerTests {
    private static let name = "registry.example/app:v1"

    private func digest(_ digit: Character) -> Digest {
        try! Digest(hex: String(repeating: digit, count: 64))
    }

    /// Runs a body beside a controller that serves a release with tags, and asks for them again and again.
    private func watching(
        _ tags: [TaggedImage]?, _ registry: FakeRegistry, _ ledger: MemoryLedger,
        _ body: @Sendable @escaping (Controller) async throws -> Void
    ) async throws {
        try await withController(ledger: ledger, images: registry) { [self] controller in
            _ = try await controller.deploy(
                content("a"), as: key, message: "", tags: tags, by: "test", force: false, queue: false)
            try await until("r1 serves") { try await settled(controller) }
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { await controller.watchTags(every: .seconds(3600)) }
                try await body(controller)
                group.cancelAll()
            }
        }
    }

    private func moved(_ controller: Controller) async throws -> [Drift] {
        try await controller.snapshot(of: key).movedTags
    }

    @Test func `a tag that moved is told once, drifts nothing that runs, and is over when it is back`()
        async throws
    {
        let (registry, ledger) = (FakeRegistry(), MemoryLedger())
        let (here, there) = (digest("1"), digest("2"))
        registry.stands.withLock { $0[Self.name] = here }
        try await watching([TaggedImage(name: Self.name, digest: here)], registry, ledger) {
            [self] controller in
            try await until("it is asked") { registry.asked.withLock { $0.count } > 3 }
            #expect(try await moved(controller) == [])
            registry.stands.withLock { $0[Self.name] = there }
            try await until("it is told") { try await !moved(controller).isEmpty }
            let drift = try #require(try await moved(controller).first)
            #expect(drift.kind == .tag && drift.subject == Self.name)
            #expect(drift.expected == "\(here)" && drift.found == "\(there)")
            let report = try await controller.drift()
            #expect(report.isClean && report.services.first?.tags == [drift])
            let asked = registry.asked.withLock { $0.count }
            try await until("it is asked again") { registry.asked.withLock { $0.count } > asked + 3 }
            #expect(ledger.entries.count { $0.kind == .drift } == 1)
            #expect(ledger.entries.first { $0.kind == .drift }?.details["found"] == "\(there)")
            registry.stands.withLock { $0[Self.name] = here }
            try await until("it is over") { try await moved(controller).isEmpty }
            #expect(await host.instances.count == 2)
            #expect(await host.repairs.isEmpty)
        }
    }

    @Test func `a registry that does not answer changes nothing of what is known`() async throws {
        let (registry, ledger) = (FakeRegistry(), MemoryLedger())
        let tag = TaggedImage(name: Self.name, digest: digest("1"))
        try await watching([tag], registry, ledger) { [self] controller in
            try await until("it is asked") { registry.asked.withLock { $0.count } > 3 }
            #expect(try await moved(controller) == [])
            registry.stands.withLock { $0[Self.name] = digest("2") }
            try await until("it is told") { try await !moved(controller).isEmpty }
            registry.stands.withLock { $0 = [:] }
            let asked = registry.asked.withLock { $0.count }
            try await until("it is asked again") { registry.asked.withLock { $0.count } > asked + 3 }
            #expect(try await moved(controller).count == 1)
            #expect(ledger.entries.count { $0.kind == .drift } == 1)
        }
    }

    @Test func `a release without tags asks nobody`() async throws {
        let (registry, ledger) = (FakeRegistry(), MemoryLedger())
        try await watching(nil, registry, ledger) { controller in
            for _ in 1...1000 { await Task.yield() }
            #expect(registry.asked.withLock { $0 } == [])
        }
    }

    @Test func `of more names than one round has room for, all have their turn`() async throws {
        let (registry, ledger) = (FakeRegistry(), MemoryLedger())
        let tags = (0..<TaggedImage.most).map {
            TaggedImage(name: "registry.example/app:v\($0)", digest: digest("1"))
        }
        registry.stands.withLock { stands in for tag in tags { stands[tag.name] = digest("2") } }
        try await watching(tags, registry, ledger) { [self] controller in
            try await until("all are told") { try await moved(controller).count == tags.count }
        }
    }
}
