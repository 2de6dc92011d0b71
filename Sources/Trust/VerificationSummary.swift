package import Model

/// That an image was held against a policy, and what came of it (SLSA verification summary v1).
package struct VerificationSummary: Hashable, Sendable {
    /// Who looked: the name of a host's daemon.
    package var verifier: String
    package var verifiedAt: Instant
    /// What the image is for, as a URI.
    package var resource: String
    /// The policy by its bytes.
    package var policy: Digest
    /// The digests of the attestations that were believed, each as the document that it came in.
    package var evidence: [Digest]
    package var isPassed: Bool

    package init(
        verifier: String, verifiedAt: Instant, resource: String, policy: Digest, evidence: [Digest],
        isPassed: Bool
    ) {
        self.verifier = verifier
        self.verifiedAt = verifiedAt
        self.resource = resource
        self.policy = policy
        self.evidence = evidence
        self.isPassed = isPassed
    }

    /// The service that an image is for, as a URI: names of services and environments need no escape.
    package static func resource(_ service: ServiceKey) -> String { "urn:kiln:service:\(service)" }

    /// A resource that is known by its digest; the specification wants a URI of some.
    private static func resource(_ digest: Digest, uri: String? = nil) -> JSONValue {
        var members: [String: JSONValue] = ["digest": .object(["sha256": .string(digest.hex)])]
        members["uri"] = uri.map { .string($0) }
        return .object(members)
    }

    package var predicate: JSONValue {
        .object([
            "verifier": .object(["id": .string(verifier)]),
            "timeVerified": .string(verifiedAt.description), "resourceUri": .string(resource),
            "policy": VerificationSummary.resource(policy, uri: "urn:kiln:policy:sha256:\(policy.hex)"),
            "inputAttestations": .array(evidence.map { VerificationSummary.resource($0) }),
            "verificationResult": .string(isPassed ? "PASSED" : "FAILED"),
            // Kiln claims no level of SLSA's: those are for whoever audits the builder. That it failed is one.
            "verifiedLevels": .array(isPassed ? [] : [.string("FAILED")]), "slsaVersion": .string("1.0"),
        ])
    }

    package init(_ predicate: JSONValue) throws {
        guard let verifier = predicate["verifier"]?["id"]?.text,
            let time = predicate["timeVerified"]?.text.flatMap(Instant.init),
            let resource = predicate["resourceUri"]?.text,
            let policy = predicate["policy"]?["digest"]?["sha256"]?.text,
            let result = predicate["verificationResult"]?.text, ["PASSED", "FAILED"].contains(result)
        else { throw Malformed.evidence("the verification summary lacks a part, or says neither yes nor no") }
        self.init(
            verifier: verifier, verifiedAt: time, resource: resource, policy: try Digest(hex: policy),
            evidence: try (predicate["inputAttestations"]?.elements ?? []).map {
                try Digest(hex: $0["digest"]?["sha256"]?.text ?? "")
            }, isPassed: result == "PASSED")
    }

    package func statement(about subject: Statement.Subject) -> Statement {
        Statement(subjects: [subject], predicateType: .verificationSummary, predicate: predicate)
    }
}

extension VerificationSummary {
    /// The detail of an admission's entry in the ledger that holds the predicate.
    package static let detail = "summary"

    /// The statement that an entry of the ledger is evidence of; nil where it is about no admission that asked for
    /// anything. Throws where the entry and its evidence do not belong together.
    package static func statement(in entry: LedgerEntry) throws -> Statement? {
        guard entry.kind == .admission, let text = entry.details[detail], let image = entry.image,
            let service = entry.service
        else { return nil }
        let statement = Statement(
            subjects: [Statement.Subject(name: service.service.text, digest: image)],
            predicateType: .verificationSummary, predicate: try JSONValue(parsing: Array(text.utf8)))
        guard Digest.sha256(of: statement.bytes) == entry.evidence else {
            throw Malformed.evidence(
                "the entry's verification summary is not the one that it has the digest of")
        }
        return statement
    }
}
