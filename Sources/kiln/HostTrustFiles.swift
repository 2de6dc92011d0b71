internal import CommandLineTool
internal import Execution
internal import Foundation
internal import Model
internal import Synchronization
internal import Trust

/// `ROOT/policy.yaml` and `ROOT/keys/keys.json`, which only the owner of the root folder can write to. Where one can no
/// longer be read, or is gone, what it said last goes on, and the other counts as it is now: a slip must neither
/// stop a host, nor open it, nor bring a revoked key back.
final class HostTrustFiles: HostTrust {
    private let root: String
    private let last = Mutex<HostRules?>(nil)

    init(root: String) { self.root = root }

    func rules() throws -> HostRules {
        try last.withLock { last in
            let rules = try read(last)
            last = rules
            return rules
        }
    }

    private func read(_ last: HostRules?) throws -> HostRules {
        var problem: Failure?
        /// What was read, or what was read last. The first time, a failure is one.
        func kept<Value>(_ old: Value?, _ read: () throws -> Value) throws -> Value {
            do { return try read() } catch {
                guard let old else { throw error }
                problem = Failure.list(error)[0]
                return old
            }
        }
        let ring = try kept(last?.ring) {
            let ring = try KeyFolder(path: root + "/keys").ring()
            if ring.keys.isEmpty, let last, !last.ring.keys.isEmpty {
                throw gone("the list of keys", "keys/keys.json")
            }
            return ring
        }
        let policy = try kept(last.map(\.policy)) {
            let policy = try PolicyReader.host(root: root, ring: ring)
            if policy == nil, last?.policy != nil { throw gone("the policy", "policy.yaml") }
            return policy
        }
        let bytes = try policy.map { [UInt8](try CanonicalJSON.encode($0)) } ?? []
        return HostRules(
            policy: policy, policyDigest: Digest.sha256(of: bytes), ring: ring, problem: problem)
    }

    private func gone(_ what: String, _ name: String) -> Failure {
        Failure(
            .fileMissing, "\(what) is gone, and what it said last goes on", at: "\(root)/\(name)",
            suggestion: "put it back; to ask for nothing from now on, start the daemon anew")
    }
}
