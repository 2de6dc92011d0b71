package import Model
internal import Planning
internal import Ports
internal import Trust

extension ServiceController {
    /// Says yes to the gate that waits. A signed yes is verified against the very state that it changes.
    func approve(
        _ gate: String?, envelope: [UInt8]?, by operatorName: String, saying reason: String?
    ) async throws -> Rollout {
        let (now, keys) = (world.clock.now, world.keys)
        return try await change(saying: reason) { state, known in
            var signed: SignedApproval?
            var trusted: Set<String> = []
            if let envelope {
                let ring = try keys()
                signed = try ServiceController.verified(
                    envelope, gate: gate, state, known, keys: ring, now: now)
                trusted = Set(
                    ring.keys.filter { $0.role == .deploy && $0.standing(at: now) == .trusted }
                        .map(\.publicKey.id.text))
            }
            let notes = try state.approve(gate, signed: signed, trusted: trusted, at: now, by: operatorName)
            return (nil, notes, state.rollout!)
        }
    }

    /// Refuses gates that nobody could open, before anything moves: too few of those whom they name have a key here.
    static func requireApprovers(
        _ content: Release.Content, _ keys: () throws -> KeyRing, at now: Instant
    ) throws {
        let asked = content.rollout.gates.compactMap { gate in
            if case .approval(let approvers?) = gate.kind { (gate, approvers) } else { nil }
        }
        guard !asked.isEmpty else { return }
        let known = Set(
            try keys().keys.filter { $0.role == .deploy && $0.standing(at: now) == .trusted }.map(\.name))
        let problems = asked.compactMap { gate, approvers -> Failure? in
            let missing = approvers.names.filter { !known.contains($0) }
            guard approvers.names.count - missing.count < approvers.count else { return nil }
            return Failure(
                .notTrusted,
                "gate \(gate.name) takes an approval by \(approvers), and this host trusts no deploy key of "
                    + missing.joined(separator: ", "), at: "rollout",
                suggestion: "kiln key trust \(missing[0]) FILE.pub --role deploy, or name others")
        }
        if !problems.isEmpty { throw Failures(problems) }
    }

    private static func verified(
        _ envelope: [UInt8], gate: String?, _ state: ServiceState, _ known: [ReleaseNumber: Release],
        keys: KeyRing, now: Instant
    ) throws -> SignedApproval {
        _ = try state.openApproval(gate)
        guard let rollout = state.rollout, let release = known[rollout.to],
            let request = try ApprovalRequest(rollout, of: release)
        else { throw Failure(.notFound, "the release that is rolled out is not known any more") }
        do {
            let verified = try Approval.verify(envelope, asked: request, keys: keys, now: now)
            return SignedApproval(
                verified.given(at: now), envelope: String(decoding: verified.envelope, as: UTF8.self))
        } catch let refusal as ApprovalRefusal {
            throw refusal.failure(for: request)
        }
    }
}

extension ServiceSnapshot {
    /// What a gate that is open asks a person; nil where none does.
    package func approvalRequest() throws -> ApprovalRequest? {
        guard let rollout = state.rollout, let release = releases[rollout.to] else { return nil }
        return try ApprovalRequest(rollout, of: release)
    }
}
