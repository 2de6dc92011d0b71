internal import Crypto
internal import Foundation
internal import Model

/// The half of a key that signs. Never shows itself in a text.
package struct PrivateKey: Sendable, CustomStringConvertible {
    package let publicKey: PublicKey
    /// PKCS #8 in DER.
    package let pkcs8: [UInt8]
    private let raw: [UInt8]

    private static let ed25519Prefix: [UInt8] = [
        0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
    ]

    package init(generating algorithm: KeyAlgorithm) throws {
        switch algorithm {
        case .p256: try self.init(algorithm, raw: Array(P256.Signing.PrivateKey().rawRepresentation))
        case .ed25519:
            try self.init(algorithm, raw: Array(Curve25519.Signing.PrivateKey().rawRepresentation))
        }
    }

    /// Takes the 32 bytes of the secret number or seed.
    package init(_ algorithm: KeyAlgorithm, raw: [UInt8]) throws {
        do {
            switch algorithm {
            case .p256:
                let key = try P256.Signing.PrivateKey(rawRepresentation: raw)
                publicKey = try PublicKey(.p256, raw: Array(key.publicKey.x963Representation))
                pkcs8 = Array(key.derRepresentation)
            case .ed25519:
                let key = try Curve25519.Signing.PrivateKey(rawRepresentation: raw)
                publicKey = try PublicKey(.ed25519, raw: Array(key.publicKey.rawRepresentation))
                pkcs8 = PrivateKey.ed25519Prefix + raw
            }
        } catch {
            throw PrivateKey.unusable
        }
        self.raw = raw
    }

    /// Reads PKCS #8.
    package init(pkcs8: [UInt8], _ algorithm: KeyAlgorithm) throws {
        switch algorithm {
        case .p256:
            guard let key = try? P256.Signing.PrivateKey(derRepresentation: pkcs8) else {
                throw PrivateKey.unusable
            }
            try self.init(algorithm, raw: Array(key.rawRepresentation))
        case .ed25519:
            guard pkcs8.starts(with: PrivateKey.ed25519Prefix) else { throw PrivateKey.unusable }
            try self.init(algorithm, raw: Array(pkcs8.dropFirst(PrivateKey.ed25519Prefix.count)))
        }
    }

    /// ASN.1 DER of P-256, 64 bytes of Ed25519.
    package func signature(of message: [UInt8]) throws -> [UInt8] {
        switch publicKey.algorithm {
        case .p256:
            Array(
                try P256.Signing.PrivateKey(rawRepresentation: raw).signature(for: message).derRepresentation)
        case .ed25519:
            Array(try Curve25519.Signing.PrivateKey(rawRepresentation: raw).signature(for: message))
        }
    }

    package var description: String { "private key of \(publicKey.id.short)" }

    private static let unusable = Failure(
        .keyUnusable, "this private key cannot be used: its numbers are none of the curve's",
        suggestion: "take the key file from a copy, or rotate the key")
}
