internal import Model

/// What a key is for. A key does the work of its own role and of no other, however good its signature.
package enum KeyRole: String, Hashable, Sendable, Codable, CaseIterable {
    /// Signs images and what is said of how they were made.
    case build
    /// Signs approvals and what was decided at admission.
    case deploy
    /// Signs checkpoints of the ledger.
    case ledger

    package var algorithm: KeyAlgorithm {
        switch self {
        case .build, .deploy: .p256
        case .ledger: .ed25519
        }
    }

    /// Throws unless a key can do this role's work.
    package func require(_ key: PublicKey) throws {
        guard key.algorithm != algorithm else { return }
        throw Failure(
            .keyUnusable,
            "this is a key of the kind \(key.algorithm.rawValue), and a \(rawValue) key is of the kind "
                + algorithm.rawValue, suggestion: "`kiln key generate NAME --role \(rawValue)` makes one")
    }

    /// What its keys sign, for people.
    package var work: String {
        switch self {
        case .build: "images and attestations"
        case .deploy: "approvals and verification summaries"
        case .ledger: "checkpoints of the ledger"
        }
    }
}

/// The two kinds of keys that there are; a role fixes which.
package enum KeyAlgorithm: String, Hashable, Sendable, Codable {
    /// ECDSA on P-256 with SHA-256; signatures are ASN.1 DER.
    case p256 = "ecdsa-p256-sha256"
    /// Pure Ed25519 (RFC 8032); signatures are 64 bytes.
    case ed25519
}
