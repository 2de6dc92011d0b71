internal import Foundation
package import Model
package import Trust

/// The key that a root folder's ledger signs its checkpoints with, as the daemon needs it: open, with nobody there to
/// type a passphrase.
package struct LedgerKey: Sendable {
    package let key: SigningKey
    /// Every key that this ledger ever signed with.
    package let known: [PublicKey]
    /// What is to be logged where the key was made just now.
    package let made: LedgerEntry?
    /// Why those who go by the list of keys do not believe what it signs now. It signs all the same: a log that nobody
    /// signs can be changed unseen.
    package let warning: Failure?

    package static let name = "ledger"

    /// Opens the key, and makes one where there is none that may be used.
    package static func ready(root: String, at now: Instant) throws -> LedgerKey {
        try ready(in: KeyFolder(path: root + "/keys"), at: now)
    }

    static func ready(in folder: KeyFolder, at now: Instant) throws -> LedgerKey {
        let ring = try folder.ring()
        guard ring.keys.contains(where: { $0.name == name && $0.revocation == nil }) else {
            return try make(in: folder, now)
        }
        let current = try ring.current(name)
        guard current.role == .ledger else {
            throw Failure(
                .keyUnusable, "the key \(name) is a \(current.role.rawValue) key, and signs no checkpoints",
                at: folder.path,
                suggestion: "the name \(name) is for the ledger's own key: keep the other elsewhere")
        }
        let key = try folder.file(of: current).opened {
            throw Failure(
                .keyUnusable, "the key \(name) has a passphrase, and the daemon has nobody to ask for it",
                at: folder.privatePath(current), suggestion: "kiln key rotate \(name) --no-passphrase")
        }
        return LedgerKey(
            key: key, known: known(ring), made: nil, warning: warning(current, at: now, folder.path))
    }

    private static func warning(_ key: TrustedKey, at now: Instant, _ place: String) -> Failure? {
        key.standing(at: now).doubt.map {
            Failure(
                .keyUnusable, "the ledger signs with the key \(key.called), which \($0)", at: place,
                suggestion: "kiln key rotate \(key.name) --no-passphrase, and start the daemon anew")
        }
    }

    private static func make(in folder: KeyFolder, _ now: Instant) throws -> LedgerKey {
        let key = try SigningKey(generating: .ledger)
        let trusted = TrustedKey(name: name, publicKey: key.publicKey, role: .ledger, validFrom: now)
        let file = try KeyFile(key, passphrase: nil)
        do {
            let ring = try folder.change { ring in
                try ring.add(trusted)
                try folder.store(file, for: trusted)
                return ring
            }
            let entry = LedgerEntry(
                .key, "a key for the ledger was made", at: now, by: LedgerEntry.daemon,
                details: [
                    "act": "generate", "name": name, "role": KeyRole.ledger.rawValue,
                    "key": key.publicKey.id.text,
                ])
            return LedgerKey(key: key, known: known(ring), made: entry, warning: nil)
        } catch let failure as Failure where failure.code == .conflict {
            // Somebody else made one in the meantime.
            return try ready(in: folder, at: now)
        }
    }

    /// Whatever they are worth now: what a key once signed is compared with, and believed no further.
    static func known(_ ring: KeyRing) -> [PublicKey] {
        ring.keys.filter { $0.role == .ledger }.map(\.publicKey)
    }

    /// Why what a key signed is not to be believed now: `was revoked at …`; nil where it is, or the ring does not have it.
    static func doubt(_ key: PublicKey, _ ring: KeyRing, at now: Instant) -> String? {
        ring.keys.first { $0.publicKey == key }?.standing(at: now).doubt
    }

    /// What the log is called where nobody says: this host's name is what tells it from others.
    package static var usualOrigin: String {
        var name = [CChar](repeating: 0, count: 256)
        gethostname(&name, name.count - 1)
        let host = String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return "\(host.isEmpty ? "localhost" : host)/ledger"
    }
}

extension TrustedKey.Standing {
    /// For people, after the key's name; nil where it is trusted.
    fileprivate var doubt: String? {
        switch self {
        case .trusted: nil
        case .notYet(let from): "is trusted only from \(from) on"
        case .expired(let at): "was trusted until \(at)"
        case .revoked(let revocation): "was revoked at \(revocation.at): \(revocation.reason)"
        }
    }
}
