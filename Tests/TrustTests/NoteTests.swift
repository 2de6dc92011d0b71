import Foundation
import Model
import Testing
import Trust

@Suite struct NoteTests {
    private static let origin = "imm.example/ledger"
    private static let text = """
        imm.example/ledger
        5
        /5za7HM0XTiW43/1aBCEt75Al4Ofdg5iFBL5ND0TnyI=

        — imm.example/ledger l1f/6CIX5MACN+9Q3lFu/OILueoybB/C4hZAbKBVfIZVecQaBBPsCSuYBYZywlanAdg2/1tTZT0KBNwF90ppnvMEPgE=

        """
    private static let verifier = "imm.example/ledger+9757ffe8+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4"

    private static func key() throws -> SigningKey {
        try SigningKey(try PrivateKey(.ed25519, raw: Array(0..<32)), role: .ledger)
    }

    private static func checkpoint() throws -> Checkpoint {
        let log = MemoryLog(["", "a", "b", "c", "d"].map { Array($0.utf8) })
        return Checkpoint(origin: origin, size: 5, root: log.root)
    }

    @Test func `a checkpoint and its key are C2SP's to the byte`() throws {
        let note = try Self.checkpoint().signed(with: try Self.key())
        #expect(note.bytes.count == 183)
        #expect(String(decoding: note.bytes, as: UTF8.self) == Self.text)
        let key = try NoteKey(name: Self.origin, publicKey: try Self.key().publicKey)
        #expect(key.description == Self.verifier)
        #expect(try NoteKey(parsing: Self.verifier) == key)
        #expect(try Checkpoint(opening: note.bytes, with: key) == Self.checkpoint())
    }

    @Test func `a note of several signers is believed for each by its own key`() throws {
        var note = try Self.checkpoint().signed(with: try Self.key())
        let witness = try SigningKey(generating: .ledger)
        try note.sign("witness.example", witness)
        let read = try SignedNote(parsing: note.bytes)
        #expect(read == note)
        let keys = [
            try NoteKey(parsing: Self.verifier),
            try NoteKey(name: "witness.example", publicKey: witness.publicKey),
        ]
        #expect(try read.signers(keys) == keys)
        #expect(try read.signers([keys[1]]) == [keys[1]])
        #expect(try read.signers([]) == [])
        // The right key under another's name is nobody.
        let renamed = try NoteKey(name: "other.example", publicKey: witness.publicKey)
        #expect(try read.signers([renamed]) == [])
    }

    @Test(arguments: [
        ("\n5\n", "\n6\n"), ("/5za7", "/5zb7"), ("imm.example/ledger\n5", "imm.example/ledges\n5"),
        ("nvMEPgE=", "nvMEPgI="), ("l1f/6CIX", "l1f/6CIY"),
    ])
    func `an altered checkpoint is refused as not signed so`(from: String, to: String) throws {
        let key = try NoteKey(parsing: Self.verifier)
        let altered = Self.text.replacing(from, with: to)
        #expect(altered != Self.text)
        #expect(
            failure { _ = try Checkpoint(opening: Array(altered.utf8), with: key) }?.code == .badSignature)
    }

    @Test(arguments: [
        "", "\n", "\n\n", "text\n", "text\n\n", "text\n\n— a b\n", "text\n\n— a AAAAAAA=",
        "text\n\n- a AAAAAAA=\n",
        "te\u{1}xt\n\n— a AAAAAAA=\n", "text\n\n— a+b AAAAAAA=\n", "text\n\n— a AA-AAAA=\n",
        "text\n\n— a  AAAAAAA=\n",
        "text\n\n" + String(repeating: "— a AAAAAAA=\n", count: 101),
    ])
    func `what is no signed note is refused`(_ text: String) {
        #expect(failure { _ = try SignedNote(parsing: Array(text.utf8)) }?.code == .malformedEvidence)
    }

    @Test(arguments: [
        "a\n5\n", "a\n05\nAA\n", "a\n-1\n/5za7HM0XTiW43/1aBCEt75Al4Ofdg5iFBL5ND0TnyI=\n",
        "a\n+5\n/5za7HM0XTiW43/1aBCEt75Al4Ofdg5iFBL5ND0TnyI=\n",
        "a\n5\n/5za7HM0XTiW43/1aBCEt75Al4Ofdg5iFBL5ND0TnyI\n",
        "a\n99999999999999999999\n/5za7HM0XTiW43/1aBCEt75Al4Ofdg5iFBL5ND0TnyI=\n", "\n5\nAA==\n",
    ])
    func `what is no checkpoint is refused`(_ text: String) {
        #expect(failure { _ = try Checkpoint(parsing: text) }?.code == .malformedEvidence)
    }

    @Test(arguments: [
        "", "a+b+c", "imm.example/ledger+9757ffe9+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4",
        "imm.example/ledger+9757FFE8+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4",
        "imm.example/ledger+9757ffe8+AgOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4",
    ])
    func `what is no verifier key is refused`(_ text: String) {
        #expect(failure { _ = try NoteKey(parsing: text) }?.code == .keyUnusable)
    }

    @Test(arguments: ["", "a b", "a+b", "a\nb", "a\u{1}b", "a\u{2003}b"])
    func `a log of no proper name signs nothing`(origin: String) throws {
        let checkpoint = Checkpoint(origin: origin, size: 0, root: .empty)
        #expect(failure { _ = try checkpoint.signed(with: try Self.key()) } != nil)
    }

    @Test func `a log that was cut off, forked or exchanged is told from one that grew`() throws {
        let log = MemoryLog.numbered(20)
        func head(_ log: MemoryLog, _ size: Int, _ origin: String = NoteTests.origin) throws -> Checkpoint {
            Checkpoint(origin: origin, size: size, root: try log.tree(size).root())
        }
        let (old, new) = (try head(log, 9), try head(log, 20))
        let proof = try log.tree(20).consistency(since: 9)
        try new.requireConsistency(with: old, proof: proof)
        let cut = failure { try old.requireConsistency(with: new, proof: proof) }
        #expect(cut?.code == .logInconsistent && cut?.message.contains("cut off") ?? false)
        var entries = log.entries
        entries.swapAt(3, 4)
        let swapped = MemoryLog(entries)
        let forked = failure {
            try head(swapped, 20).requireConsistency(
                with: old, proof: try swapped.tree(20).consistency(since: 9))
        }
        #expect(forked?.code == .logInconsistent && forked?.message.contains("does not begin") ?? false)
        let other = failure { try head(log, 20, "b").requireConsistency(with: old, proof: proof) }
        #expect(other?.code == .logInconsistent && other?.message.contains("different") ?? false)
    }
}
