package import Model

/// A witness's word that it saw a checkpoint at a time, after all earlier ones of the log were in it
/// (c2sp.org/tlog-cosignature, Ed25519).
package struct Cosignature: Hashable, Sendable {
    /// A witness's public key with the name that it signs under.
    package struct Key: Hashable, Sendable, CustomStringConvertible {
        package let name: String
        package let publicKey: PublicKey
        /// The first four bytes of `SHA256(name ‖ 0A ‖ 04 ‖ key)`.
        package let hash: [UInt8]

        package init(name: String, publicKey: PublicKey) throws {
            self.name = name
            self.publicKey = publicKey
            hash = try NoteKey.hash(name, publicKey, kind: Cosignature.kind)
        }

        package var description: String {
            NoteKey.text(name, hash, publicKey, kind: Cosignature.kind)
        }

        /// Reads `witness.example/w1+8a0a1f4c+BL…`, as witnesses publish their keys.
        package init(parsing text: String) throws {
            (name, publicKey) = try NoteKey.parts(of: text, kind: Cosignature.kind, called: "a witness's key")
            hash = try NoteKey.hash(name, publicKey, kind: Cosignature.kind)
        }
    }

    package var key: Key
    /// To the second.
    package var time: Instant

    private static let kind: UInt8 = 4

    private static func message(_ seconds: Int, _ text: String) -> [UInt8] {
        Array("cosignature/v1\ntime \(seconds)\n\(text)".utf8)
    }

    /// Signs as a witness does.
    package static func signature(
        of note: SignedNote, at time: Instant, by key: Key, _ privateKey: PrivateKey
    ) throws -> SignedNote.Signature {
        let seconds = time.milliseconds / 1000
        let stamp = (0..<8).reversed().map { UInt8(truncatingIfNeeded: seconds >> ($0 * 8)) }
        return SignedNote.Signature(
            name: key.name, hash: key.hash,
            bytes: stamp + (try privateKey.signature(of: message(seconds, note.text))))
    }

    /// The cosignatures of these witnesses under a note. Throws where one of them is named by a signature that is
    /// not its.
    package static func all(under note: SignedNote, by witnesses: [Key]) throws -> [Cosignature] {
        var found: [Cosignature] = []
        for signature in note.signatures {
            guard let key = witnesses.first(where: { $0.name == signature.name && $0.hash == signature.hash })
            else { continue }
            // Eight bytes of seconds, the high one first, then the signature.
            let seconds = signature.bytes.prefix(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
            guard signature.bytes.count == 72, seconds <= UInt64(Int.max / 1000),
                key.publicKey.verifies(
                    Array(signature.bytes.dropFirst(8)), of: message(Int(seconds), note.text))
            else {
                throw Failure(
                    .badSignature, "the checkpoint was not signed so by the witness \(key.name)",
                    suggestion: "ask the witness for the checkpoint that it has of this log")
            }
            if !found.contains(where: { $0.key == key }) {
                found.append(Cosignature(key: key, time: Instant(milliseconds: Int(seconds) * 1000)))
            }
        }
        return found
    }
}
