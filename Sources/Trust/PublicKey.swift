internal import Crypto
internal import Foundation
internal import Model

/// A key that signatures are checked with, as X.509 writes it (SubjectPublicKeyInfo): what `openssl` and `cosign` read.
package struct PublicKey: Hashable, Sendable {
    package let algorithm: KeyAlgorithm
    /// SubjectPublicKeyInfo in DER. There is one such text for each key, so it can be compared and hashed.
    package let der: [UInt8]

    private static let p256Prefix: [UInt8] = [
        0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
        0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
    ]
    private static let ed25519Prefix: [UInt8] = [
        0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
    ]

    /// Takes an uncompressed point of P-256 (65 bytes) or an Ed25519 key (32 bytes).
    package init(_ algorithm: KeyAlgorithm, raw: [UInt8]) throws {
        let isValid =
            switch algorithm {
            case .p256: (try? P256.Signing.PublicKey(x963Representation: raw)) != nil && raw.count == 65
            case .ed25519: (try? Curve25519.Signing.PublicKey(rawRepresentation: raw)) != nil
            }
        guard isValid else { throw PublicKey.unusable("its numbers are no point of the curve") }
        self.algorithm = algorithm
        der = (algorithm == .p256 ? PublicKey.p256Prefix : PublicKey.ed25519Prefix) + raw
    }

    /// Reads SubjectPublicKeyInfo of P-256 with an uncompressed point, or of Ed25519.
    package init(der: [UInt8]) throws {
        for (algorithm, prefix) in [
            (KeyAlgorithm.p256, PublicKey.p256Prefix), (.ed25519, PublicKey.ed25519Prefix),
        ] where der.starts(with: prefix) {
            try self.init(algorithm, raw: Array(der.dropFirst(prefix.count)))
            return
        }
        throw PublicKey.unusable("it is neither of the curve P-256 nor an Ed25519 key")
    }

    /// Reads `-----BEGIN PUBLIC KEY-----`.
    package init(pem: String) throws { try self.init(der: try PEM.decode(pem, label: "PUBLIC KEY")) }

    package var pem: String { PEM.encode(der, label: "PUBLIC KEY") }

    /// The point or number alone.
    package var raw: [UInt8] {
        Array(
            der.dropFirst(
                algorithm == .p256 ? PublicKey.p256Prefix.count : PublicKey.ed25519Prefix.count))
    }

    /// Names the key: the base64 of the SHA-256 of its DER, which is also the hint in a bundle of sigstore's.
    package var id: KeyID { KeyID(text: Base64.encode(Array(SHA256.hash(data: der)))) }

    /// Whether `signature` was made of exactly these bytes by the private half.
    package func verifies(_ signature: [UInt8], of message: [UInt8]) -> Bool {
        switch algorithm {
        case .p256:
            guard let key = try? P256.Signing.PublicKey(x963Representation: raw),
                let signature = try? P256.Signing.ECDSASignature(derRepresentation: signature)
            else { return false }
            return key.isValidSignature(signature, for: message)
        case .ed25519:
            guard signature.count == 64, let key = try? Curve25519.Signing.PublicKey(rawRepresentation: raw)
            else { return false }
            return key.isValidSignature(signature, for: message)
        }
    }

    private static func unusable(_ why: String) -> Failure {
        Failure(
            .keyUnusable, "this public key cannot be used: \(why)",
            suggestion: "`kiln key generate` makes one that can")
    }
}

/// The name of a key, made from the key itself.
package struct KeyID: Hashable, Sendable, CustomStringConvertible {
    /// 44 characters of base64.
    package let text: String

    package var description: String { text }
    /// Enough to tell keys apart on a screen.
    package var short: String { String(text.prefix(12)) }
}
