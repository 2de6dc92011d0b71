import Execution
import Model
import Ports
import Synchronization
import TestKit
import Testing

/// The loop and the gate: what is refused is not launched, and what is decided is written down first.
extension ControllerTests {
    /// Lets pass or refuses, as a test wants it, with the time in its words.
    private final class Gate: AdmissionController {
        private let refuses = Mutex(false)
        private let signer = Mutex("a")
        private let occasions = Mutex<[AdmissionOccasion]>([])

        var asked: [AdmissionOccasion] { occasions.withLock { $0 } }

        func refuse(_ isRefused: Bool, key seen: String = "a") {
            refuses.withLock { $0 = isRefused }
            signer.withLock { $0 = seen }
        }

        func decide(
            _ image: Digest, asking policy: AdmissionPolicy?, for key: ServiceKey,
            _ occasion: AdmissionOccasion, at now: Instant
        ) async -> AdmissionVerdict {
            occasions.withLock { $0.append(occasion) }
            guard refuses.withLock({ $0 }) else {
                return AdmissionVerdict(image: image, message: "may start", evidence: image)
            }
            return AdmissionVerdict(
                image: image, refusals: [Failure(.notTrusted, "rule revoked")],
                message: "may not start at \(now)", evidence: image,
                details: ["rules": "revoked", "keySeen": signer.withLock { $0 }])
        }
    }

    @Test func `a release that may not start is not made, and the ledger says so`() async throws {
        let (gate, ledger) = (Gate(), MemoryLedger())
        gate.refuse(true)
        try await withController(admission: gate, ledger: ledger) { [self] controller in
            await #expect(throws: Failures.self) { _ = try await deploy("a", controller) }
            let preview = try await controller.preview(content("a"), as: key)
            #expect(preview.refusals.count == 1)
            #expect(await host.everLaunched.isEmpty)
        }
        #expect(ledger.entries.map(\.kind) == [.admission])
        #expect(ledger.entries[0].by == "test" && ledger.entries[0].details["rules"] == "revoked")
    }

    @Test func `each launch is decided on, and what is refused again for one reason is told once`()
        async throws
    {
        let (gate, ledger) = (Gate(), MemoryLedger())
        try await withController(admission: gate, ledger: ledger) { [self] controller in
            _ = try await deploy("a", controller)
            try await until("r1 serves") { try await settled(controller) }
            let launched = await host.everLaunched
            #expect(Set(ledger.entries.compactMap(\.instance)) == Set(launched))
            #expect(ledger.entries.allSatisfy { $0.kind == .admission && $0.release?.value == 1 })
            #expect(gate.asked == Array(repeating: .new, count: 3), "when it is made, and for each of two")

            gate.refuse(true)
            try await controller.scale(key, to: 4, by: "test")
            try await until("it was tried again and again") {
                gate.asked.count { $0 == .again } > 5
            }
            let refused = ledger.entries.filter { $0.details["rules"] != nil }
            #expect(refused.count == 1)
            #expect(await host.everLaunched == launched)
            #expect(await host.serving(key).count == 2)

            func refusals() -> [LedgerEntry] { ledger.entries.filter { $0.details["rules"] != nil } }
            gate.refuse(true, key: "b")
            try await until("the same rule by another key is told") { refusals().count == 2 }
            #expect(refusals().map { $0.details["keySeen"] } == ["a", "b"])

            gate.refuse(false)
            try await until("four serve") { await host.serving(key).count == 4 }
            gate.refuse(true, key: "b")
            try await controller.scale(key, to: 5, by: "test")
            try await until("what was accepted in between is told again") { refusals().count == 3 }
        }
    }
}
