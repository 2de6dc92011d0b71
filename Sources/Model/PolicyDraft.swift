/// A policy as people write it: its keys are named, and nobody has looked them up yet.
package struct PolicyDraft: Hashable, Sendable, Codable {
    /// In kiln.yaml PEM files beside it; in a host's policy names of its build keys, or absolute paths of PEM files.
    package var keys: [String]
    /// Everything else, with the feed's path as written.
    package var rules: AdmissionPolicy
    /// Of a host: who may go into its instances; nil: it does not say.
    package var breakGlass: BreakGlassRule?

    package init(keys: [String] = [], rules: AdmissionPolicy, breakGlass: BreakGlassRule? = nil) {
        self.breakGlass = breakGlass
        self.keys = keys
        self.rules = rules
    }

    /// The policy, with what each name of a key stands for, and the feed's path as the daemon will find it.
    package func resolved(
        key: (String) throws -> [AdmissionPolicy.Key], feed: (String) -> String = { $0 }
    ) rethrows -> AdmissionPolicy {
        var policy = rules
        policy.keys = []
        // The file of a key may be named by two paths.
        for found in try keys.flatMap(key)
        where !policy.keys.contains(where: { $0.publicKey == found.publicKey }) {
            policy.keys.append(found)
        }
        if let path = policy.vulnerabilities?.feed { policy.vulnerabilities?.feed = feed(path) }
        return policy
    }
}
