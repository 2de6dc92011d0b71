import Foundation
import Model
import Testing
import Trust

@testable import CommandLineTool

/// The key that a ledger signs with, and what becomes of its end.
@Suite final class LedgerKeyTests {
    private let folder = NSTemporaryDirectory() + "kiln-ledger-key-\(UUID().uuidString)"
    private let now = Instant("2026-03-01T12:00:00Z")!

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    @Test func `a key whose time is over signs on with a warning, and is named by whoever checks`() throws {
        let keys = KeyFolder(path: folder)
        let made = try LedgerKey.ready(in: keys, at: now)
        #expect(made.made != nil && made.warning == nil)
        _ = try keys.change {
            try $0.rotate(
                "ledger", to: SigningKey(generating: .ledger).publicKey, overlap: .seconds(60), now: now)
        }
        let ring = try keys.ring()
        let old = made.key.publicKey
        #expect(LedgerKey.doubt(old, ring, at: now) == nil)
        let late = now + .seconds(60)
        #expect(LedgerKey.doubt(old, ring, at: late) == "was trusted until \(late)")
        _ = try keys.change { try $0.revoke("ledger", id: old.id.text, reason: "stolen", now: now) }
        #expect(LedgerKey.doubt(old, try keys.ring(), at: now) == "was revoked at \(now): stolen")
        #expect(LedgerKey.known(try keys.ring()).contains(old), "it is compared with all the same")
    }

    @Test func `a ledger key with an end is told of when the end has come`() throws {
        let keys = KeyFolder(path: folder)
        let key = try SigningKey(generating: .ledger)
        let trusted = TrustedKey(
            name: LedgerKey.name, publicKey: key.publicKey, role: .ledger, validFrom: now,
            validUntil: now + .seconds(60))
        try keys.change { ring in
            try ring.add(trusted)
            try keys.store(try KeyFile(key, passphrase: nil), for: trusted)
        }
        #expect(try LedgerKey.ready(in: keys, at: now).warning == nil)
        let late = try LedgerKey.ready(in: keys, at: now + .seconds(60))
        #expect(late.key.publicKey == key.publicKey)
        #expect(late.warning?.message.contains("which was trusted until \(now + .seconds(60))") == true)
        #expect(late.warning?.suggestion?.contains("kiln key rotate ledger") == true)
    }
}
