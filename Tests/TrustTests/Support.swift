import Foundation
import Model
import Testing
import Trust
import TestKit

/// Other people's programs.
enum Tool {
    static let hasOpenSSL = shell("command -v openssl").status == 0
}

/// The failure that a piece of work ends with; nil where it succeeds.
func failure(_ body: () throws -> Void) -> Failure? {
    do {
        try body()
        return nil
    } catch {
        return Failure.list(error)[0]
    }
}

/// Things that many tests speak of.
enum Fixture {
    static let image = Digest.sha256(of: Array("image".utf8))
    static let other = Digest.sha256(of: Array("other".utf8))
    static let now = Instant("2026-03-01T12:00:00Z")!

    static func statement(_ type: PredicateType = .signature, _ digest: Digest = image) -> Statement {
        Statement(
            subjects: [Statement.Subject(name: "reg.example/app:v1", digest: digest)], predicateType: type,
            predicate: .object([:]))
    }

    static func trusted(_ key: SigningKey, _ name: String = "ci") -> TrustedKey {
        TrustedKey(name: name, publicKey: key.publicKey, role: key.role)
    }
}
