import Model

/// A policy in the words of kiln.yaml, for plans.
enum PolicyWords {
    /// Enough of a public key to tell two apart: its beginning says only of which kind it is.
    private static let keyCharacters = 12

    static func fields(_ policy: AdmissionPolicy) -> [String: String] {
        var fields = [
            // Without keys of its own, whose signatures count is the host's decision.
            "policy.keys": policy.keys.isEmpty
                ? "the host's build keys"
                : list(policy.keys.map { "\($0.name) (…\($0.publicKey.suffix(keyCharacters)))" }),
            "policy.require": list(policy.required.map(PredicateWord.text)),
            "policy.builders": list(policy.builders ?? []),
            "policy.sources": list(policy.sources ?? []),
            "policy.allow-dirty": policy.allowsDirtySources ? "true" : "",
            "policy.max-age": policy.maximumAge.map { "\($0)" } ?? "",
        ]
        if let rule = policy.vulnerabilities {
            fields["policy.vulnerabilities.feed"] = rule.feed
            fields["policy.vulnerabilities.refuse"] = rule.atLeast.rawValue
            fields["policy.vulnerabilities.unrated"] = rule.unrated.rawValue
            fields["policy.vulnerabilities.max-feed-age"] = rule.maximumFeedAge.map { "\($0)" } ?? ""
            for exception in rule.exceptions {
                let name = [exception.id, exception.package].compactMap { $0 }.joined(separator: ".")
                fields["policy.vulnerabilities.except.\(name)"] =
                    "until \(exception.until): \(exception.reason)"
            }
        }
        return fields
    }

    private static func list(_ words: [String]) -> String { words.joined(separator: ", ") }
}
