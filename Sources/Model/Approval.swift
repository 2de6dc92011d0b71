/// Whose yes a gate takes: people, by the names of their deploy keys.
package struct Approvers: Hashable, Sendable, Codable, CustomStringConvertible {
    /// Names in the host's key ring; each once.
    package var names: [String]
    /// How many of them have to say yes.
    package var count: Int

    package init(_ names: [String], count: Int = 1) {
        self.names = names
        self.count = count
    }

    package enum Limit {
        package static let names = 32
        package static let nameBytes = 64
    }

    /// Whether a text can name a key: lower case, digits and `. _ -` between them.
    package static func isKeyName(_ text: String) -> Bool {
        let isPlain: (UInt8) -> Bool = { (0x61...0x7a).contains($0) || (0x30...0x39).contains($0) }
        guard let first = text.utf8.first, let last = text.utf8.last, text.utf8.count <= Limit.nameBytes
        else { return false }
        return isPlain(first) && isPlain(last)
            && text.utf8.allSatisfy { isPlain($0) || [0x2d, 0x2e, 0x5f].contains($0) }
    }

    /// `alice`, `alice or bob`, `2 of alice, bob and carol`.
    package var description: String {
        count == 1 ? Approvers.list(names, "or") : "\(count) of \(Approvers.list(names, "and"))"
    }

    private static func list(_ names: [String], _ word: String) -> String {
        guard names.count > 1 else { return names.first ?? "nobody" }
        return names.dropLast().joined(separator: ", ") + " \(word) \(names[names.count - 1])"
    }
}

/// A yes that somebody signed and that was verified.
package struct GivenApproval: Hashable, Sendable, Codable {
    package var gate: String
    /// The name of the key.
    package var name: String
    /// The key itself: a name that was rotated has had several.
    package var keyID: String
    /// SHA-256 of the signed envelope.
    package var evidence: Digest
    /// When it was accepted here.
    package var at: Instant
    /// Why, as the person said.
    package var message: String

    package init(
        gate: String, name: String, keyID: String, evidence: Digest, at: Instant, message: String
    ) {
        self.gate = gate
        self.name = name
        self.keyID = keyID
        self.evidence = evidence
        self.at = at
        self.message = message
    }
}

/// What a rollout asks a person: which release, by which plan, at which gate. It holds all that the two digests are
/// made of, so that whoever signs can see for what.
package struct ApprovalRequest: Hashable, Sendable, Codable {
    package var service: ServiceKey
    /// The rollout's number: a later one of the same release asks anew.
    package var rollout: Int
    package var gate: String
    package var release: ReleaseNumber
    /// SHA-256 of `content`.
    package var digest: Digest
    /// SHA-256 of what the rollout does with it.
    package var plan: Digest
    package var from: ReleaseNumber?
    package var content: Release.Content
    package var stages: [RolloutStage]
    /// nil: anybody who may use the daemon.
    package var approvers: Approvers?
    /// Who has said yes already.
    package var given: [GivenApproval]

    package init(
        service: ServiceKey, rollout: Int, gate: String, release: ReleaseNumber, digest: Digest, plan: Digest,
        from: ReleaseNumber?, content: Release.Content, stages: [RolloutStage], approvers: Approvers?,
        given: [GivenApproval]
    ) {
        self.service = service
        self.rollout = rollout
        self.gate = gate
        self.release = release
        self.digest = digest
        self.plan = plan
        self.from = from
        self.content = content
        self.stages = stages
        self.approvers = approvers
        self.given = given
    }
}

extension Rollout {
    /// The signed yeses that a gate has, at most one of each name.
    package func approvals(of gate: String) -> [GivenApproval] { approvals.filter { $0.gate == gate } }

    /// `1 of 2: alice`; nil where anybody may say yes.
    package func approvalText(of gate: Gate) -> String? {
        guard case .approval(let approvers?) = gate.kind else { return nil }
        let names = approvals(of: gate.name).map(\.name).sorted()
        return "\(names.count) of \(approvers.count)"
            + (names.isEmpty ? "" : ": " + names.joined(separator: ", "))
    }
}

extension Rollout {
    /// The gate that waits for a person now, if one does.
    package var openApproval: Gate? {
        guard case .waiting = phase, case .gate(let gate) = currentStage.wait, case .approval = gate.kind,
            case .open = gates[gate.name]
        else { return nil }
        return gate
    }
}
