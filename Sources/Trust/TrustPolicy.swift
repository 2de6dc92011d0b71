package import Model

/// What must be proven of an image before it may run. An image is refused unless every rule is satisfied.
package struct TrustPolicy: Hashable, Sendable {
    package var keys: [TrustedKey]
    /// Each must be there, signed by a trusted key of the role that it belongs to. Compared exactly.
    package var required: [PredicateType]
    /// Builders whose provenance is believed; nil for any.
    package var builders: Set<String>?
    /// Repositories that images may come from, as the provenance writes them; nil for any.
    package var sources: Set<String>?
    /// Whether a bake from a folder with changes that no commit has will do, where `sources` are given.
    package var allowsDirtySources: Bool
    /// How long ago the bake may have ended; nil for any time.
    package var maximumAge: Span?
    /// What the image is asked for as; nil where any name will do.
    package var reference: SignedName?

    package enum Limit {
        package static let keys = 100
        /// What is looked at for one image. Anybody who can write to a registry can put things beside an image.
        package static let evidence = 100
        /// Clocks of different machines differ by this much.
        package static let clockSkew = Span.seconds(300)
    }

    package init(
        keys: [TrustedKey], required: [PredicateType] = [.signature], builders: Set<String>? = nil,
        sources: Set<String>? = nil, allowsDirtySources: Bool = false, maximumAge: Span? = nil
    ) {
        self.keys = keys
        self.required = required
        self.builders = builders
        self.sources = sources
        self.allowsDirtySources = allowsDirtySources
        self.maximumAge = maximumAge
    }

    /// Rules about how an image was made need the statement that says it.
    package var demanded: [PredicateType] {
        let needsProvenance = builders != nil || sources != nil || maximumAge != nil
        return required + (needsProvenance && !required.contains(.provenance) ? [.provenance] : [])
    }
}

/// Something that was found beside an image and may speak for it.
package enum Evidence: Hashable, Sendable {
    /// A sigstore bundle, as it came.
    case bundle([UInt8])
    /// A payload of simple signing, as it came, and its signature in base64.
    case simpleSigning(payload: [UInt8], signature: String)
}

/// The rules by name, the ones that fail earlier first. Scripts match on them, so they are never renamed.
package enum TrustRule: String, Hashable, Sendable, Codable, CaseIterable, Comparable {
    case unsigned
    case malformed
    case key
    case signature
    case notYetValid = "not-yet-valid"
    case expired
    case revoked
    case role
    case subject
    /// It was signed under another name than the one that is asked for.
    case reference
    case predicate
    case builder
    case source
    case age
    /// The feed of known faults is missing, cannot be read, is too old, or says nothing of the image's distribution.
    case feed
    case vulnerable

    private var rank: Int { TrustRule.allCases.firstIndex(of: self) ?? 0 }

    package static func < (left: TrustRule, right: TrustRule) -> Bool { left.rank < right.rank }
}

/// Why an image may not run: which rule, which key was seen, and what would satisfy it.
package struct TrustRefusal: Hashable, Sendable {
    package var rule: TrustRule
    package var message: String
    /// A trusted key's name, or the identity that an unknown one claims; nil where none was seen.
    package var keySeen: String?
    package var remedy: String

    package init(_ rule: TrustRule, _ message: String, keySeen: String?, remedy: String) {
        self.rule = rule
        self.message = message
        self.keySeen = keySeen
        self.remedy = remedy
    }

    package var failure: Failure {
        // Of known faults no key tells anything.
        let seen = [.feed, .vulnerable].contains(rule) ? "" : "; key seen: \(keySeen ?? "none")"
        return Failure(.notTrusted, "rule \(rule.rawValue): \(message)\(seen)", suggestion: remedy)
    }
}

/// A statement that counts.
package struct Believed: Hashable, Sendable {
    package var predicateType: PredicateType
    package var key: TrustedKey
    /// nil in the form of simple signing, which has none.
    package var statement: Statement?
    /// SHA-256 of the bytes that were signed over.
    package var payload: Digest
    /// SHA-256 of the document as it lies beside the image: the bundle, or the payload of simple signing.
    package var document: Digest
}

package enum TrustDecision: Hashable, Sendable {
    case accepted([Believed])
    /// One for each requirement that nothing satisfies.
    case refused([TrustRefusal])
}
