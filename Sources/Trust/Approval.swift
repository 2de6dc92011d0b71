package import Model

/// A person's yes to one gate of one rollout, as a statement that a deploy key signs.
package struct Approval: Hashable, Sendable {
    package var service: ServiceKey
    package var rollout: Int
    package var gate: String
    /// The digest of the release's content: what the statement is about.
    package var release: Digest
    package var plan: Digest
    /// When the signer says that it was signed.
    package var at: Instant
    package var message: String
    /// The key that signs, as it calls itself: it tells an altered approval from one by a key that is not known.
    package var keyID: String

    package enum Limit {
        /// As it is handed in, with whatever spaces.
        package static let bytes = 16 << 10
        /// Without them: what an entry of the ledger holds whole, so that the evidence lasts as long as the ledger.
        package static let envelope = LedgerEntry.Limit.text
        package static let message = 500
        /// An older one was meant for another day.
        package static let age = Span.seconds(86_400)
        /// How far the clocks of two machines may be apart.
        package static let skew = Span.seconds(300)
    }

    /// A yes to what is asked. Throws where the message is too long, or the request's digests are not those of what it
    /// shows.
    package init(to request: ApprovalRequest, with key: PublicKey, at: Instant, message: String) throws {
        guard message.utf8.count <= Limit.message else {
            throw Failure(
                .invalidArgument, "the message has more than \(Limit.message) bytes",
                suggestion: "say it in a sentence")
        }
        try request.requireHonest()
        (service, rollout, gate) = (request.service, request.rollout, request.gate)
        (release, plan) = (request.digest, request.plan)
        (self.at, self.message, keyID) = (at, message, key.id.text)
    }

    package var statement: Statement {
        let subject = Statement.Subject(name: "\(service)", digest: release)
        return Statement(
            subjects: [subject], predicateType: .approval,
            predicate: .object([
                "service": .string("\(service)"), "rollout": .number(rollout), "gate": .string(gate),
                "plan": .object(["sha256": .string(plan.hex)]), "time": .string("\(at)"),
                "message": .string(message), "key": .string(keyID),
            ]))
    }

    /// Reads a statement. Says nothing about who signed it.
    package init(_ statement: Statement) throws {
        guard statement.predicateType == .approval else {
            throw ApprovalRefusal.malformed("it is \(statement.predicateType.called), and no approval")
        }
        let predicate = statement.predicate
        guard statement.subjects.count == 1, let rollout = predicate["rollout"]?.number,
            let gate = predicate["gate"]?.text, let service = predicate["service"]?.text,
            let plan = predicate["plan"]?["sha256"]?.text, let message = predicate["message"]?.text,
            let at = predicate["time"]?.text.flatMap(Instant.init), let keyID = predicate["key"]?.text,
            let key = try? ServiceKey(parsing: service), let digest = try? Digest(hex: plan)
        else { throw ApprovalRefusal.malformed("it lacks a part of an approval") }
        (self.service, self.rollout, self.gate) = (key, rollout, gate)
        (release, self.plan) = (statement.subjects[0].digest, digest)
        (self.at, self.message, self.keyID) = (at, message, keyID)
    }

    /// Signs it; refused by a key of another role, and where the message makes it too long to be kept.
    package func signed(with key: SigningKey) throws -> Envelope {
        let envelope = try statement.signed(with: key)
        guard envelope.json.bytes.count <= Limit.envelope else {
            throw Failure(
                .invalidArgument, "the approval has more than \(Limit.envelope) bytes",
                suggestion: "write a shorter message, without control characters")
        }
        return envelope
    }
}

/// An approval that was verified: who gave it, and the bytes that prove it.
package struct VerifiedApproval: Hashable, Sendable {
    package var approval: Approval
    package var name: String
    /// The signed envelope in one spelling, whatever spaces it came with.
    package var envelope: [UInt8]
    /// SHA-256 of `envelope`.
    package var evidence: Digest

    /// What the rollout keeps of it.
    package func given(at now: Instant) -> GivenApproval {
        GivenApproval(
            gate: approval.gate, name: name, keyID: approval.keyID, evidence: evidence, at: now,
            message: approval.message)
    }
}

extension Approval {
    /// Whether signed bytes are a yes to exactly what is asked, by somebody who may say it, now. Throws an
    /// `ApprovalRefusal`. Asks neither network nor clock.
    ///
    /// The signature comes first: of what nobody vouches for, only the key's name is read, to tell what went wrong.
    package static func verify(
        _ bytes: [UInt8], asked request: ApprovalRequest, keys: KeyRing, now: Instant
    ) throws -> VerifiedApproval {
        let envelope = try readEnvelope(bytes)
        guard let key = keys.keys.first(where: { envelope.isSigned(by: $0.publicKey) }) else {
            throw unverified(envelope, keys)
        }
        guard key.role == .deploy else { throw ApprovalRefusal.wrongRole(key.called) }
        switch key.standing(at: now) {
        case .trusted: break
        case .revoked(let revocation): throw ApprovalRefusal.revoked(key.called, revocation.reason)
        case .expired(let end): throw ApprovalRefusal.expired(key.called, end)
        case .notYet(let begin): throw ApprovalRefusal.notYet(key.called, begin)
        }
        let approval = try read(envelope)
        guard approval.keyID == key.publicKey.id.text else {
            throw ApprovalRefusal.malformed("it names another key than the one that signed it")
        }
        try approval.require(request, now)
        if let approvers = request.approvers, !approvers.names.contains(key.name) {
            throw ApprovalRefusal.notNamed(key.name, approvers)
        }
        let spelling = envelope.json.bytes
        guard spelling.count <= Limit.envelope else {
            throw ApprovalRefusal.malformed("it has more than \(Limit.envelope) bytes")
        }
        return VerifiedApproval(
            approval: approval, name: key.name, envelope: spelling, evidence: Digest.sha256(of: spelling))
    }

    private static func readEnvelope(_ bytes: [UInt8]) throws -> Envelope {
        guard bytes.count <= Limit.bytes else {
            throw ApprovalRefusal.malformed("it has more than \(Limit.bytes) bytes")
        }
        do {
            return try Envelope(parsing: bytes)
        } catch let failure as Failure {
            throw ApprovalRefusal.malformed(failure.message)
        }
    }

    private static func read(_ envelope: Envelope) throws -> Approval {
        guard envelope.payloadType == Statement.payloadType else {
            throw ApprovalRefusal.malformed("what is signed is no in-toto statement")
        }
        do {
            return try Approval(try Statement(parsing: envelope.payload))
        } catch let failure as Failure {
            throw ApprovalRefusal.malformed(failure.message)
        }
    }

    private static func unverified(_ envelope: Envelope, _ keys: KeyRing) -> ApprovalRefusal {
        guard let claim = try? read(envelope).keyID else { return .unknownKey(nil) }
        if let named = keys.keys.first(where: { $0.publicKey.id.text == claim }) {
            return .altered(named.called)
        }
        return .unknownKey(claim)
    }

    /// Of the approval itself: is it to this, and of today?
    private func require(_ request: ApprovalRequest, _ now: Instant) throws {
        guard service == request.service else {
            throw ApprovalRefusal.otherService(service, asked: request.service)
        }
        guard rollout == request.rollout else {
            throw ApprovalRefusal.otherRollout(rollout, asked: request.rollout)
        }
        guard gate == request.gate else { throw ApprovalRefusal.otherGate(gate, asked: request.gate) }
        guard release == request.digest else { throw ApprovalRefusal.otherRelease(release) }
        guard plan == request.plan else { throw ApprovalRefusal.otherPlan(plan) }
        guard at <= now + Limit.skew else { throw ApprovalRefusal.fromTheFuture(at) }
        guard now - at <= Limit.age + Limit.skew else { throw ApprovalRefusal.tooOld(at) }
    }
}

/// What a rollout does, by its digest: what an approval is to besides the release.
private struct PlanOfRollout: Encodable {
    var service: ServiceKey
    var rollout: Int
    var from: ReleaseNumber?
    var release: ReleaseNumber
    var releaseDigest: Digest
    var stages: [RolloutStage]
}

extension ApprovalRequest {
    /// SHA-256 of what exactly is approved, as canonical JSON (sorted keys): the service, the rollout's number, the
    /// release before, the release by number and digest, and the rollout's stages: how many instances, which part of the
    /// traffic, what is waited for, and by whom each gate is opened.
    package static func planDigest(
        service: ServiceKey, rollout: Int, from: ReleaseNumber?, release: ReleaseNumber,
        releaseDigest: Digest, stages: [RolloutStage]
    ) throws -> Digest {
        let plan = PlanOfRollout(
            service: service, rollout: rollout, from: from, release: release, releaseDigest: releaseDigest,
            stages: stages)
        return Digest.sha256(of: [UInt8](try CanonicalJSON.encode(plan)))
    }

    /// What an open gate of a rollout asks; nil where none is open that a person opens.
    package init?(_ rollout: Rollout, of release: Release) throws {
        guard rollout.to == release.number, let gate = rollout.openApproval else { return nil }
        let approvers: Approvers? = if case .approval(let by) = gate.kind { by } else { nil }
        self.init(
            service: release.key, rollout: rollout.number, gate: gate.name, release: release.number,
            digest: release.digest,
            plan: try ApprovalRequest.planDigest(
                service: release.key, rollout: rollout.number, from: rollout.from, release: release.number,
                releaseDigest: release.digest, stages: rollout.stages),
            from: rollout.from, content: release.content, stages: rollout.stages, approvers: approvers,
            given: rollout.approvals(of: gate.name))
    }

    /// Throws where the digests are not those of what the request shows: nobody should sign what he cannot see.
    package func requireHonest() throws {
        let plan = try ApprovalRequest.planDigest(
            service: service, rollout: rollout, from: from, release: release, releaseDigest: digest,
            stages: stages)
        guard try content.digest() == digest, plan == self.plan else {
            throw Failure(
                .notTrusted, "the request's digests are not those of the release and plan that it shows",
                suggestion: "ask again with this version of kiln: kiln rollout request \(service) --save FILE"
            )
        }
    }
}
