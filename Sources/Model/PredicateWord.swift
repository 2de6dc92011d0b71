/// What people call the statements that Kiln itself makes.
package enum PredicateWord: String, Hashable, Sendable, CaseIterable {
    case signature, provenance, sbom

    /// The whole type of its predicate.
    package var type: String {
        switch self {
        case .signature: "https://sigstore.dev/cosign/sign/v1"
        case .provenance: "https://slsa.dev/provenance/v1"
        case .sbom: "https://spdx.dev/Document"
        }
    }

    /// The type that is meant: by its word, or written out.
    package static func type(_ text: String) -> String { PredicateWord(rawValue: text)?.type ?? text }

    /// As people would write it.
    package static func text(_ type: String) -> String {
        allCases.first { $0.type == type }?.rawValue ?? type
    }
}
