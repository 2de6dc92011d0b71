import Execution
import Foundation
import Model
import Synchronization
import Testing
import Trust

/// Signed approvals through the real loop and the real store: keys are read at each use.
extension ControllerTests {
    /// A host's keys, which change while the daemon runs.
    final class Keys: Sendable {
        private let ring = Mutex(KeyRing())
        let alice = try! SigningKey(generating: .deploy)
        let bob = try! SigningKey(generating: .deploy)
        let build = try! SigningKey(generating: .build)

        init() {
            for (name, key) in [("alice", alice), ("bob", bob), ("ci", build)] {
                change { try! $0.add(TrustedKey(name: name, publicKey: key.publicKey, role: key.role)) }
            }
        }

        func change(_ body: (inout KeyRing) -> Void) { ring.withLock { body(&$0) } }
        var now: KeyRing { ring.withLock { $0 } }
    }

    private func waiting(_ controller: Controller) async throws -> ApprovalRequest {
        var content = content("b")
        content.rollout.beforeSwitch = [
            Gate("go-live", .approval(by: Approvers(["alice", "bob"], count: 2)), timeout: .seconds(86_400))
        ]
        _ = try await deploy("a", controller)
        try await until("r1 serves") { try await settled(controller) }
        _ = try await controller.deploy(
            content, as: key, message: "", by: "test", force: false, queue: false)
        try await until("it asks") { try await controller.snapshot(of: key).approvalRequest() != nil }
        return try #require(try await controller.snapshot(of: key).approvalRequest())
    }

    private func signed(_ request: ApprovalRequest, _ key: SigningKey) throws -> [UInt8] {
        try Approval(to: request, with: key.publicKey, at: clock.now, message: "fine").signed(with: key).json
            .bytes
    }

    private func code(_ body: () async throws -> Void) async -> Failure.Code? {
        do { try await body() } catch { return Failure.list(error)[0].code }
        return nil
    }

    @Test func `a gate opens by the signatures of those whom it names, and the history keeps them`()
        async throws
    {
        let keys = Keys()
        try await withController(keys: { keys.now }) { [self] controller in
            let request = try await waiting(controller)
            let (alice, bob) = (try signed(request, keys.alice), try signed(request, keys.bob))
            #expect(
                await code { _ = try await controller.approve(key, gate: nil, by: "uid:0") } == .notPermitted)
            #expect(
                await code {
                    _ = try await controller.approve(key, gate: nil, envelope: Array("{}".utf8), by: "uid:0")
                } == .malformedEvidence)
            let rollout = try await controller.approve(key, gate: "go-live", envelope: alice, by: "uid:7")
            #expect(rollout.approvals.map(\.name) == ["alice"])
            // The same again changes nothing, and her yes does not count twice.
            _ = try await controller.approve(key, gate: nil, envelope: alice, by: "uid:7")
            let another = try signed(request, keys.alice)
            #expect(
                await code {
                    _ = try await controller.approve(key, gate: nil, envelope: another, by: "uid:7")
                }
                    == .conflict)
            #expect(try await controller.snapshot(of: key).approvalRequest()?.given.map(\.name) == ["alice"])
            _ = try await controller.approve(key, gate: nil, envelope: bob, by: "uid:7")
            try await until("r2 serves") { try await settled(controller) }
            #expect(await releases(host.serving(key)) == ["r2"])
            let notes = try await controller.events(of: key, after: 0, limit: 10_000).map(\.note)
                .filter { $0.kind == .approved }
            #expect(
                notes.map { $0.details["name"] } == ["alice", "bob"] && notes.allSatisfy { $0.by == "uid:7" })
            // Whoever has the history and the public key can verify it all again.
            for (note, bytes) in zip(notes, [alice, bob]) {
                let kept = Array((note.details["envelope"] ?? "").utf8)
                #expect(kept == bytes && note.details["evidence"] == "\(Digest.sha256(of: kept))")
            }
            // A replay: the next rollout of the same content asks anew.
            var content = request.content
            content.run.config["again"] = "1"
            _ = try await controller.deploy(
                content, as: key, message: "", by: "test", force: true, queue: false)
            try await until("it asks again") {
                try await controller.snapshot(of: key).approvalRequest()?.rollout == request.rollout + 1
            }
            #expect(
                await code { _ = try await controller.approve(key, gate: nil, envelope: alice, by: "uid:7") }
                    == .notTrusted)
        }
    }

    @Test func `a revocation counts at once, also for what was given before it`() async throws {
        let keys = Keys()
        try await withController(keys: { keys.now }) { [self] controller in
            let request = try await waiting(controller)
            let (alice, bob) = (try signed(request, keys.alice), try signed(request, keys.bob))
            _ = try await controller.approve(key, gate: nil, envelope: alice, by: "uid:0")
            keys.change { _ = try! $0.revoke("alice", reason: "laptop lost", now: clock.now) }
            #expect(
                await code { _ = try await controller.approve(key, gate: nil, envelope: alice, by: "uid:0") }
                    == .notTrusted)
            let rollout = try await controller.approve(key, gate: nil, envelope: bob, by: "uid:0")
            #expect(rollout.approvals.map(\.name) == ["bob"] && rollout.openApproval != nil)
        }
    }

    @Test func `a gate that too few people could open is refused before anything moves`() async throws {
        let keys = Keys()
        try await withController(keys: { keys.now }) { [self] controller in
            let gates: [(Approvers, String?)] = [
                (Approvers(["alice", "nobody"], count: 2), "nobody"), (Approvers(["ci"]), "ci"),
                (Approvers(["alice", "nobody"]), nil),
            ]
            for (approvers, missing) in gates {
                var content = content("a")
                content.rollout.afterSwitch = [Gate("ok", .approval(by: approvers))]
                var said: Failure?
                do {
                    _ = try await controller.deploy(
                        content, as: key, message: "", by: "test", force: false, queue: false)
                } catch { said = Failure.list(error)[0] }
                #expect(said?.code == (missing == nil ? nil : .notTrusted))
                #expect(said?.message.hasSuffix("no deploy key of \(missing ?? "")") ?? true)
                let kept = try await controller.snapshots().count
                #expect(kept == (missing == nil ? 1 : 0))
            }
        }
    }

    @Test func `keys that cannot be read open nothing`() async throws {
        let keys = Keys()
        let isDamaged = Mutex(false)
        let ring: @Sendable () throws -> KeyRing = {
            if isDamaged.withLock(\.self) { throw Failure(.keyUnusable, "the list of keys cannot be used") }
            return keys.now
        }
        try await withController(keys: ring) { [self] controller in
            let request = try await waiting(controller)
            isDamaged.withLock { $0 = true }
            let alice = try signed(request, keys.alice)
            #expect(
                await code { _ = try await controller.approve(key, gate: nil, envelope: alice, by: "uid:0") }
                    == .keyUnusable)
            #expect(try await controller.snapshot(of: key).approvalRequest() == request)
        }
    }
}
