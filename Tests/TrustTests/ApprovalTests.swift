import Foundation
import Model
import TestKit
import Testing
import Trust

/// A person's signed yes: it counts for one gate of one rollout, by a key that is asked and trusted now.
@Suite struct ApprovalTests {
    static let alice = try! SigningKey(generating: .deploy)
    private static let bob = try! SigningKey(generating: .deploy)
    private static let carol = try! SigningKey(generating: .deploy)
    private static let build = try! SigningKey(generating: .build)
    private static let stranger = try! SigningKey(generating: .deploy)
    static let now = Fixture.now

    private static func ring(_ change: (inout TrustedKey) -> Void = { _ in }) -> KeyRing {
        var ring = KeyRing()
        for (name, key) in [("alice", alice), ("bob", bob), ("carol", carol), ("ci", build)] {
            var entry = Fixture.trusted(key, name)
            if name == "alice" { change(&entry) }
            try! ring.add(entry)
        }
        return ring
    }

    private static let approvers = Approvers(["alice", "bob"], count: 2)
    private static let gate = Gate("go-live", .approval(by: approvers))

    /// A rollout that waits at the gate, and its release.
    private static func waiting() -> (Rollout, Release) {
        var release = Fixtures.release(2)
        release.digest = try! release.content.digest()
        let stages = [
            RolloutStage(candidate: .whole, split: .none, wait: .gate(gate)),
            RolloutStage(candidate: .whole, split: .share(100), wait: .settle(.seconds(5))),
        ]
        var rollout = Rollout(
            number: 7, kind: .deploy, from: ReleaseNumber(1), to: release.number, startedAt: now,
            stages: stages, by: "uid:0")
        rollout.phase = .waiting(since: now)
        rollout.gates = ["go-live": .open(since: now, task: nil)]
        return (rollout, release)
    }

    static func request(_ change: (inout Rollout, inout Release) -> Void = { _, _ in }) throws
        -> ApprovalRequest
    {
        var (rollout, release) = waiting()
        change(&rollout, &release)
        return try #require(try ApprovalRequest(rollout, of: release))
    }

    static func signed(
        _ request: ApprovalRequest, _ key: SigningKey = alice, at: Instant = now,
        _ change: (inout Approval) -> Void = { _ in }
    ) throws -> [UInt8] {
        var approval = try Approval(to: request, with: key.publicKey, at: at, message: "seen in staging")
        change(&approval)
        return try approval.signed(with: key).json.bytes
    }

    private static func refusal(
        _ bytes: [UInt8], _ request: ApprovalRequest, _ keys: KeyRing = ring(), at now: Instant = now
    ) throws -> ApprovalRefusal? {
        do {
            _ = try Approval.verify(bytes, asked: request, keys: keys, now: now)
            return nil
        } catch let refusal as ApprovalRefusal {
            return refusal
        }
    }

    @Test func `an approval by a key that is asked counts, and says who, why and by which bytes`() throws {
        let request = try Self.request()
        let bytes = try Self.signed(request)
        let verified = try Approval.verify(bytes, asked: request, keys: Self.ring(), now: Self.now)
        #expect(verified.name == "alice" && verified.envelope == bytes)
        #expect(verified.evidence == Digest.sha256(of: bytes))
        #expect(
            verified.given(at: Self.now)
                == GivenApproval(
                    gate: "go-live", name: "alice", keyID: Self.alice.publicKey.id.text,
                    evidence: Digest.sha256(of: bytes), at: Self.now, message: "seen in staging"))
        // Spaces that nobody signed make no other evidence.
        let spaced = [UInt8](ascii: " ")[...] + bytes + [UInt8](ascii: "\n")[...]
        let again = try Approval.verify(Array(spaced), asked: request, keys: Self.ring(), now: Self.now)
        #expect(again == verified)
    }

    @Test func `where anybody may say yes, any deploy key counts and a build key does not`() throws {
        let request = try Self.request { rollout, _ in
            rollout.stages[0].wait = .gate(Gate("go-live", .approval(by: nil)))
        }
        #expect(try Self.refusal(try Self.signed(request, Self.carol), request) == nil)
        #expect(try Self.refusal(try Self.signed(request, Self.stranger), request) != nil)
    }

    @Test func `a build key cannot sign an approval, and one that it signs by force does not count`() throws {
        let request = try Self.request()
        #expect(failure { _ = try Self.signed(request, Self.build) }?.code == .keyUnusable)
        let approval = try Approval(
            to: request, with: Self.build.publicKey, at: Self.now, message: "")
        let forced = try Envelope(
            signing: approval.statement.bytes, type: Statement.payloadType, with: Self.build, as: .build)
        let said = try Self.refusal(forced.json.bytes, request)
        #expect(said == .wrongRole(Fixture.trusted(Self.build, "ci").called))
    }

    @Test func `what a key is worth is what it is worth now`() throws {
        let request = try Self.request()
        let bytes = try Self.signed(request)
        let called = Fixture.trusted(Self.alice, "alice").called
        let (now, later) = (Self.now, Self.now + .seconds(60))
        let revocation = TrustedKey.Revocation(at: later, reason: "laptop lost")
        let table: [((inout TrustedKey) -> Void, ApprovalRefusal?)] = [
            ({ _ in }, nil), ({ $0.validUntil = later }, nil),
            ({ $0.revocation = revocation }, .revoked(called, "laptop lost")),
            ({ $0.validUntil = now }, .expired(called, now)),
            ({ $0.validFrom = later }, .notYet(called, later)),
        ]
        for (change, expected) in table {
            #expect(try Self.refusal(bytes, request, Self.ring(change)) == expected)
        }
    }

    @Test func `an approval of anything else does not count, and says of what it is`() throws {
        let asked = try Self.request()
        let other = Digest.sha256(of: [1])
        let elsewhere = try ServiceKey(parsing: "hello@staging")
        let table: [((inout Approval) -> Void, ApprovalRefusal)] = [
            ({ $0.service = elsewhere }, .otherService(elsewhere, asked: asked.service)),
            ({ $0.rollout = 6 }, .otherRollout(6, asked: 7)),
            ({ $0.gate = "smoke" }, .otherGate("smoke", asked: "go-live")),
            ({ $0.release = other }, .otherRelease(other)), ({ $0.plan = other }, .otherPlan(other)),
            (
                { $0.keyID = Self.bob.publicKey.id.text },
                .malformed("it names another key than the one that signed it")
            ),
        ]
        for (change, expected) in table {
            #expect(try Self.refusal(try Self.signed(asked, at: Self.now, change), asked) == expected)
        }
        let unasked = try Self.refusal(try Self.signed(asked, Self.carol), asked)
        #expect(unasked == .notNamed("carol", Self.approvers))
        let unknown = try Self.refusal(try Self.signed(asked, Self.stranger), asked)
        #expect(unknown == .unknownKey(Self.stranger.publicKey.id.text))
    }

    @Test func `an approval is good for a day, and clocks may be five minutes apart`() throws {
        let request = try Self.request()
        let table: [(Int, Bool)] = [
            (0, true), (-86_400, true), (-86_700, true), (-86_701, false), (-31_536_000, false), (300, true),
            (301, false), (31_536_000, false),
        ]
        for (seconds, isGood) in table {
            let at = Instant(milliseconds: Self.now.milliseconds + seconds * 1000)
            let said = try Self.refusal(try Self.signed(request, at: at), request)
            #expect(said == (isGood ? nil : seconds < 0 ? .tooOld(at) : .fromTheFuture(at)), "\(seconds)")
        }
    }

    @Test func `the plan's digest changes with everything that is approved`() throws {
        let plan = try Self.request().plan
        let table: [(String, (inout Rollout, inout Release) -> Void)] = [
            ("number", { rollout, _ in rollout.number = 8 }), ("from", { rollout, _ in rollout.from = nil }),
            ("another release", { _, release in release.digest = Fixture.other }),
            ("another service", { _, release in release.key = try! ServiceKey(parsing: "hello@staging") }),
            ("traffic", { rollout, _ in rollout.stages[1].split = .share(50) }),
            ("no watch", { rollout, _ in rollout.stages[1].wait = .none }),
            ("fewer stages", { rollout, _ in rollout.stages.removeLast() }),
            (
                "fewer people",
                { rollout, _ in
                    rollout.stages[0].wait = .gate(Gate("go-live", .approval(by: Approvers(["alice"]))))
                }
            ),
        ]
        for (what, change) in table { #expect(try Self.request(change).plan != plan, "\(what)") }
        // What a rollout goes through meanwhile is no other plan.
        let same = try Self.request { rollout, _ in
            rollout.pause = Rollout.Pause(since: Self.now, reason: "x")
            rollout.failed = [try! InstanceID("hello-r2-1")]
        }
        #expect(same.plan == plan)
    }

    @Test func `nobody signs a request whose digests are not those of what it shows`() throws {
        let honest = try Self.request()
        let table: [(inout ApprovalRequest) -> Void] = [
            { $0.digest = Fixture.other }, { $0.plan = Fixture.other }, { $0.rollout += 1 },
            { $0.content.image = Fixture.other }, { $0.stages[1].split = .share(1) }, { $0.from = nil },
            { $0.release = ReleaseNumber(9) }, { $0.content.run.replicas += 1 },
        ]
        for change in table {
            var request = honest
            change(&request)
            #expect(failure { _ = try Self.signed(request) }?.code == .notTrusted)
        }
        let long = String(repeating: "x", count: Approval.Limit.message + 1)
        let said = failure {
            _ = try Approval(to: honest, with: Self.alice.publicKey, at: Self.now, message: long)
        }
        #expect(said?.code == .invalidArgument)
    }

    @Test func `an approval is never longer than the ledger can hold whole`() throws {
        let request = try Self.request()
        let longest = String(repeating: "é", count: Approval.Limit.message / 2)
        let bytes = try Self.signed(request) { $0.message = longest }
        #expect(bytes.count <= LedgerEntry.Limit.text)
        #expect(try Self.refusal(bytes, request) == nil)
        let entry = LedgerEntry(
            .approval, "x", at: Self.now, by: "uid:0",
            details: ["envelope": String(decoding: bytes, as: UTF8.self)])
        #expect(try LedgerEntry(parsing: entry.bytes).details == entry.details)
        // Each of these becomes six bytes.
        let escaped = String(repeating: "\u{1}", count: Approval.Limit.message)
        #expect(failure { _ = try Self.signed(request) { $0.message = escaped } }?.code == .invalidArgument)
        let forced = try Approval(
            to: request, with: Self.alice.publicKey, at: Self.now, message: escaped
        ).statement.signed(with: Self.alice)
        let said = try Self.refusal(forced.json.bytes, request)
        #expect(said == .malformed("it has more than 2048 bytes"))
    }

    @Test func `another statement by the same key is no approval`() throws {
        let request = try Self.request()
        let summary = Statement(
            subjects: [Statement.Subject(name: "", digest: request.digest)],
            predicateType: .verificationSummary,
            predicate: try Approval(to: request, with: Self.alice.publicKey, at: Self.now, message: "")
                .statement.predicate)
        let bytes = try summary.signed(with: Self.alice).json.bytes
        guard case .malformed(let why) = try Self.refusal(bytes, request) else {
            Issue.record("it was not refused")
            return
        }
        #expect(why.contains("verification summary"))
        let plain = try Envelope(
            signing: Array("{}".utf8), type: "text/plain", with: Self.alice, as: .deploy)
        let said = try Self.refusal(plain.json.bytes, request)
        #expect(said == .malformed("what is signed is no in-toto statement"))
        let long = [UInt8](repeating: 0x20, count: Approval.Limit.bytes + 1)
        #expect(try Self.refusal(long, request) == .malformed("it has more than 16384 bytes"))
    }

    @Test func `every refusal says what would be better`() throws {
        let request = try Self.request()
        let failure = try #require(
            try Self.refusal(try Self.signed(request) { $0.rollout = 6 }, request)?.failure(for: request))
        #expect(failure.code == .notTrusted)
        #expect(
            failure.message == "the approval does not count: it is for rollout 6, and this is rollout 7")
        #expect(failure.suggestion == "kiln rollout approve hello --gate go-live --key alice|bob")
        #expect(ApprovalRefusal.malformed("x").failure(for: request).code == .malformedEvidence)
    }

    @Test(arguments: Array(0..<8).map(UInt64.init))
    func `an altered approval is never believed to say what nobody signed`(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed &+ 500)
        let request = try Self.request()
        let bytes = try Self.signed(request)
        let good = try Approval.verify(bytes, asked: request, keys: Self.ring(), now: Self.now)
        let envelope = try Envelope(parsing: bytes)
        let (ring, named) = (Self.ring(), Fixture.trusted(Self.alice, "alice").called)
        for _ in 0..<1000 {
            let altered = Mutation.of(bytes, &random)
            // Other spaces are the same approval; everything else is none.
            if let said = try? Approval.verify(altered, asked: request, keys: ring, now: Self.now) {
                #expect(said == good)
            }
        }
        var (accepted, tries) = (0, 0)
        for _ in 0..<1000 {
            var copy = envelope
            switch Int.random(in: 0..<3, using: &random) {
            case 0: copy.payload = Mutation.of(copy.payload, &random)
            case 1: copy.signature = Mutation.of(copy.signature, &random)
            default:
                copy.payloadType = String(
                    decoding: Mutation.of(Array(copy.payloadType.utf8), &random), as: UTF8.self)
            }
            guard copy != envelope else { continue }
            tries += 1
            if try Self.refusal(copy.json.bytes, request) == nil { accepted += 1 }
        }
        #expect(accepted == 0 && tries > 900)
        // One bit of the message: the key that it names is told apart from one that nobody knows.
        var text = String(decoding: envelope.payload, as: UTF8.self)
        text.replace("seen in staging", with: "seen in storage")
        var copy = envelope
        copy.payload = Array(text.utf8)
        #expect(try Self.refusal(copy.json.bytes, request) == .altered(named))
    }

    @Test(.enabled(if: Tool.hasOpenSSL, "skipped: no openssl"))
    func `openssl verifies an approval by hand, as the docs say`() throws {
        let folder = try TemporaryFolder()
        let request = try Self.request()
        try folder.write("approval.json", try Self.signed(request))
        try folder.write("alice.pub", Array(Self.alice.publicKey.pem.utf8))
        try folder.write("bob.pub", Array(Self.bob.publicKey.pem.utf8))
        func check(_ key: String, _ change: String = "true") -> String {
            shell(
                """
                cd '\(folder.path)' && field() { sed -E "s/.*\\"$1\\":\\"([^\\"]*)\\".*/\\1/" approval.json; }
                field payload | base64 -d > body; field sig | base64 -d > signature; \(change)
                T=application/vnd.in-toto+json
                { printf 'DSSEv1 %d %s %d ' ${#T} $T $(wc -c < body); cat body; } > signed
                openssl dgst -sha256 -verify \(key) -signature signature signed
                """
            ).output
        }
        #expect(check("alice.pub").contains("Verified OK"))
        #expect(!check("bob.pub").contains("Verified OK"))
        #expect(!check("alice.pub", "printf x >> body").contains("Verified OK"))
        let body = String(decoding: try folder.read("body"), as: UTF8.self)
        #expect(body.contains(request.plan.hex))
        #expect(body.contains("\"predicateType\":\"urn:kiln:approval:v1\""))
    }
}

extension [UInt8] {
    fileprivate init(ascii: Unicode.Scalar) { self = [UInt8(ascii: ascii)] }
}
