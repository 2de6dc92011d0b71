import Foundation
import Model
import TestKit
import Testing
import Trust

/// What a host and a service ask for: positive first, then each rule by its name and words.
@Suite struct AdmissionTests {
    private let build = try! SigningKey(generating: .build)
    private let deploy = try! SigningKey(generating: .deploy)
    private let stranger = try! SigningKey(generating: .build)
    private let now = Fixture.now
    private let xz = InstalledPackage(
        name: "liblzma5", version: "5.6.0-1", architecture: "amd64",
        source: .init(name: "xz-utils", version: "5.6.0-1"))
    private let backdoor = KnownFault(
        id: "CVE-2024-3094", package: "xz-utils", severity: .critical,
        affected: .init(ranges: [[.introduced("5.6.0"), .fixed("5.6.1+really5.4.5-1")]]))

    private func ring(_ change: (inout KeyRing) throws -> Void = { _ in }) throws -> KeyRing {
        var ring = KeyRing()
        try ring.add(Fixture.trusted(build, "release"))
        try ring.add(Fixture.trusted(deploy, "ops"))
        try change(&ring)
        return ring
    }

    private func inline(_ key: SigningKey, _ name: String = "release.pub") -> AdmissionPolicy.Key {
        AdmissionPolicy.Key(name: name, publicKey: Base64.encode(key.publicKey.der))
    }

    private func signed(_ key: SigningKey? = nil, _ type: PredicateType = .signature) throws -> Evidence {
        .bundle(try SigstoreBundle(Fixture.statement(type), signedWith: key ?? build).bytes)
    }

    private let signature = AdmissionPolicy(required: [PredicateType.signature.text])

    private func refusals(
        host: AdmissionPolicy? = nil, service: AdmissionPolicy? = nil, ring: KeyRing, _ evidence: [Evidence],
        packages: [InstalledPackage] = [], feeds: [String: FaultFeed.Reading] = [:]
    ) -> [String] {
        let admission = Admission(host: host, service: service, ring: ring)
        switch admission.decide(
            image: Fixture.image, evidence: evidence, packages: packages, feeds: feeds, now: now)
        {
        case .accepted: return []
        case .refused(let refusals):
            return refusals.map { "\($0.asker.rawValue) \($0.why.rule.rawValue): \($0.why.message)" }
        }
    }

    @Test func `a release without a policy has the digest that it always had`() throws {
        let content = Fixtures.release(1).content
        let json = String(decoding: try CanonicalJSON.encode(content), as: UTF8.self)
        #expect(!json.contains("policy"), "\(json)")
        let digest = try content.digest().hex
        #expect(digest == "1fb50d6d1e3c4de5357dcac513f6d614f84f0f4a0c6a769d9af0b6a43b6fb4d7")
        var strict = content
        strict.policy = signature
        #expect(try strict.digest() != content.digest())
        #expect(try CanonicalJSON.decode(Release.Content.self, from: CanonicalJSON.encode(strict)) == strict)
    }

    @Test func `where nobody asks for anything, everything may start`() throws {
        #expect(refusals(ring: KeyRing(), []) == [])
    }

    @Test func `both policies have to be satisfied, and a refusal says whose was not`() throws {
        let ring = try ring()
        let contents = AdmissionPolicy(
            keys: [inline(build)], required: [PredicateType.billOfMaterials.text])
        let both = [try signed(), try signed(nil, .billOfMaterials)]
        #expect(refusals(host: signature, service: contents, ring: ring, both) == [])
        #expect(
            refusals(host: signature, service: contents, ring: ring, [both[0]]) == [
                "service predicate: a bill of materials (https://spdx.dev/Document) is required, and what is signed is "
                    + "a signature (https://sigstore.dev/cosign/sign/v1)"
            ])
        #expect(
            refusals(host: signature, service: contents, ring: ring, [both[1]]) == [
                "host predicate: a signature (https://sigstore.dev/cosign/sign/v1) is required, and what is signed is "
                    + "a bill of materials (https://spdx.dev/Document)"
            ])
        let nothing = "is required, and nothing that is signed lies beside the image"
        #expect(
            refusals(host: signature, service: contents, ring: ring, []) == [
                "host unsigned: a signature (https://sigstore.dev/cosign/sign/v1) \(nothing)",
                "service unsigned: a bill of materials (https://spdx.dev/Document) \(nothing)",
            ])
    }

    @Test func `a service cannot bring a key that the host does not trust`() throws {
        let own = AdmissionPolicy(keys: [inline(stranger)], required: [PredicateType.signature.text])
        let ring = try ring()
        #expect(refusals(service: own, ring: ring, [try signed(stranger)]) == [])
        #expect(
            refusals(host: signature, service: own, ring: ring, [try signed(stranger)]).map { $0.prefix(8) }
                == ["host key"])
        #expect(
            refusals(host: signature, service: own, ring: ring, [try signed()]).map { $0.prefix(11) }
                == ["service key"])
        #expect(
            refusals(host: signature, service: own, ring: ring, [try signed(), try signed(stranger)]) == [])
    }

    @Test func `what the ring says of a key holds where a policy inlines it`() throws {
        let inlined = AdmissionPolicy(keys: [inline(build)], required: [PredicateType.signature.text])
        let evidence = [try signed()]
        #expect(refusals(service: inlined, ring: try ring(), evidence) == [])
        #expect(refusals(service: inlined, ring: KeyRing(), evidence) == [])
        let revoked = try ring { _ = try $0.revoke("release", reason: "stolen", now: Fixture.now) }
        #expect(
            refusals(service: inlined, ring: revoked, evidence) == [
                "service revoked: the key was revoked at 2026-03-01T12:00:00.000Z: stolen"
            ])
        var late = Fixture.trusted(build, "release")
        late.validFrom = now + .seconds(1)
        var early = Fixture.trusted(build, "release")
        early.validUntil = now
        for (key, words) in [
            (late, "not-yet-valid: the key is trusted from 2026-03-01T12:00:01.000Z on"),
            (early, "expired: the key was trusted until 2026-03-01T12:00:00.000Z"),
        ] {
            var ring = KeyRing()
            try ring.add(key)
            #expect(
                refusals(service: inlined, ring: ring, evidence) == [
                    "service \(words), and now it is 2026-03-01T12:00:00.000Z"
                ])
        }
    }

    @Test func `a key of another role is refused by its role, inlined or not`() throws {
        let evidence = [
            Evidence.bundle(
                SigstoreBundle(
                    hint: deploy.publicKey.id.text,
                    envelope: try Envelope(
                        signing: Fixture.statement().bytes, type: Statement.payloadType, with: deploy,
                        as: .deploy)
                ).bytes)
        ]
        let inlined = AdmissionPolicy(keys: [inline(deploy)], required: [PredicateType.signature.text])
        for policy in [signature, inlined] {
            #expect(
                refusals(host: policy, ring: try ring(), evidence) == [
                    "host role: a deploy key signed a signature (https://sigstore.dev/cosign/sign/v1), which is a build key's work"
                ])
        }
    }

    @Test func `requirements without any key refuse`() throws {
        let provenanceRules = [
            signature, AdmissionPolicy(builders: ["https://ci.example"]),
            AdmissionPolicy(sources: ["https://git.example"]),
            AdmissionPolicy(maximumAge: .seconds(60)),
        ]
        for policy in provenanceRules {
            #expect(
                refusals(host: policy, ring: KeyRing(), [try signed()]) == [
                    "host key: the policy names no key, and the host has none whose signatures could count"
                ])
        }
        let broken = AdmissionPolicy(
            keys: [.init(name: "release.pub", publicKey: "%%%")], required: [PredicateType.signature.text])
        #expect(
            refusals(service: broken, ring: try ring(), [try signed()]) == [
                "service key: the key release.pub of the policy is no base64"
            ])
        let signer = try SigningKey(generating: .ledger)
        let otherKind = AdmissionPolicy(keys: [inline(signer)], required: [PredicateType.signature.text])
        #expect(
            refusals(service: otherKind, ring: KeyRing(), [try signed()]) == [
                "service key: this is a key of the kind ed25519, and a build key is of the kind ecdsa-p256-sha256"
            ])
    }

    @Test func `without its age a policy still asks for the provenance that has the age in it`() {
        var named = signature
        named.maximumAge = .seconds(60)
        let admission = Admission(
            host: AdmissionPolicy(maximumAge: .seconds(60)), service: named, ring: KeyRing())
        #expect(admission.timeless.host?.required == [PredicateType.provenance.text])
        #expect(
            admission.timeless.service?.required == [
                PredicateType.signature.text, PredicateType.provenance.text,
            ])
        #expect(admission.timeless.timeless == admission.timeless)
        #expect(admission.timeless.asking.allSatisfy { $0.policy.maximumAge == nil })
    }

    // MARK: Known faults

    private func faulty(_ change: (inout VulnerabilityRule) -> Void = { _ in }) -> AdmissionPolicy {
        var rule = VulnerabilityRule(feed: "/feed.json", atLeast: .high, maximumFeedAge: .seconds(86_400))
        change(&rule)
        return AdmissionPolicy(vulnerabilities: rule)
    }

    private func feed(_ faults: [KnownFault], writtenAt: Instant? = nil) -> [String: FaultFeed.Reading] {
        ["/feed.json": .read(FaultFeed(faults: faults, records: 1000, writtenAt: writtenAt ?? now))]
    }

    @Test func `an image without a known fault starts, and one with it is refused by whoever asks`() throws {
        let feed = feed([backdoor])
        var mended = xz
        mended.source?.version = "5.6.1+really5.4.5-1"
        #expect(refusals(host: faulty(), ring: KeyRing(), [], packages: [mended], feeds: feed) == [])
        let said =
            "vulnerable: liblzma5 5.6.0-1 has CVE-2024-3094: critical, mended in 5.6.1+really5.4.5-1"
        #expect(
            refusals(host: faulty(), service: faulty(), ring: KeyRing(), [], packages: [xz], feeds: feed)
                == ["host \(said)", "service \(said)"])
    }

    @Test func `what a service excepts, the host does not`() throws {
        let lenient = faulty {
            $0.exceptions = [
                .init(id: "CVE-2024-3094", until: Fixture.now + .seconds(60), reason: "not reached")
            ]
        }
        let feed = feed([backdoor])
        #expect(refusals(service: lenient, ring: KeyRing(), [], packages: [xz], feeds: feed) == [])
        #expect(
            refusals(host: faulty(), service: lenient, ring: KeyRing(), [], packages: [xz], feeds: feed).map {
                $0.prefix(15)
            } == ["host vulnerable"])
        guard
            case .accepted(_, let excepted) = Admission(host: nil, service: lenient, ring: KeyRing()).decide(
                image: Fixture.image, evidence: [], packages: [xz], feeds: feed, now: now)
        else {
            Issue.record("refused")
            return
        }
        #expect(excepted.map(\.reason) == ["not reached"])
    }

    @Test
    func `a feed that is missing, unreadable, too old or of tomorrow refuses, whatever is in the image`() {
        let unreadable = Failure(.corruptArchive, "it is cut off", at: "byte 17")
        let old = now + .seconds(-86_401)
        let table: [([String: FaultFeed.Reading], String)] = [
            ([:], "there is no feed /feed.json"),
            (["/feed.json": .missing], "there is no feed /feed.json"),
            (
                ["/feed.json": .unreadable(unreadable)],
                "the feed /feed.json cannot be used: it is cut off (byte 17)"
            ),
            (
                ["/feed.json": .packagesUnknown(unreadable)],
                "the image's packages cannot be told, nor their faults: it is cut off (byte 17)"
            ),
            (feed([], writtenAt: old), "the feed /feed.json was written at \(old), more than 1d ago"),
            (
                feed([], writtenAt: now + .seconds(301)),
                "the feed /feed.json was written at \(now + .seconds(301)), which is yet to come: now it is \(now)"
            ),
        ]
        for (feeds, said) in table {
            #expect(refusals(host: faulty(), ring: KeyRing(), [], feeds: feeds) == ["host feed: \(said)"])
        }
        let justYoungEnough = feed([], writtenAt: now + .seconds(-86_400))
        #expect(refusals(host: faulty(), ring: KeyRing(), [], feeds: justYoungEnough) == [])
        let anyAge = faulty { $0.maximumFeedAge = nil }
        #expect(refusals(host: anyAge, ring: KeyRing(), [], feeds: feed([], writtenAt: old)) == [])
    }

    @Test func `many faults are named to a bound, and the others are counted`() {
        let packages = (1...30).map {
            InstalledPackage(name: "p\($0)", version: "1", architecture: "all")
        }
        let faults = packages.map {
            KnownFault(id: "CVE-1", package: $0.name, severity: .high, affected: .every)
        }
        let found = refusals(host: faulty(), ring: KeyRing(), [], packages: packages, feeds: feed(faults))
        #expect(found.count == 21 && found.last == "host vulnerable: 10 more faults of its packages")
    }

    /// Whatever the two ask for: together they accept exactly what each of them accepts alone.
    @Test func `neither policy weakens the other`() throws {
        var random = SeededGenerator(seed: 5)
        let types = [PredicateType.signature, .provenance, .billOfMaterials]
        let signers = [build, stranger]
        let evidence = try types.flatMap { type in try signers.map { try signed($0, type) } }
        let ring = try ring()
        var (accepted, refused) = (0, 0)
        func policy() -> AdmissionPolicy? {
            if Int.random(in: 0...3, using: &random) == 0 { return nil }
            var policy = AdmissionPolicy(
                required: types.filter { _ in Bool.random(using: &random) }.map(\.text))
            if Bool.random(using: &random) {
                policy.keys = signers.filter { _ in Bool.random(using: &random) }.map { inline($0) }
            }
            if Bool.random(using: &random) {
                policy.vulnerabilities =
                    faulty { $0.atLeast = Severity.allCases.randomElement(using: &random)! }
                    .vulnerabilities
            }
            return policy
        }
        for _ in 0..<400 {
            let (host, service) = (policy(), policy())
            let beside = evidence.filter { _ in Int.random(in: 0...3, using: &random) > 0 }
            var fault = backdoor
            fault.severity = Severity.allCases.randomElement(using: &random)!
            func refusals(_ host: AdmissionPolicy?, _ service: AdmissionPolicy?) -> [String] {
                self.refusals(
                    host: host, service: service, ring: ring, beside, packages: [xz], feeds: feed([fault]))
            }
            let together = refusals(host, service)
            #expect(together == refusals(host, nil) + refusals(nil, service))
            if together.isEmpty { accepted += 1 } else { refused += 1 }
        }
        #expect(accepted > 20 && refused > 20, "\(accepted), \(refused)")
    }
}
