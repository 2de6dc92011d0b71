package import Model
package import Ports
internal import Trust

/// Tries a gate with images that must not pass it, and with one that must: a control that silently does nothing is
/// worse than none.
package struct AdmissionSelfTest: Sendable {
    /// An empty store that nobody else uses.
    private let scratch: any ImageStore
    private let now: Instant
    private let image = Digest.sha256(of: Array("an image that Kiln's daemon tries its own gate with".utf8))
    private let key = try! SigningKey(generating: .build)

    package init(scratch: any ImageStore, now: Instant) {
        self.scratch = scratch
        self.now = now
    }

    /// Throws `notTrusted` where the gate lets pass what it must not.
    ///
    /// - Parameters:
    ///   - gate: the one that decides from now on
    ///   - trial: the same over the scratch store, for a host that says this
    ///   - host: what the host says
    package func run(
        gate: any AdmissionController, trial: (any HostTrust) -> any AdmissionController, host: any HostTrust
    ) async throws {
        let unknown = await decide(gate)
        try expect(unknown, refusedFor: .unsigned, "an image that nobody signed")
        if try host.rules().policy?.asksForStatements == true, await decide(gate, asking: nil).isAdmitted {
            throw broken("an image that nobody signed passed the host's policy")
        }
        for attempt in try attempts() {
            // A record without evidence first: what an attempt leaves counts for the next one otherwise.
            try scratch.record(
                ImageRecord(digest: attempt.image, service: nil, bakedAt: now, size: 0, packages: 0))
            try await scratch.add(evidence: [attempt.evidence], to: attempt.image)
            let verdict = await decide(
                trial(attempt.host ?? host), attempt.image, asking: attempt.policy ?? policy,
                attempt.occasion)
            if let rule = attempt.rule {
                try expect(verdict, refusedFor: rule, attempt.name)
            } else if let refusal = verdict.refusals.first(where: { $0.message.hasPrefix(Asked.service) }) {
                // What the host asks beyond that, no image of a test can satisfy.
                throw broken("\(attempt.name) was refused: \(refusal.message)")
            }
        }
    }

    private struct Attempt {
        var name: String
        var image: Digest
        var evidence: [UInt8]
        /// nil: it must pass.
        var rule: TrustRule?
        /// What is asked; nil: a signature.
        var policy: AdmissionPolicy?
        var occasion = AdmissionOccasion.new
        /// nil: the host as it is.
        var host: Host?
    }

    /// A host that asks for nothing, and knows of one key that it is worth nothing any more.
    private struct Host: HostTrust {
        var revoked: TrustedKey

        func rules() throws -> HostRules {
            var ring = KeyRing()
            try ring.add(revoked)
            return HostRules(policy: nil, policyDigest: Digest.sha256(of: [UInt8]()), ring: ring)
        }
    }

    private func attempts() throws -> [Attempt] {
        func named(_ name: String) -> Digest { Digest.sha256(of: image.hex.utf8 + Array(name.utf8)) }
        let good = try bundle(about: named("good"), by: key)
        var altered = try SigstoreBundle(parsing: try bundle(about: named("altered"), by: key))
        altered.envelope.payload += [UInt8(ascii: " ")]
        var (aged, faulty) = (policy, policy)
        (aged.required, aged.maximumAge) = ([], .seconds(1))
        // No host has a feed there.
        faulty.vulnerabilities = VulnerabilityRule(feed: "/dev/null/feed", atLeast: .low)
        let made = Provenance(
            recipe: nil, source: nil, materials: [], builder: "urn:kiln:self-test", startedOn: nil,
            finishedOn: now)
        let provenance = made.statement(about: Statement.Subject(name: "self-test", digest: named("revoked")))
        let revocation = TrustedKey.Revocation(at: now, reason: "the daemon tries its own gate")
        let revoked = TrustedKey(
            name: "self-test", publicKey: key.publicKey, role: .build, revocation: revocation)
        return [
            Attempt(name: "a signed image", image: named("good"), evidence: good),
            Attempt(
                name: "an image signed by a stranger", image: named("stranger"),
                evidence: try bundle(about: named("stranger"), by: try SigningKey(generating: .build)),
                rule: .key),
            Attempt(
                name: "an image with another one's signature", image: named("other"), evidence: good,
                rule: .subject),
            Attempt(
                name: "an image whose signature was altered", image: named("altered"),
                evidence: altered.bytes, rule: .signature),
            Attempt(
                name: "an image launched again after its key was revoked", image: named("revoked"),
                evidence: try SigstoreBundle(provenance, signedWith: key).bytes, rule: .revoked,
                policy: aged, occasion: .again, host: Host(revoked: revoked)),
            Attempt(
                name: "an image whose known faults nobody can tell", image: named("faulty"),
                evidence: try bundle(about: named("faulty"), by: key), rule: .feed, policy: faulty),
        ]
    }

    private func bundle(about image: Digest, by key: SigningKey) throws -> [UInt8] {
        let statement = Statement.signature(about: Statement.Subject(name: "self-test", digest: image))
        return try SigstoreBundle(statement, signedWith: key).bytes
    }

    private var policy: AdmissionPolicy {
        let trusted = AdmissionPolicy.Key(name: "self-test", publicKey: Base64.encode(key.publicKey.der))
        return AdmissionPolicy(keys: [trusted], required: [PredicateType.signature.text])
    }

    private func decide(_ gate: any AdmissionController, _ image: Digest? = nil) async -> AdmissionVerdict {
        await decide(gate, image, asking: policy)
    }

    private func decide(
        _ gate: any AdmissionController, _ image: Digest? = nil, asking policy: AdmissionPolicy?,
        _ occasion: AdmissionOccasion = .new
    ) async -> AdmissionVerdict {
        await gate.decide(
            image ?? self.image, asking: policy, for: ServiceKey(try! ServiceName("self-test")), occasion,
            at: now)
    }

    private enum Asked {
        static let service = "the service's policy, "
    }

    private func expect(_ verdict: AdmissionVerdict, refusedFor rule: TrustRule, _ what: String) throws {
        guard !verdict.isAdmitted else { throw broken("\(what) passed") }
        // Refused by the service's own rule, and not only by what the host asks on top of it.
        let wanted = "\(Asked.service)rule \(rule.rawValue):"
        guard verdict.refusals.contains(where: { $0.message.hasPrefix(wanted) }) else {
            throw broken("\(what) was refused for another reason: \(verdict.refusals[0].message)")
        }
    }

    private func broken(_ why: String) -> Failure {
        Failure(
            .notTrusted, "the daemon's own admission gate does not work: \(why)",
            suggestion: "do not serve with this build; run its tests, and report this")
    }
}

extension AdmissionPolicy {
    /// Whether anything has to be signed.
    fileprivate var asksForStatements: Bool {
        !required.isEmpty || builders != nil || sources != nil || maximumAge != nil
    }
}
