import Crypto
import Foundation
import Model
import Testing
import Trust

@Suite struct CosignatureTests {
    private static let log = try! SigningKey(generating: .ledger)
    private let secret = Curve25519.Signing.PrivateKey()

    /// A note with a line that a witness would add, by the specification's own words.
    private func note(time: UInt64 = 1_700_000_000, saying other: String? = nil) throws -> SignedNote {
        let checkpoint = Checkpoint(origin: "a.example/log", size: 0, root: .empty)
        let note = try checkpoint.signed(with: Self.log)
        let named = Array("witness.example\n".utf8) + [4] + secret.publicKey.rawRepresentation
        let message = "cosignature/v1\ntime \(time)\n\(other ?? note.text)"
        let signature =
            Array(SHA256.hash(data: named).prefix(4))
            + withUnsafeBytes(of: time.bigEndian) { Array($0) }
            + Array(try secret.signature(for: Array(message.utf8)))
        let line = "— witness.example \(Data(signature).base64EncodedString())\n"
        return try SignedNote(parsing: note.bytes + Array(line.utf8))
    }

    private func key() throws -> Cosignature.Key {
        try Cosignature.Key(
            name: "witness.example",
            publicKey: try PublicKey(.ed25519, raw: Array(secret.publicKey.rawRepresentation)))
    }

    @Test func `a witness's word is read with its time, beside the log's own signature`() throws {
        let (note, key) = (try note(), try key())
        let found = try Cosignature.all(under: note, by: [key])
        #expect(found.map(\.key) == [key] && found.map(\.time) == [Instant("2023-11-14T22:13:20Z")!])
        let own = try NoteKey(name: "a.example/log", publicKey: Self.log.publicKey)
        #expect(try note.signers([own]) == [own])
        #expect(try Cosignature.all(under: note, by: []) == [])
        // A witness's key is no log's key, though both are Ed25519.
        let asLog = try NoteKey(name: "witness.example", publicKey: key.publicKey)
        #expect(try note.signers([asLog]) == [])
    }

    @Test func `a word about another checkpoint, or of an impossible time, is refused`() throws {
        let key = try key()
        for note in [try note(saying: "a.example/log\n1\nAA==\n"), try note(time: UInt64.max)] {
            #expect(failure { _ = try Cosignature.all(under: note, by: [key]) }?.code == .badSignature)
        }
    }
}
