package import Model

/// What is said about some content (in-toto attestation framework, Statement v1).
package struct Statement: Hashable, Sendable {
    package static let payloadType = "application/vnd.in-toto+json"
    private static let type = "https://in-toto.io/Statement/v1"

    /// Something named by its digest.
    package struct Subject: Hashable, Sendable {
        package var name: String
        package var digest: Digest

        package init(name: String, digest: Digest) {
            self.name = name
            self.digest = digest
        }
    }

    package var subjects: [Subject]
    package var predicateType: PredicateType
    package var predicate: JSONValue

    package enum Limit {
        package static let subjects = 1000
    }

    package init(subjects: [Subject], predicateType: PredicateType, predicate: JSONValue) {
        self.subjects = subjects
        self.predicateType = predicateType
        self.predicate = predicate
    }

    /// "I signed this", about one subject.
    package static func signature(about subject: Subject) -> Statement {
        Statement(subjects: [subject], predicateType: .signature, predicate: .object([:]))
    }

    package var bytes: [UInt8] {
        JSONValue.object([
            "_type": .string(Statement.type), "predicateType": .string(predicateType.text),
            "predicate": predicate,
            "subject": .array(
                subjects.map {
                    var members: [String: JSONValue] = [
                        "digest": .object(["sha256": .string($0.digest.hex)])
                    ]
                    if !$0.name.isEmpty { members["name"] = .string($0.name) }
                    return .object(members)
                }),
        ]).bytes
    }

    /// Subjects without a SHA-256 are left out: nothing here can be named by them.
    package init(parsing bytes: [UInt8]) throws {
        let json = try Malformed.reading(bytes)
        guard json["_type"]?.text == Statement.type else {
            throw Malformed.evidence("the payload is no in-toto statement of version 1")
        }
        guard let type = json["predicateType"]?.text, let subjects = json["subject"]?.elements,
            (1...Limit.subjects).contains(subjects.count)
        else { throw Malformed.evidence("the statement lacks its subjects or the type of its predicate") }
        self.subjects = try subjects.compactMap { subject in
            guard let digests = subject["digest"]?.members else {
                throw Malformed.evidence("a subject of the statement has no digest")
            }
            guard let hex = digests["sha256"]?.text else { return nil }
            return Subject(name: subject["name"]?.text ?? "", digest: try Digest(hex: hex))
        }
        predicateType = PredicateType(type)
        predicate = json["predicate"] ?? .object([:])
        guard predicate.members != nil else { throw Malformed.evidence("the predicate is no object") }
    }

    /// Signs the statement with a key of the role that its type belongs to.
    package func signed(with key: SigningKey) throws -> Envelope {
        guard let role = predicateType.role else {
            throw Failure(.invalidArgument, "no role of ours signs \(predicateType)")
        }
        return try Envelope(signing: bytes, type: Statement.payloadType, with: key, as: role)
    }
}

/// What kind of thing a statement says. Compared exactly: one kind never stands for another.
package struct PredicateType: Hashable, Sendable, CustomStringConvertible {
    package let text: String

    package init(_ text: String) { self.text = text }

    /// "I signed this", and nothing more.
    package static let signature = PredicateType(PredicateWord.signature.type)
    package static let provenance = PredicateType(PredicateWord.provenance.type)
    package static let billOfMaterials = PredicateType(PredicateWord.sbom.type)
    package static let verificationSummary = PredicateType("https://slsa.dev/verification_summary/v1")
    /// A person's yes to a gate: docs/trust.md says what is in it.
    package static let approval = PredicateType("urn:kiln:approval:v1")

    /// Whose work it is; nil for what Kiln does not know.
    package var role: KeyRole? {
        switch self {
        case .signature, .provenance, .billOfMaterials: .build
        case .verificationSummary, .approval: .deploy
        default: nil
        }
    }

    /// For people: `a signature (https://…)`.
    package var called: String {
        switch self {
        case .signature: "a signature (\(text))"
        case .provenance: "a provenance (\(text))"
        case .billOfMaterials: "a bill of materials (\(text))"
        case .verificationSummary: "a verification summary (\(text))"
        case .approval: "an approval (\(text))"
        default: text
        }
    }

    package var description: String { text }
}
