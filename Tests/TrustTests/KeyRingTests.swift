import Foundation
import Model
import Testing
import Trust

@Suite struct KeyRingTests {
    private static func key(_ role: KeyRole = .build) throws -> PublicKey {
        try SigningKey(generating: role).publicKey
    }

    @Test func `after a rotation both keys are trusted for a while, then the new one alone`() throws {
        var ring = KeyRing()
        let (old, new) = (try Self.key(), try Self.key())
        try ring.add(TrustedKey(name: "ci", publicKey: old, role: .build))
        let now = Fixture.now
        try ring.rotate("ci", to: new, overlap: Span("7d")!, now: now)
        #expect(try ring.current("ci").publicKey == new)
        let (first, second) = (ring.keys[0], ring.keys[1])
        #expect(first.standing(at: now) == .trusted && second.standing(at: now) == .trusted)
        let end = now + Span("7d")!
        #expect(first.standing(at: end) == .expired(at: end) && second.standing(at: end) == .trusted)
        let before = now + Span(milliseconds: -1)
        #expect(second.standing(at: before) == .notYet(from: now) && first.standing(at: before) == .trusted)
        #expect(second.role == .build)
    }

    @Test func `a rotation never lengthens what was to end sooner`() throws {
        var ring = KeyRing()
        let end = Fixture.now + Span("1h")!
        try ring.add(TrustedKey(name: "ci", publicKey: try Self.key(), role: .build, validUntil: end))
        try ring.rotate("ci", to: try Self.key(), overlap: Span("7d")!, now: Fixture.now)
        #expect(ring.keys[0].validUntil == end)
    }

    @Test func `a revoked key is worth nothing at any time, and signs no more`() throws {
        var ring = KeyRing()
        try ring.add(TrustedKey(name: "ci", publicKey: try Self.key(), role: .build))
        let gone = try ring.revoke("ci", reason: "lost", now: Fixture.now)
        for days in [-400, 0, 400] {
            let time = Fixture.now + Span.seconds(86_400) * days
            #expect(gone.standing(at: time) == .revoked(.init(at: Fixture.now, reason: "lost")))
        }
        #expect(failure { _ = try ring.current("ci") }?.code == .notFound)
        try ring.add(TrustedKey(name: "ci", publicKey: try Self.key(), role: .build))
        #expect(try ring.current("ci").revocation == nil)
    }

    @Test func `a key that was rotated away is revoked by its identity, and the current one stays`() throws {
        var ring = KeyRing()
        let (old, new) = (try Self.key(), try Self.key())
        try ring.add(TrustedKey(name: "ci", publicKey: old, role: .build))
        try ring.rotate("ci", to: new, overlap: Span("7d")!, now: Fixture.now)
        let gone = try ring.revoke("ci", id: String(old.id.text.prefix(8)), reason: "lost", now: Fixture.now)
        #expect(gone.publicKey == old && ring.keys[0].revocation?.reason == "lost")
        #expect(try ring.current("ci").publicKey == new)
        let again = try ring.revoke("ci", id: old.id.text, reason: "late", now: Fixture.now + Span("1d")!)
        #expect(again.revocation == ring.keys[0].revocation && again.revocation?.reason == "lost")
        for id in ["", "?", old.id.text + "x"] {
            #expect(
                failure { _ = try ring.revoke("ci", id: id, reason: "", now: Fixture.now) }?.code == .notFound
            )
        }
    }

    @Test func `a ring is read back as it was written, and a damaged one is refused`() throws {
        var ring = KeyRing()
        try ring.add(
            TrustedKey(name: "ci", publicKey: try Self.key(), role: .build, validUntil: Fixture.now))
        try ring.add(TrustedKey(name: "log", publicKey: try Self.key(.ledger), role: .ledger))
        try ring.rotate("ci", to: try Self.key(), overlap: .zero, now: Fixture.now)
        _ = try ring.revoke("log", reason: "moved", now: Fixture.now)
        let bytes = ring.bytes
        #expect(try KeyRing(parsing: bytes) == ring)
        let text = String(decoding: bytes, as: UTF8.self)
        for (from, to) in [
            ("\"reason\":\"moved\"", "\"reason\":1"), ("\"role\":\"ledger\"", "\"role\":\"build\""),
            ("\"role\":\"build\"", "\"role\":\"root\""), ("2026-03-01", "2026-99-01"),
            ("\"kilnKeys\":1", "\"kilnKeys\":2"), ("\"kilnKeys\":1", "\"kilnKeys\":1,\"note\":1"),
            ("\"validUntil\"", "\"validuntil\""), ("\"revocation\"", "\"revoked\""),
            ("\"reason\":\"moved\"", "\"reason\":\"moved\",\"until\":\"2026-04-01\""),
        ] {
            let damaged = text.replacing(from, with: to)
            #expect(damaged != text)
            #expect(failure { _ = try KeyRing(parsing: Array(damaged.utf8)) }?.code == .keyUnusable, "\(to)")
        }
    }

    @Test(arguments: ["", "A", "a/b", "../a", ".a", "a.", "a b", String(repeating: "a", count: 65)])
    func `names that are no names are refused`(_ name: String) throws {
        var ring = KeyRing()
        let key = try Self.key()
        #expect(
            failure { try ring.add(TrustedKey(name: name, publicKey: key, role: .build)) }?.code
                == .invalidArgument)
    }

    @Test func `a name is given once, and a key is there once`() throws {
        var ring = KeyRing()
        let key = try Self.key()
        try ring.add(TrustedKey(name: "ci", publicKey: key, role: .build))
        let again = TrustedKey(name: "ci", publicKey: try Self.key(), role: .build)
        #expect(failure { try ring.add(again) }?.code == .conflict)
        #expect(
            failure { try ring.add(TrustedKey(name: "b", publicKey: key, role: .build)) }?.code == .conflict)
    }
}
