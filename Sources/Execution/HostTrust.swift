package import Model
package import Trust

/// What a host asks of images, and whom it trusts, as its files say now.
package protocol HostTrust: Sendable {
    /// Read at every decision, so that a revocation counts at once. Throws where nothing that was ever read can be
    /// relied on.
    func rules() throws -> HostRules
}

package struct HostRules: Sendable {
    /// nil where the host asks for nothing itself.
    package var policy: AdmissionPolicy?
    /// SHA-256 of the policy in canonical JSON, with the keys in it; of nothing where there is none.
    package var policyDigest: Digest
    package var ring: KeyRing
    /// Why the files as they are now cannot be used; what was read last goes on.
    package var problem: Failure?

    package init(
        policy: AdmissionPolicy?, policyDigest: Digest, ring: KeyRing, problem: Failure? = nil
    ) {
        self.policy = policy
        self.policyDigest = policyDigest
        self.ring = ring
        self.problem = problem
    }
}
