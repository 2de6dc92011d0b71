import Execution
import Foundation
import Logging
import Model
import Ports
import Storage
import TestKit
import Testing
import Trust

/// The gate over a real store: what lies beside an image there decides, and nothing else.
@Suite final class ImageAdmissionTests: Sendable {
    let folder = NSTemporaryDirectory() + "kiln-admission-\(UInt32.random(in: 0 ... .max))"
    let store: ContentStore
    let ledger = MemoryLedger()
    let now = Instant(milliseconds: 1_800_000_000_000)
    let key = ServiceKey(try! ServiceName("web"))
    let image = Digest.sha256(of: Array("image".utf8))
    let build = try! SigningKey(generating: .build)
    let deploy = try! SigningKey(generating: .deploy)

    init() throws { store = try ContentStore(folder) }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    /// What a host says, as a test wants it.
    final class Host: HostTrust, @unchecked Sendable {
        var said: HostRules
        var failure: Failure?

        init(_ said: HostRules) { self.said = said }

        func rules() throws -> HostRules {
            if let failure { throw failure }
            return said
        }
    }

    struct Faults: FaultSource {
        var known = KnownFaults(packages: [], feeds: [:])
        func known(of image: Digest, _ feeds: [String]) async -> KnownFaults { known }
    }

    private func ring(revoked: Bool = false) throws -> KeyRing {
        var ring = KeyRing()
        try ring.add(TrustedKey(name: "release", publicKey: build.publicKey, role: .build))
        try ring.add(TrustedKey(name: "alice", publicKey: deploy.publicKey, role: .deploy))
        if revoked { _ = try ring.revoke("release", reason: "lost", now: now) }
        return ring
    }

    private func host(_ policy: AdmissionPolicy?, revoked: Bool = false) throws -> Host {
        Host(HostRules(policy: policy, policyDigest: .sha256(of: []), ring: try ring(revoked: revoked)))
    }

    private func gate(_ host: Host, _ faults: Faults = Faults()) -> ImageAdmission {
        ImageAdmission(
            store: store, host: host, faults: faults, ledger: ledger, verifier: "urn:test:host",
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    }

    private func sign(_ subject: Digest? = nil, by key: SigningKey, as role: KeyRole = .build) async throws {
        let statement = Statement(
            subjects: [Statement.Subject(name: "web", digest: subject ?? image)], predicateType: .signature,
            predicate: .object([:]))
        let envelope = try Envelope(
            signing: statement.bytes, type: Statement.payloadType, with: key, as: role)
        let bundle = SigstoreBundle(hint: key.publicKey.id.text, envelope: envelope)
        try store.record(ImageRecord(digest: image, service: nil, bakedAt: now, size: 1, packages: 0))
        try await store.add(evidence: [bundle.bytes], to: image)
    }

    private static let signed = AdmissionPolicy(required: [PredicateType.signature.text])

    private func decide(
        _ host: Host, service: AdmissionPolicy? = nil, _ occasion: AdmissionOccasion = .new,
        _ faults: Faults = Faults()
    ) async -> AdmissionVerdict {
        await gate(host, faults).decide(image, asking: service, for: key, occasion, at: now)
    }

    @Test func `where nobody asks, everything starts, and the ledger says that nobody asks`() async throws {
        let verdict = await decide(try host(nil))
        #expect(verdict.isAdmitted && verdict.evidence == nil)
        #expect(ledger.entries.map(\.kind) == [.policy])
        #expect(ledger.entries[0].message.contains("nothing"))
    }

    @Test func `a signature by a trusted build key is what starts an image`() async throws {
        try await sign(by: build)
        let verdict = await decide(try host(Self.signed))
        #expect(verdict.isAdmitted, "\(verdict)")
        #expect(verdict.evidence != nil && verdict.message.contains("release (build"))
        let statement = try #require(
            try VerificationSummary.statement(in: verdict.entry(key, at: now, by: "test")))
        let summary = try VerificationSummary(statement.predicate)
        #expect(summary.isPassed && summary.resource == "urn:kiln:service:web")
        #expect(
            summary.evidence == (try store.record(of: image)?.evidence ?? []), "the bundle as it lies there")
        #expect(statement.subjects.map(\.digest) == [image])
    }

    @Test func `unsigned, by a stranger, by the wrong role, of another image, revoked: none starts`()
        async throws
    {
        let strict = try host(Self.signed)
        func rule(_ host: Host) async -> String? { await decide(host).details["rules"] }
        #expect(await rule(strict) == "unsigned")
        try await sign(by: try SigningKey(generating: .build))
        #expect(await rule(strict) == "key")
        try await sign(by: deploy, as: .deploy)
        #expect(await rule(strict) == "role")
        try await sign(.sha256(of: Array("other".utf8)), by: build)
        #expect(await rule(strict) == "subject")
        try await sign(by: build)
        #expect(await decide(strict).isAdmitted)
        #expect(await !decide(try host(Self.signed, revoked: true)).isAdmitted)
    }

    @Test func `a revoked key is named`() async throws {
        try await sign(by: build)
        let verdict = await decide(try host(Self.signed, revoked: true))
        #expect(verdict.details["rules"] == "revoked")
        #expect(verdict.details["keySeen"]?.contains("release") == true)
        #expect(verdict.refusals.first?.code == .notTrusted)
    }

    @Test func `a service cannot ask for less than its host`() async throws {
        var lenient = Self.signed
        lenient.keys = [
            AdmissionPolicy.Key(name: "mine", publicKey: Base64.encode(deploy.publicKey.der))
        ]
        try await sign(by: deploy, as: .deploy)
        let strict = try host(Self.signed)
        for policy in [AdmissionPolicy(), lenient] {
            #expect(await !decide(strict, service: policy).isAdmitted)
        }
        try await sign(by: build)
        #expect(await decide(strict, service: AdmissionPolicy()).isAdmitted)
        #expect(
            await !decide(strict, service: lenient).isAdmitted, "nor does it get less than it asks itself")
    }

    @Test func `whoever signed the index signed what it lists`() async throws {
        let manifests = JSONValue.array([.object(["digest": .string(image.description)])])
        let index = try store.write(
            JSONValue.object(["schemaVersion": .number(2), "manifests": manifests]).bytes)
        try await sign(index, by: build)
        let strict = try host(Self.signed)
        #expect(await !decide(strict).isAdmitted, "an index that nobody says it came in")
        try store.record(
            ImageRecord(digest: image, service: nil, bakedAt: now, size: 1, packages: 0, index: index))
        #expect(await decide(strict).isAdmitted)
        let other = try store.write(
            JSONValue.object(["schemaVersion": .number(2), "manifests": .array([])]).bytes)
        try await sign(other, by: build)
        try store.record(
            ImageRecord(digest: image, service: nil, bakedAt: now, size: 1, packages: 0, index: other))
        #expect(await !decide(strict).isAdmitted, "an index that does not list it")
    }

    @Test func `evidence that was altered on disk decides nothing`() async throws {
        try await sign(by: build)
        let evidence = try #require(try store.record(of: image)?.evidence?.first)
        let path = try #require(store.path(of: evidence))
        var bytes = try Data(contentsOf: URL(fileURLWithPath: path))
        bytes[bytes.count / 2] ^= 1
        try bytes.write(to: URL(fileURLWithPath: path))
        let verdict = await decide(try host(Self.signed))
        #expect(!verdict.isAdmitted && verdict.refusals[0].code == .storeDamaged)
    }

    @Test func `what cannot be read refuses; what could be read once goes on`() async throws {
        let broken = try host(nil)
        broken.failure = Failure(.invalidSpec, "policy.yaml cannot be read")
        #expect(await !decide(broken).isAdmitted)
        try await sign(by: build)
        let slipped = try host(Self.signed)
        slipped.said.problem = Failure(.invalidSpec, "requires is no key of a policy")
        #expect(await decide(slipped).isAdmitted)
        #expect(ledger.entries.contains { $0.message.contains("requires is no key") })
    }

    @Test func `a key that expired stops a release, and not the restart of what serves`() async throws {
        try await sign(by: build)
        // What is signed of something else is no reason either.
        try await sign(.sha256(of: Array("other".utf8)), by: build)
        let host = try host(Self.signed)
        for (from, until) in [(nil, now), (now + .seconds(1), nil)] as [(Instant?, Instant?)] {
            var ring = KeyRing()
            try ring.add(
                TrustedKey(
                    name: "release", publicKey: build.publicKey, role: .build, validFrom: from,
                    validUntil: until))
            host.said.ring = ring
            #expect(await !decide(host, service: nil, .new).isAdmitted)
            let again = await decide(host, service: nil, .again)
            #expect(again.isAdmitted && !again.warnings.isEmpty)
            _ = try ring.revoke("release", reason: "lost", now: now)
            host.said.ring = ring
            #expect(await !decide(host, service: nil, .again).isAdmitted, "a revocation is no matter of time")
        }
    }

    @Test func `what only an index is signed for is launched again when its time is over`() async throws {
        let manifests = JSONValue.array([.object(["digest": .string(image.description)])])
        let index = try store.write(
            JSONValue.object(["schemaVersion": .number(2), "manifests": manifests]).bytes)
        try await sign(index, by: build)
        try store.record(
            ImageRecord(digest: image, service: nil, bakedAt: now, size: 1, packages: 0, index: index))
        var policy = Self.signed
        policy.vulnerabilities = VulnerabilityRule(feed: "/feed.json", atLeast: .high)
        let host = try host(policy)
        #expect(await !decide(host, service: nil, .new).isAdmitted)
        #expect(await decide(host, service: nil, .again).isAdmitted)
    }

    @Test func `a change that the ledger could not be told is told when it can be`() async throws {
        final class Fickle: Ledger, @unchecked Sendable {
            var fails = true
            var told: [LedgerEntry] = []
            func append(_ entries: [LedgerEntry]) async throws -> Int {
                if fails { throw Failure(.diskFull, "no space") }
                told += entries
                return 0
            }
        }
        let ledger = Fickle()
        let gate = ImageAdmission(
            store: store, host: try host(nil), faults: Faults(), ledger: ledger, verifier: "urn:test",
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        func decide() async -> AdmissionVerdict {
            await gate.decide(image, asking: nil, for: key, .new, at: now)
        }
        #expect(await !decide().isAdmitted)
        ledger.fails = false
        #expect(await decide().isAdmitted)
        #expect(ledger.told.map(\.kind) == [.policy])
    }

    @Test func `a feed that is too old stops a release, and not the restart of what serves`() async throws {
        try await sign(by: build)
        var policy = Self.signed
        policy.vulnerabilities = VulnerabilityRule(feed: "/feed.json", atLeast: .high)
        let host = try host(policy)
        let released = await decide(host, .new)
        #expect(!released.isAdmitted && released.details["rules"] == "feed")
        let restarted = await decide(host, service: nil, .again)
        #expect(restarted.isAdmitted && restarted.warnings.count == 1)
        #expect(restarted.message.contains("released now it would be refused"))
        // A revoked key is no matter of time alone.
        host.said.ring = try ring(revoked: true)
        #expect(await !decide(host, service: nil, .again).isAdmitted)
    }

    @Test func `the self-test passes a gate that works and stops one that lets everything through`()
        async throws
    {
        let scratch = try ContentStore(folder + "/scratch")
        let test = AdmissionSelfTest(scratch: scratch, now: now)
        @Sendable func trial(_ host: any HostTrust) -> ImageAdmission {
            ImageAdmission(
                store: scratch, host: host, faults: Faults(), ledger: MemoryLedger(), verifier: "urn:test",
                logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        }
        var aged = AdmissionPolicy(maximumAge: .seconds(60))
        aged.vulnerabilities = VulnerabilityRule(feed: "/feed.json", atLeast: .high)
        for policy in [nil, Self.signed, aged] {
            let host = try host(policy)
            try await test.run(gate: gate(host), trial: trial, host: host)
            await #expect(throws: Failure.self) {
                try await test.run(gate: OpenAdmission(), trial: trial, host: host)
            }
            await #expect(throws: Failure.self) {
                try await test.run(gate: gate(host), trial: { _ in OpenAdmission() }, host: host)
            }
            await #expect(throws: Failure.self, "a gate for which no time is a reason lets revoked keys pass")
            {
                try await test.run(
                    gate: gate(host), trial: { Forgetful(gate: trial($0)) }, host: host)
            }
        }
    }

    /// Lets everything pass that served before.
    private struct Forgetful: AdmissionController {
        let gate: ImageAdmission

        func decide(
            _ image: Digest, asking policy: AdmissionPolicy?, for key: ServiceKey,
            _ occasion: AdmissionOccasion, at now: Instant
        ) async -> AdmissionVerdict {
            guard occasion == .new else { return AdmissionVerdict(image: image, message: "served well") }
            return await gate.decide(image, asking: policy, for: key, occasion, at: now)
        }
    }

    @Test func `where only an age is asked for, a revoked key stops the restart all the same`() async throws {
        try await made(by: build, at: now + .seconds(-60))
        let aged = AdmissionPolicy(maximumAge: .seconds(1))
        #expect(await !decide(try host(aged), .new).isAdmitted)
        let again = await decide(try host(aged), .again)
        #expect(again.isAdmitted && again.warnings.count == 1, "its age alone is no reason")
        #expect(await decide(try host(aged, revoked: true), .again).details["rules"] == "revoked")
    }

    @Test func `a good signature does not stand for a provenance by a key that was revoked`() async throws {
        let other = try SigningKey(generating: .build)
        try await sign(by: other)
        try await made(by: build, at: now)
        var aged = Self.signed
        aged.maximumAge = .seconds(60)
        let host = try host(aged)
        try host.said.ring.add(TrustedKey(name: "other", publicKey: other.publicKey, role: .build))
        #expect(await decide(host, .again).isAdmitted)
        _ = try host.said.ring.revoke("release", reason: "lost", now: now)
        for occasion in [AdmissionOccasion.new, .again] {
            #expect(await !decide(host, occasion).isAdmitted)
        }
    }

    private func made(by key: SigningKey, at end: Instant) async throws {
        let provenance = Provenance(
            recipe: nil, source: nil, materials: [], builder: "https://ci.example", startedOn: nil,
            finishedOn: end)
        let statement = provenance.statement(about: Statement.Subject(name: "web", digest: image))
        if try store.record(of: image) == nil {
            try store.record(ImageRecord(digest: image, service: nil, bakedAt: now, size: 1, packages: 0))
        }
        try await store.add(evidence: [try SigstoreBundle(statement, signedWith: key).bytes], to: image)
    }
}
