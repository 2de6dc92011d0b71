import Foundation
import Model
import Testing
import Trust

/// Positive first, then everything that can be wrong, each by its rule.
@Suite struct TrustPolicyTests {
    private let build = try! SigningKey(generating: .build)
    private let deploy = try! SigningKey(generating: .deploy)
    private let stranger = try! SigningKey(generating: .build)
    private let now = Fixture.now

    private var policy: TrustPolicy {
        TrustPolicy(keys: [Fixture.trusted(build), Fixture.trusted(deploy, "ops")])
    }

    private func bundle(_ statement: Statement, _ key: SigningKey? = nil) throws -> Evidence {
        .bundle(try SigstoreBundle(statement, signedWith: key ?? build).bytes)
    }

    private func simple(_ digest: Digest = Fixture.image, _ key: SigningKey? = nil) throws -> Evidence {
        let payload = SimpleSigning(reference: "reg.example/app:v1", digest: digest)
        let signature = try payload.signature(with: key ?? build)
        return .simpleSigning(payload: payload.bytes, signature: Base64.encode(signature))
    }

    private func made(
        builder: String = "https://ci.example/runner", repository: String? = "https://git.example/shop",
        isDirty: Bool = false, ended: Instant? = Fixture.now + Span.seconds(-3600)
    ) -> Statement {
        Provenance(
            recipe: Fixture.other, source: .init(repository: repository, commit: "abc", isDirty: isDirty),
            materials: [], builder: builder, startedOn: ended, finishedOn: ended
        ).statement(about: .init(name: "", digest: Fixture.image))
    }

    /// The one refusal that a decision ends with; nil where it accepts.
    private func refusal(_ policy: TrustPolicy, _ evidence: [Evidence], at now: Instant? = nil)
        -> TrustRefusal?
    {
        switch policy.decide(image: Fixture.image, evidence: evidence, now: now ?? self.now) {
        case .accepted: nil
        case .refused(let refusals): refusals.first
        }
    }

    @Test func `either form of a signature by a trusted key is accepted, and says by whom`() throws {
        for evidence in [try bundle(Fixture.statement()), try simple()] {
            guard
                case .accepted(let believed) = policy.decide(
                    image: Fixture.image, evidence: [evidence], now: now)
            else {
                Issue.record("\(policy.decide(image: Fixture.image, evidence: [evidence], now: now))")
                continue
            }
            #expect(believed.map(\.predicateType) == [.signature])
            #expect(believed.map(\.key.name) == ["ci"])
        }
    }

    @Test func `nothing beside an image is no signature`() {
        let said = refusal(policy, [])
        #expect(said?.rule == .unsigned && said?.keySeen == nil)
        #expect(
            said?.failure.description == """
                rule unsigned: a signature (https://sigstore.dev/cosign/sign/v1) is required, and nothing that is signed lies beside the image; key seen: none
                  → kiln deploy --sign KEY, or kiln image sign IMAGE --key KEY
                """)
    }

    @Test func `a policy without keys accepts nothing`() throws {
        let said = refusal(TrustPolicy(keys: []), [try bundle(Fixture.statement()), try simple()])
        #expect(said?.rule == .key && said?.remedy == "trust a key: --key PUBLIC.pem")
    }

    @Test func `another's key is named as it names itself`() throws {
        let said = refusal(policy, [try bundle(Fixture.statement(), stranger)])
        #expect(said?.rule == .key && said?.keySeen == "\(stranger.publicKey.id) (unknown)")
        #expect(refusal(policy, [try simple(Fixture.image, stranger)])?.rule == .key)
    }

    @Test func `a borrowed hint convinces nobody`() throws {
        var forged = try SigstoreBundle(Fixture.statement(), signedWith: stranger)
        forged.hint = build.publicKey.id.text
        let said = refusal(policy, [.bundle(forged.bytes)])
        #expect(said?.rule == .signature && said?.keySeen?.hasPrefix("ci (build, ") ?? false)
        forged.hint = ""
        #expect(refusal(policy, [.bundle(forged.bytes)])?.rule == .key)
        var shy = try SigstoreBundle(Fixture.statement(), signedWith: build)
        shy.hint = ""
        #expect(refusal(policy, [.bundle(shy.bytes)]) == nil)
    }

    @Test func `an altered payload is refused by the signature, before anybody reads it`() throws {
        var bundle = try SigstoreBundle(Fixture.statement(.signature, Fixture.other), signedWith: build)
        bundle.envelope.payload = Fixture.statement().bytes
        #expect(refusal(policy, [.bundle(bundle.bytes)])?.rule == .signature)
        bundle.envelope.payload = Array("no JSON at all".utf8)
        #expect(refusal(policy, [.bundle(bundle.bytes)])?.rule == .signature)
        let forged = SimpleSigning(reference: "reg.example/app:v1", digest: Fixture.image).bytes
        guard case .simpleSigning(_, let signature) = try simple(Fixture.other) else { return }
        #expect(refusal(policy, [.simpleSigning(payload: forged, signature: signature)])?.rule == .key)
    }

    @Test func `a signature of another image is about that one`() throws {
        for evidence in [try bundle(Fixture.statement(.signature, Fixture.other)), try simple(Fixture.other)]
        {
            let said = refusal(policy, [evidence])
            #expect(said?.rule == .subject)
            #expect(
                said?.message == "what is signed is about \(Fixture.other), and not about \(Fixture.image)")
        }
    }

    @Test func `a statement of one type never stands for another`() throws {
        let bill = try bundle(Fixture.statement(.billOfMaterials))
        let said = refusal(policy, [bill])
        #expect(said?.rule == .predicate && said?.keySeen?.hasPrefix("ci (build, ") ?? false)
        var both = policy
        both.required = [.signature, .billOfMaterials]
        #expect(refusal(both, [bill])?.rule == .predicate)
        #expect(refusal(both, [bill, try simple()]) == nil)
        // Names that begin alike are not the same.
        let near = try Envelope(
            signing: Statement(
                subjects: Fixture.statement().subjects,
                predicateType: PredicateType(PredicateType.signature.text + "/"), predicate: .object([:])
            ).bytes, type: Statement.payloadType, key: build)
        #expect(
            refusal(policy, [.bundle(SigstoreBundle(hint: "", envelope: near).bytes)])?.rule == .predicate)
    }

    @Test func `a key of another role is refused, however good its signature`() throws {
        let payload = Fixture.statement().bytes
        let envelope = try Envelope(signing: payload, type: Statement.payloadType, key: deploy)
        let said = refusal(
            policy, [.bundle(SigstoreBundle(hint: deploy.publicKey.id.text, envelope: envelope).bytes)])
        #expect(said?.rule == .role && said?.keySeen?.hasPrefix("ops (deploy, ") ?? false)
        #expect(said?.remedy == "sign it with a build key")
        let simple = SimpleSigning(reference: "a/b:c", digest: Fixture.image).bytes
        let signature = Base64.encode(try deploy.privateKey.signature(of: simple))
        #expect(
            refusal(policy, [.simpleSigning(payload: simple, signature: signature)])?.rule == .role)
        // And an admission that the build key vouches for.
        var summary = policy
        summary.required = [.verificationSummary]
        let own = try Envelope(
            signing: Fixture.statement(.verificationSummary).bytes, type: Statement.payloadType, key: build)
        #expect(
            refusal(summary, [.bundle(SigstoreBundle(hint: "", envelope: own).bytes)])?.rule == .role)
    }

    @Test func `a signed document that is no statement is refused`() throws {
        let envelope = try Envelope(
            signing: Fixture.statement().bytes, type: "application/json", key: build)
        #expect(
            refusal(policy, [.bundle(SigstoreBundle(hint: "", envelope: envelope).bytes)])?.rule
                == .malformed)
    }

    @Test func `a key counts within its time only, and a revoked one never`() throws {
        let evidence = [try bundle(Fixture.statement())]
        var limited = policy
        let (from, end) = (now + Span.seconds(-10), now + Span.seconds(10))
        limited.keys[0].validFrom = from
        limited.keys[0].validUntil = end
        #expect(refusal(limited, evidence, at: from) == nil)
        #expect(refusal(limited, evidence, at: end + Span(milliseconds: -1)) == nil)
        #expect(refusal(limited, evidence, at: end)?.rule == .expired)
        #expect(refusal(limited, evidence, at: from + Span(milliseconds: -1))?.rule == .notYetValid)
        // A clock that is a year behind.
        #expect(refusal(limited, evidence, at: now + Span.seconds(-365 * 86_400))?.rule == .notYetValid)
        limited.keys[0].revocation = .init(at: now, reason: "stolen")
        let said = refusal(limited, evidence)
        #expect(said?.rule == .revoked && said?.message.contains("stolen") ?? false)
        #expect(refusal(limited, [try simple()])?.rule == .revoked)
    }

    @Test func `builders, sources and age are held against the provenance`() throws {
        var strict = policy
        strict.builders = ["https://ci.example/runner"]
        strict.sources = ["https://git.example/shop"]
        strict.maximumAge = Span("1d")!
        let signature = try simple()
        func rule(_ statement: Statement, at time: Instant? = nil) throws -> TrustRule? {
            refusal(strict, [signature, try bundle(statement)], at: time)?.rule
        }
        #expect(try rule(made()) == nil)
        #expect(try rule(made(builder: "https://ci.example/runner2")) == .builder)
        #expect(try rule(made(repository: "https://git.example/shop2")) == .source)
        #expect(try rule(made(repository: nil)) == .source)
        #expect(try rule(made(isDirty: true)) == .source)
        #expect(try rule(made(ended: now + Span("1d")! * -1)) == nil)
        #expect(try rule(made(ended: now + Span(milliseconds: -86_400_001))) == .age)
        #expect(try rule(made(ended: nil)) == .age)
        // A clock that is a year behind makes nothing young: what is yet to come is refused.
        #expect(try rule(made(), at: now + Span.seconds(-365 * 86_400)) == .age)
        #expect(refusal(strict, [signature])?.rule == .predicate)
        #expect(refusal(strict, [])?.rule == .unsigned)
        // One that will do is enough, whatever lies beside it.
        let others = try [made(builder: "x"), made(isDirty: true)].map { try bundle($0) }
        #expect(refusal(strict, others + [try bundle(made()), signature]) == nil)
        strict.allowsDirtySources = true
        #expect(try rule(made(isDirty: true)) == nil)
    }

    @Test func `junk beside an image hides no good signature, within bounds`() throws {
        let junk = (0..<TrustPolicy.Limit.evidence).map { Evidence.bundle(Array("junk \($0)".utf8)) }
        let good = try bundle(Fixture.statement())
        #expect(refusal(policy, Array(junk.dropLast()) + [good]) == nil)
        #expect(refusal(policy, [good] + junk) == nil)
        #expect(refusal(policy, junk + [good])?.rule == .malformed)
    }
}

extension Envelope {
    /// What a thief of roles would sign: any payload with any key.
    init(signing payload: [UInt8], type: String, key: SigningKey) throws {
        let message = Envelope.preAuthentication(type, payload)
        self.init(
            payloadType: type, payload: payload, signature: try key.privateKey.signature(of: message))
    }
}
