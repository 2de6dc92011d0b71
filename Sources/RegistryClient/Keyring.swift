internal import Foundation
internal import Model

/// What a request wants to do with a repository (distribution's token scope).
struct Scope: Hashable, Sendable, Comparable, CustomStringConvertible {
    var repository: String
    var isPush: Bool

    var description: String { "repository:\(repository):\(isPush ? "pull,push" : "pull")" }

    static func < (left: Scope, right: Scope) -> Bool { left.description < right.description }
}

/// The proofs that registries gave or accepted, for as long as they hold. In memory only.
actor Keyring {
    private struct Key: Hashable {
        var origin: WebAddress.Origin
        var scopes: Set<Scope>
    }

    private struct Proof {
        var header: String
        var ends: Instant?
    }

    /// A token is not used in its last seconds: it must hold until the request arrives.
    private static let margin = Span.seconds(5)

    private var tokens: [Key: Proof] = [:]
    private var passwords: [Key: String] = [:]

    /// The `Authorization` for a request, if one is known that holds.
    func header(_ origin: WebAddress.Origin, _ scopes: Set<Scope>, now: Instant) -> String? {
        let key = Key(origin: origin, scopes: scopes)
        if let proof = tokens[key] {
            if let ends = proof.ends, now > ends { return nil }
            return proof.header
        }
        return passwords[key]
    }

    func remember(_ header: String, _ origin: WebAddress.Origin, _ scopes: Set<Scope>) {
        passwords[Key(origin: origin, scopes: scopes)] = header
    }

    func remember(token: Token, _ origin: WebAddress.Origin, _ scopes: Set<Scope>, now: Instant) {
        tokens[Key(origin: origin, scopes: scopes)] = Proof(
            header: "Bearer \(token.text)",
            ends: Instant(milliseconds: (now + token.lifetime).milliseconds - Keyring.margin.milliseconds))
    }
}

/// What a token server gave.
struct Token: Hashable, Sendable {
    var text: String
    var lifetime: Span

    /// What a token holds that does not say how long (distribution's token spec).
    static let usualLifetime = Span.seconds(60)
    static let longestLifetime = Span.seconds(86_400)
}
