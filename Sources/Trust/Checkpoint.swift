internal import Model

/// The head of a log: how long it is, and the root of all that is in it (c2sp.org/tlog-checkpoint).
package struct Checkpoint: Hashable, Sendable {
    /// Names the log, for ever: `host.example/ledger`.
    package var origin: String
    package var size: Int
    package var root: MerkleHash
    /// Lines that others may add; none of ours.
    package var extensions: [String]

    package init(origin: String, size: Int, root: MerkleHash, extensions: [String] = []) {
        self.origin = origin
        self.size = size
        self.root = root
        self.extensions = extensions
    }

    package var text: String {
        ([origin, String(size), Base64.encode(root.bytes)] + extensions).map { $0 + "\n" }.joined()
    }

    package init(parsing text: String) throws {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        guard lines.count >= 4, lines.last == "", !lines.dropLast().contains(""),
            let size = Int(lines[1]), size >= 0, lines[1] == String(size),
            let root = Base64.decodeStandard(lines[2]).flatMap({ MerkleHash(bytes: $0) }),
            // Of one hash there is one text.
            Base64.encode(root.bytes) == lines[2]
        else {
            throw Failure(
                .malformedEvidence, "this is no checkpoint: its origin, its size and its root on a line each"
            )
        }
        self.init(origin: lines[0], size: size, root: root, extensions: Array(lines[3..<(lines.count - 1)]))
    }

    /// Signs under the log's own name.
    package func signed(with key: SigningKey) throws -> SignedNote {
        try SignedNote(signing: text, name: origin, with: key)
    }

    /// Reads a checkpoint that this key signed. Throws `badSignature` where it did not.
    package init(opening note: [UInt8], with key: NoteKey) throws {
        let note = try SignedNote(parsing: note)
        guard try note.signers([key]) == [key] else {
            let names = note.signatures.map(\.name).joined(separator: ", ")
            throw Failure(
                .badSignature, "the checkpoint is not signed by \(key.name)",
                suggestion: "it is signed by \(names); ask for the verifier key of that log")
        }
        try self.init(parsing: note.text)
        guard origin == key.name else {
            throw Failure(
                .badSignature, "the checkpoint is of the log \(origin), and the key is of \(key.name)")
        }
    }

    /// Throws `logInconsistent` unless this log begins with all of an older one.
    package func requireConsistency(with older: Checkpoint, proof: [MerkleHash]) throws {
        guard origin == older.origin else {
            throw Failure(.logInconsistent, "\(origin) and \(older.origin) are different logs")
        }
        guard size >= older.size else {
            throw Failure(
                .logInconsistent,
                "the log has \(size) entries, and had \(older.size) before: its end was cut off",
                at: origin, suggestion: "bring back the log from a copy that has them all")
        }
        guard
            MerkleProof.isConsistent(
                oldSize: older.size, oldRoot: older.root, newSize: size, newRoot: root, proof: proof)
        else {
            throw Failure(
                .logInconsistent,
                "the log of \(size) entries does not begin with the \(older.size) of before",
                at: origin, suggestion: "somebody rewrote its past: compare it with an exported copy")
        }
    }
}
