package import Trust

/// Somebody elsewhere who remembers how long the log was, and signs only what begins with that (c2sp.org/tlog-witness).
package struct Witness: Hashable, Sendable {
    /// Where it is asked: `/add-checkpoint` is added.
    package let address: String
    package let key: Cosignature.Key

    package init(address: String, key: Cosignature.Key) {
        var address = address
        while address.hasSuffix("/") { address.removeLast() }
        self.address = address
        self.key = key
    }
}

/// What a witness answers.
package enum WitnessAnswer: Hashable, Sendable {
    /// Its signature was checked.
    case signed(SignedNote.Signature, Cosignature)
    /// It has seen a log of this length already.
    case remembers(size: Int)
    /// It says that the log does not begin with what it has seen.
    case fork(reason: String)
    /// It does not know the log, does not want it, or answered what is no answer.
    case refused(reason: String)
    case silent(reason: String)
}

/// What is asked of a witness, and what its answer means: bytes in, values out.
package struct WitnessRequest: Hashable, Sendable {
    package var note: SignedNote
    package var checkpoint: Checkpoint
    /// How long the log was when the witness saw it last, as far as we know; 0 where it never did.
    package var older: Int
    package var proof: [MerkleHash]

    enum Limit {
        /// A proof of a log with 2^62 entries is no longer (the specification's own bound).
        static let proof = 63
        /// Some signatures, or a number.
        static let answer = 64 << 10
        static let shown = 120
    }

    package init(note: SignedNote, checkpoint: Checkpoint, older: Int, proof: [MerkleHash]) {
        precondition(proof.count <= Limit.proof, "a proof of consistency has at most 63 hashes")
        self.note = note
        self.checkpoint = checkpoint
        self.older = older
        self.proof = proof
    }

    package var bytes: [UInt8] {
        let lines = ["old \(older)"] + proof.map { Base64.encode($0.bytes) } + [""]
        return Array(lines.map { $0 + "\n" }.joined().utf8) + note.bytes
    }

    package func answer(status: Int, body: [UInt8], by witness: Witness) -> WitnessAnswer {
        let text = String(decoding: body, as: UTF8.self)
        switch status {
        case 200: return signed(body, by: witness)
        case 409:
            guard let line = text.split(separator: "\n", omittingEmptySubsequences: false).first,
                let size = Int(line), size >= 0, String(size) == line
            else { return .refused(reason: "it answered 409 without the length that it knows") }
            // Of the length that we said, so it is the root that does not fit.
            if size == older, size == checkpoint.size {
                return .fork(reason: "it has seen another log of \(size) entries")
            }
            return .remembers(size: size)
        case 422:
            return .fork(
                reason: "it says that the log does not begin with the \(older) entries that it has seen")
        case 403: return .refused(reason: "it does not know the log's key (403)")
        case 404: return .refused(reason: "it does not know the log \(checkpoint.origin) (404)")
        case 500...599: return .silent(reason: "it answered \(status)")
        default: return .refused(reason: "it answered \(status)\(WitnessRequest.shown(text))")
        }
    }

    private func signed(_ lines: [UInt8], by witness: Witness) -> WitnessAnswer {
        do {
            // A note is what was sent and what came back below it.
            let all = try SignedNote(parsing: note.bytes + lines)
            guard all.text == note.text,
                let cosignature = try Cosignature.all(under: all, by: [witness.key]).first,
                let signature = all.signatures.first(where: {
                    $0.name == witness.key.name && $0.hash == witness.key.hash
                })
            else { return .refused(reason: "its answer has no signature of \(witness.key.name)") }
            return .signed(signature, cosignature)
        } catch {
            return .refused(reason: "its answer was not signed by \(witness.key.name)")
        }
    }

    private static func shown(_ text: String) -> String {
        let words = text.split { $0.isWhitespace || $0.unicodeScalars.contains { $0.value < 0x20 } }
        return words.isEmpty ? "" : ": \(String(words.joined(separator: " ").prefix(Limit.shown)))"
    }
}
