import Foundation
import Model
import TestKit
import Testing
import Trust

/// Over 100,000 damaged documents: none is believed to say what nobody signed, and none crashes its reader.
@Suite struct MutationTests {
    private static let build = try! SigningKey(generating: .build)
    private static let ledger = try! SigningKey(generating: .ledger)
    private static let policy = TrustPolicy(keys: [Fixture.trusted(build)])

    /// What an altered document is believed to say, if anything.
    private static func believed(_ evidence: Evidence) -> Digest? {
        guard
            case .accepted(let believed) = policy.decide(
                image: Fixture.image, evidence: [evidence], now: Fixture.now)
        else { return nil }
        return believed[0].payload
    }

    /// Seeds of the tries, in parts that run beside each other.
    private static let seeds = Array(0..<8).map(UInt64.init)

    @Test(arguments: seeds)
    func `an altered bundle is refused, unless nothing that is signed was altered`(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let bundle = try SigstoreBundle(Fixture.statement(), signedWith: Self.build)
        let signed = Digest.sha256(of: bundle.envelope.payload)
        #expect(Self.believed(.bundle(bundle.bytes)) == signed)
        var harmless = 0
        for _ in 0..<5000 {
            let altered = Mutation.of(bundle.bytes, &random)
            guard altered != bundle.bytes, let said = Self.believed(.bundle(altered)) else { continue }
            // Some bytes are nobody's word: a member that nobody knows, another spelling of the same text.
            #expect(said == signed)
            harmless += 1
        }
        #expect(harmless < 500)
        // Within the envelope the signature covers everything.
        for _ in 0..<2500 {
            var copy = bundle
            if Bool.random(using: &random) {
                copy.envelope.payload = Mutation.of(copy.envelope.payload, &random)
            } else {
                copy.envelope.signature = Mutation.of(copy.envelope.signature, &random)
            }
            if copy != bundle { #expect(Self.believed(.bundle(copy.bytes)) == nil) }
        }
    }

    @Test(arguments: seeds)
    func `an altered payload of the older form is refused`(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed &+ 100)
        let payload = SimpleSigning(reference: "reg.example/app:v1", digest: Fixture.image)
        let signature = Base64.encode(try payload.signature(with: Self.build))
        #expect(
            Self.believed(.simpleSigning(payload: payload.bytes, signature: signature))
                == Digest.sha256(of: payload.bytes))
        for _ in 0..<2500 {
            let altered = Mutation.of(payload.bytes, &random)
            if altered != payload.bytes {
                #expect(Self.believed(.simpleSigning(payload: altered, signature: signature)) == nil)
            }
            let forged = String(decoding: Mutation.of(Array(signature.utf8), &random), as: UTF8.self)
            guard forged != signature else { continue }
            let said = Self.believed(.simpleSigning(payload: payload.bytes, signature: forged))
            // The same signature in the other alphabet, or without its padding.
            #expect(said == nil || Base64.decode(forged) == Base64.decode(signature))
        }
    }

    @Test(arguments: seeds)
    func `an altered checkpoint is refused, unless its text is the signed one`(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed &+ 200)
        let checkpoint = Checkpoint(origin: "a.example/log", size: 5, root: .empty)
        let note = try checkpoint.signed(with: Self.ledger).bytes
        let key = try NoteKey(name: "a.example/log", publicKey: Self.ledger.publicKey)
        #expect(try Checkpoint(opening: note, with: key) == checkpoint)
        for _ in 0..<3000 {
            let altered = Mutation.of(note, &random)
            guard altered != note, let read = try? Checkpoint(opening: altered, with: key) else { continue }
            // A line of somebody else's below it, or the same line twice.
            #expect(read == checkpoint)
        }
    }

    @Test func `damaged key files and rings are refused or are what they were`() throws {
        var random = SeededGenerator(seed: 300)
        let file = try KeyFile(Self.build, passphrase: nil).bytes
        var ring = KeyRing()
        try ring.add(Fixture.trusted(Self.build))
        _ = try ring.revoke("ci", reason: "lost", now: Fixture.now)
        for _ in 0..<3000 {
            if let read = try? KeyFile(parsing: Mutation.of(file, &random)) {
                #expect(read.publicKey == Self.build.publicKey)
            }
            _ = try? KeyRing(parsing: Mutation.of(ring.bytes, &random))
            _ = try? PublicKey(
                pem: String(
                    decoding: Mutation.of(Array(Self.build.publicKey.pem.utf8), &random), as: UTF8.self))
        }
    }
}
