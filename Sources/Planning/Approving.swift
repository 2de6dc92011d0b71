package import Model

/// A yes to a gate, and what the ledger is to know of it.
package struct SignedApproval: Hashable, Sendable {
    package var given: GivenApproval
    /// The envelope as text: whoever asks later can verify it.
    package var envelope: String

    package init(_ given: GivenApproval, envelope: String) {
        self.given = given
        self.envelope = envelope
    }

    var details: [String: String] {
        [
            "gate": given.gate, "name": given.name, "key": given.keyID, "evidence": "\(given.evidence)",
            "message": given.message, "envelope": envelope,
        ]
    }
}

/// Gates that people open.
extension ServiceState {
    /// Says yes to a gate that asks for a person; nil: to the one that is open.
    ///
    /// - Parameters:
    ///   - signed: a yes whose signature was verified against what this rollout asks
    ///   - trusted: the keys that are trusted now, by their identities; what others gave before counts no more
    package mutating func approve(
        _ gate: String?, signed: SignedApproval? = nil, trusted: Set<String> = [], at now: Instant,
        by operatorName: String
    ) throws -> [Note] {
        let open = try openApproval(gate)
        let release = rollout?.to
        let approvers: Approvers? = if case .approval(let by) = open.kind { by } else { nil }
        guard let signed else {
            if let approvers { throw unsigned(open, approvers) }
            let said = Note(
                .approved, "\(operatorName) approved gate \(open.name)", release: release, by: operatorName,
                details: ["gate": open.name])
            return [said] + pass(open, "approved by \(operatorName)", at: now, by: operatorName)
        }
        assert(signed.given.gate == open.name, "the approval was verified for this gate")
        rollout?.approvals.removeAll { $0.gate == open.name && !trusted.contains($0.keyID) }
        let before = rollout?.approvals(of: open.name) ?? []
        // The answer to the first may have been lost on its way.
        if before.contains(where: { $0.evidence == signed.given.evidence }) { return [] }
        guard !before.contains(where: { $0.name == signed.given.name }) else {
            throw Failure(
                .conflict,
                "\(signed.given.name) has approved gate \(open.name) already: one person counts once",
                suggestion: "it needs \(approvers?.description ?? "nobody else")")
        }
        rollout?.approvals.append(signed.given)
        let count = rollout?.approvalText(of: open).map { " (\($0))" } ?? ""
        let said = Note(
            .approved, "\(signed.given.name) approved gate \(open.name)\(count)", release: release,
            by: operatorName, details: signed.details)
        let names = (before.map(\.name) + [signed.given.name]).sorted()
        guard names.count >= approvers?.count ?? 1 else { return [said] }
        return [said]
            + pass(open, "approved by \(names.joined(separator: ", "))", at: now, by: operatorName)
    }

    /// The gate that waits for a person; throws where none does, or another than the one that is meant.
    package func openApproval(_ gate: String?) throws -> Gate {
        let rollout = try underWay()
        guard let open = rollout.openApproval else {
            throw Failure(
                .conflict, "the rollout of \(rollout.to) does not wait for an approval now",
                suggestion: "`kiln rollout status \(key)` shows what it waits for")
        }
        if let gate, gate != open.name {
            throw Failure(
                .notFound, "the rollout waits for the gate \(open.name), not for \(gate)",
                suggestion: "kiln rollout approve \(key) --gate \(open.name)")
        }
        return open
    }

    private mutating func pass(
        _ gate: Gate, _ detail: String, at now: Instant, by operatorName: String
    ) -> [Note] {
        rollout?.gates[gate.name] = .passed(at: now, detail: detail)
        // It was paused for want of this very answer.
        if let pause = rollout?.pause, !pause.isByHand { rollout?.pause = nil }
        return [
            Note(
                .gatePassed, "gate \(gate.name) passed: \(detail)", release: rollout?.to, by: operatorName)
        ]
    }

    private func unsigned(_ gate: Gate, _ approvers: Approvers) -> Failure {
        let sofar = rollout?.approvalText(of: gate) ?? ""
        return Failure(
            .notPermitted, "gate \(gate.name) takes a signed approval by \(approvers) (\(sofar))",
            suggestion: "kiln rollout approve \(key) --gate \(gate.name) --key "
                + approvers.names.joined(separator: "|"))
    }

    /// Refuses what would go around gates that only certain people open.
    func requireMet(_ gates: [Gate], instead what: String) throws {
        for gate in gates {
            guard case .approval(let approvers?) = gate.kind, let rollout, !rollout.isPassed(gate) else {
                continue
            }
            throw Failure(
                .notPermitted,
                "gate \(gate.name) takes a signed approval by \(approvers); \(what) does not stand in for it",
                suggestion: "kiln rollout approve \(key) --gate \(gate.name) --key "
                    + approvers.names.joined(separator: "|"))
        }
    }
}

extension Rollout {
    func isPassed(_ gate: Gate) -> Bool { if case .passed = gates[gate.name] { true } else { false } }

    /// The gates from the current stage on that are asked before `end` begins.
    func gates(before end: Int) -> [Gate] {
        stages[min(stage, end)..<end].compactMap { if case .gate(let gate) = $0.wait { gate } else { nil } }
    }

    /// Those that were not met.
    func openGates(before end: Int) -> [Gate] { gates(before: end).filter { !isPassed($0) } }

    /// What is told of a person who goes on without these gates.
    func bypassing(_ gates: [Gate], by operatorName: String?) -> [Note] {
        guard !gates.isEmpty else { return [] }
        let names = gates.map(\.name).joined(separator: ", ")
        let who = operatorName ?? "a newer rollout"
        return [
            Note(
                .bypassed, "\(who) went on without what \(to) waited for: \(names)", release: to,
                by: operatorName)
        ]
    }

    /// How far it may go without the stages between: to where the new release has all traffic, but past no gate that
    /// only certain people open, however much the old release has failed.
    var furthestStage: Int {
        let end = finalStage
        let signed = (min(stage, end)..<end).first { index in
            guard case .gate(let gate) = stages[index].wait, case .approval(_?) = gate.kind else {
                return false
            }
            return !isPassed(gate)
        }
        return signed ?? end
    }
}
