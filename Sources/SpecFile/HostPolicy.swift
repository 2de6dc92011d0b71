package import Model

/// A host's policy file, `ROOT/policy.yaml`: what every image has to prove there, whatever its service asks for, and who
/// may go into instances.
package enum HostPolicy {
    /// Its name in the root folder.
    package static let name = "policy.yaml"

    /// Reads it. Throws `Failures` with every problem found, each `file:line` with what to write; an unknown key is
    /// one of them, since a rule with a slip in its name would protect nobody.
    package static func parse(_ text: String, file: String) throws -> PolicyDraft {
        var problems = Problems(file: file)
        let advice = "write what images must prove, such as require: [signature], or remove the file"
        let policy = SpecDocument.read(text, advice: advice, problems: &problems).flatMap {
            PolicyKeys.hostForm.read($0, Label(text: "the policy", key: nil), &problems)
        }
        if let failures = problems.failures { throw failures }
        guard let policy else {
            throw Failure(.internalError, "the policy was refused without a reason", at: file)
        }
        return policy
    }

    /// The JSON Schema of such a file (draft 2020-12), for editors.
    package static var schema: String {
        SpecSchema.document(
            title: "policy.yaml", "What every image has to prove before it may start on a host.",
            PolicyKeys.hostAll)
    }
}
