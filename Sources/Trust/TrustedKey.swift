package import Model

/// A public key that somebody decided to trust: for one role, for a time, until it is revoked.
package struct TrustedKey: Hashable, Sendable {
    /// The end of all trust in a key: when somebody said so, and why.
    package struct Revocation: Hashable, Sendable {
        package var at: Instant
        package var reason: String

        package init(at: Instant, reason: String) {
            self.at = at
            self.reason = reason
        }
    }

    package var name: String
    package var publicKey: PublicKey
    package var role: KeyRole
    /// nil: since ever.
    package var validFrom: Instant?
    /// The first moment at which it is trusted no more; nil: for ever.
    package var validUntil: Instant?
    package var revocation: Revocation?

    package init(
        name: String, publicKey: PublicKey, role: KeyRole, validFrom: Instant? = nil,
        validUntil: Instant? = nil, revocation: Revocation? = nil
    ) {
        self.name = name
        self.publicKey = publicKey
        self.role = role
        self.validFrom = validFrom
        self.validUntil = validUntil
        self.revocation = revocation
    }

    /// What a key is worth at one moment.
    package enum Standing: Hashable, Sendable {
        case trusted
        case notYet(from: Instant)
        case expired(at: Instant)
        case revoked(Revocation)
    }

    /// What the key is worth now. A signature proves no time of its own, so the time that counts is that of looking:
    /// a revoked key's signatures are worth nothing, whenever they say that they were made.
    package func standing(at now: Instant) -> Standing {
        if let revocation { return .revoked(revocation) }
        if let validFrom, now < validFrom { return .notYet(from: validFrom) }
        if let validUntil, now >= validUntil { return .expired(at: validUntil) }
        return .trusted
    }

    /// `ci (build, 3q2+7w…)`, for people.
    package var called: String { "\(name) (\(role.rawValue), \(publicKey.id.short)…)" }
}
