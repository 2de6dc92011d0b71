internal import Model
package import Trust

/// That an entry is in a log, for whoever has the log's key and nothing else (c2sp.org/tlog-proof).
package struct LedgerProof: Hashable, Sendable {
    package var index: Int
    /// The nearest to the entry first.
    package var hashes: [MerkleHash]
    /// The signed head that it leads to.
    package var note: SignedNote

    private static let firstLine = "c2sp.org/tlog-proof@v1"

    package enum Limit {
        /// A log of 2^62 entries needs no more.
        static let hashes = 63
        package static let bytes = 2 << 20
    }

    package init(index: Int, hashes: [MerkleHash], note: SignedNote) {
        self.index = index
        self.hashes = hashes
        self.note = note
    }

    package var bytes: [UInt8] {
        let lines =
            [LedgerProof.firstLine, "index \(index)"] + hashes.map { Base64.encode($0.bytes) } + [""]
        return Array(lines.map { $0 + "\n" }.joined().utf8) + note.bytes
    }

    package init(parsing bytes: [UInt8]) throws {
        let newline = UInt8(ascii: "\n")
        guard bytes.count <= Limit.bytes,
            let blank = bytes.indices.dropLast().first(where: {
                bytes[$0] == newline && bytes[$0 + 1] == newline
            })
        else { throw LedgerProof.damaged }
        let lines = bytes[..<blank].split(separator: newline, omittingEmptySubsequences: false).map {
            String(decoding: $0, as: UTF8.self)
        }
        guard lines.count >= 2, lines.count <= Limit.hashes + 2, lines[0] == LedgerProof.firstLine,
            lines[1].hasPrefix("index "), let index = Int(lines[1].dropFirst(6)), index >= 0,
            lines[1] == "index \(index)"
        else { throw LedgerProof.damaged }
        self.index = index
        hashes = try lines.dropFirst(2).map { line in
            guard let hash = Base64.decodeStandard(line).flatMap({ MerkleHash(bytes: $0) }) else {
                throw LedgerProof.damaged
            }
            return hash
        }
        note = try SignedNote(parsing: Array(bytes[(blank + 2)...]))
    }

    /// Whether it proves that these bytes are an entry of the log whose key this is.
    package func proves(_ entry: [UInt8], signedBy key: NoteKey) throws -> Bool {
        let checkpoint = try Checkpoint(opening: note.bytes, with: key)
        return MerkleProof.includes(
            MerkleHash(leaf: entry), at: index, size: checkpoint.size, root: checkpoint.root, proof: hashes)
    }

    private static let damaged = Failure(
        .malformedEvidence, "this is no proof: its first lines are \(firstLine) and an index")
}
