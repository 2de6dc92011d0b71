package import Model

/// Why a signed approval does not count.
package enum ApprovalRefusal: Error, Hashable, Sendable {
    case malformed(String)
    /// nil: it does not even say which.
    case unknownKey(String?)
    /// The key that it names did not sign these bytes.
    case altered(String)
    case wrongRole(String)
    case revoked(String, String)
    case expired(String, Instant)
    case notYet(String, Instant)
    case otherService(ServiceKey, asked: ServiceKey)
    /// A replay: it was given to another rollout.
    case otherRollout(Int, asked: Int)
    case otherGate(String, asked: String)
    case otherRelease(Digest)
    case otherPlan(Digest)
    case tooOld(Instant)
    case fromTheFuture(Instant)
    /// The key is good, and the gate does not ask for it.
    case notNamed(String, Approvers)

    /// In words, with the command that gets further.
    package func failure(for request: ApprovalRequest) -> Failure {
        let code: Failure.Code = if case .malformed = self { .malformedEvidence } else { .notTrusted }
        return Failure(code, "the approval does not count: \(why)", suggestion: remedy(request))
    }

    private var why: String {
        switch self {
        case .malformed(let what): "it cannot be read: \(what)"
        case .unknownKey(let id):
            "no key of this host signed it" + (id.map { "; it names \($0.prefix(60))" } ?? "")
        case .altered(let key): "\(key) did not sign these bytes: they were changed"
        case .wrongRole(let key): "\(key) signs no approvals: only deploy keys do"
        case .revoked(let key, let reason): "\(key) is revoked: \(reason)"
        case .expired(let key, let end): "\(key) is not trusted since \(end)"
        case .notYet(let key, let begin): "\(key) is not trusted before \(begin)"
        case .otherService(let other, let asked): "it is for \(other), not for \(asked)"
        case .otherRollout(let other, let asked): "it is for rollout \(other), and this is rollout \(asked)"
        case .otherGate(let other, let asked): "it is for the gate \(other.prefix(60)), not for \(asked)"
        case .otherRelease(let digest): "it is for the release \(digest), which is not this one"
        case .otherPlan(let digest): "it is for the plan \(digest), which is not this one"
        case .tooOld(let at): "it is from \(at): older than \(Approval.Limit.age)"
        case .fromTheFuture(let at): "it says that it is from \(at), which is yet to come"
        case .notNamed(let name, let approvers): "\(name) is not asked: it takes \(approvers)"
        }
    }

    private func remedy(_ request: ApprovalRequest) -> String {
        let names = request.approvers?.names.joined(separator: "|") ?? "NAME"
        let command = "kiln rollout approve \(request.service) --gate \(request.gate) --key \(names)"
        return switch self {
        case .unknownKey: "`kiln key list` shows this host's keys; \(command)"
        case .fromTheFuture: "set the clocks; \(command)"
        default: command
        }
    }
}
