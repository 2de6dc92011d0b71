package import Model

/// The keys of one folder: which there are, for what, since when, until when.
package struct KeyRing: Hashable, Sendable {
    /// Oldest first. A name that was rotated occurs several times.
    package private(set) var keys: [TrustedKey] = []

    package enum Limit {
        package static let keys = 1000
        package static let bytes = 1 << 20
        static let version = 1
    }

    package init() {}

    /// The key that signs under a name now: the newest that is not revoked.
    package func current(_ name: String) throws -> TrustedKey {
        if let key = keys.last(where: { $0.name == name && $0.revocation == nil }) { return key }
        let known = Set(keys.filter { $0.revocation == nil }.map(\.name)).sorted().joined(separator: ", ")
        throw Failure(
            .notFound,
            keys.contains { $0.name == name }
                ? "every key with the name \(name) is revoked" : "there is no key with the name \(name)",
            suggestion: known.isEmpty ? "kiln key generate \(name) --role build" : "there are: \(known)")
    }

    /// Trusts one more key. Throws where its name is none, is taken by a key that is not revoked, or the key is there.
    package mutating func add(_ key: TrustedKey) throws {
        guard Approvers.isKeyName(key.name) else {
            throw Failure(
                .invalidArgument, "\"\(key.name.prefix(80))\" is no name for a key",
                suggestion: "use lower case, digits and . _ - between them, such as ci-2026")
        }
        guard !keys.contains(where: { $0.name == key.name && $0.revocation == nil }) else {
            throw Failure(
                .conflict, "there is a key with the name \(key.name)",
                suggestion: "replace it with: kiln key rotate \(key.name)")
        }
        try append(key)
    }

    /// Puts a new key in the place of the current one, which is trusted for `overlap` more, so that what it signed can
    /// be signed again.
    package mutating func rotate(_ name: String, to publicKey: PublicKey, overlap: Span, now: Instant) throws
    {
        let old = try current(name)
        let position = keys.lastIndex(of: old)!
        let end = now + overlap
        keys[position].validUntil = min(old.validUntil ?? end, end)
        try append(TrustedKey(name: name, publicKey: publicKey, role: old.role, validFrom: now))
    }

    /// The keys of a name that are trusted now, the oldest first: after a rotation there are two for a while.
    package func standing(_ name: String, at now: Instant) -> [TrustedKey] {
        keys.filter { $0.name == name && $0.standing(at: now) == .trusted }
    }

    /// Trusts nothing more that a key of this name signed, whenever that was.
    ///
    /// - Parameter id: the beginning of the key's identity; nil for the current one
    package mutating func revoke(_ name: String, id: String? = nil, reason: String, now: Instant) throws
        -> TrustedKey
    {
        let position: Int
        if let id {
            let found = keys.indices.filter {
                keys[$0].name == name && keys[$0].publicKey.id.text.hasPrefix(id) && !id.isEmpty
            }
            guard found.count == 1 else {
                throw Failure(
                    .notFound,
                    "\(found.count) keys with the name \(name) have an identity that begins with \(id)",
                    suggestion: "kiln key list shows them whole")
            }
            position = found[0]
            // The first word on it stands.
            if keys[position].revocation != nil { return keys[position] }
        } else {
            let trusted = standing(name, at: now)
            guard trusted.count <= 1 else {
                let ids = trusted.map(\.publicKey.id.short).joined(separator: ", ")
                throw Failure(
                    .conflict, "\(trusted.count) keys with the name \(name) are trusted: \(ids)",
                    suggestion: "say which with --id, or --all")
            }
            position = keys.lastIndex(of: try current(name))!
        }
        keys[position].revocation = TrustedKey.Revocation(at: now, reason: reason)
        return keys[position]
    }

    /// The same keys as if each were trusted at any time, but for those that are revoked.
    package var timeless: KeyRing {
        var ring = self
        for position in ring.keys.indices {
            (ring.keys[position].validFrom, ring.keys[position].validUntil) = (nil, nil)
        }
        return ring
    }

    private mutating func append(_ key: TrustedKey) throws {
        guard keys.count < Limit.keys else {
            throw Failure(.conflict, "there are \(Limit.keys) keys already", suggestion: "use another folder")
        }
        if let same = keys.first(where: { $0.publicKey == key.publicKey }) {
            throw Failure(.conflict, "this key is in the ring already, as \(same.name)")
        }
        keys.append(key)
    }

    package var bytes: [UInt8] {
        let entries = keys.map { key in
            var members: [String: JSONValue] = [
                "name": .string(key.name), "role": .string(key.role.rawValue),
                "public": .string(Base64.encode(key.publicKey.der)),
            ]
            members["validFrom"] = key.validFrom.map { .string($0.description) }
            members["validUntil"] = key.validUntil.map { .string($0.description) }
            members["revocation"] = key.revocation.map {
                .object(["at": .string($0.at.description), "reason": .string($0.reason)])
            }
            return JSONValue.object(members)
        }
        return JSONValue.object(["kilnKeys": .number(Limit.version), "keys": .array(entries)]).bytes
            + [UInt8(ascii: "\n")]
    }

    /// Reads what `bytes` writes, all of it or nothing: a ring of which a part is lost could trust a revoked key.
    package init(parsing bytes: [UInt8]) throws {
        guard bytes.count <= Limit.bytes, let json = try? JSONValue(parsing: bytes),
            json["kilnKeys"]?.number == Limit.version, let entries = json["keys"]?.elements,
            entries.count <= Limit.keys
        else { throw KeyRing.damaged("it is no list of keys") }
        try KeyRing.require(json, ["kilnKeys", "keys"])
        keys = try entries.map { entry in
            try KeyRing.require(entry, ["name", "role", "public", "validFrom", "validUntil", "revocation"])
            guard let name = entry["name"]?.text,
                let role = entry["role"]?.text.flatMap(KeyRole.init(rawValue:)),
                let der = entry["public"]?.text.flatMap(Base64.decode)
            else { throw KeyRing.damaged("a key lacks its name, role or public half") }
            let publicKey = try PublicKey(der: der)
            guard publicKey.algorithm == role.algorithm else {
                throw KeyRing.damaged("a key is not of its role's kind")
            }
            var key = TrustedKey(name: name, publicKey: publicKey, role: role)
            key.validFrom = try KeyRing.instant(entry["validFrom"])
            key.validUntil = try KeyRing.instant(entry["validUntil"])
            if let revocation = entry["revocation"] {
                try KeyRing.require(revocation, ["at", "reason"])
                // What cannot be read is no reason to trust a key again.
                guard let at = try KeyRing.instant(revocation["at"]), let reason = revocation["reason"]?.text
                else { throw KeyRing.damaged("a revocation lacks its time or reason") }
                key.revocation = TrustedKey.Revocation(at: at, reason: reason)
            }
            return key
        }
        guard Set(keys.map(\.publicKey)).count == keys.count else {
            throw KeyRing.damaged("a key occurs twice")
        }
    }

    /// Nothing but what is known: an end of trust that is misspelt would be none.
    private static func require(_ json: JSONValue, _ known: Set<String>) throws {
        guard let odd = json.members?.keys.sorted().first(where: { !known.contains($0) }) else { return }
        throw damaged("\"\(odd.prefix(80))\" is none of \(known.sorted().joined(separator: ", "))")
    }

    private static func instant(_ json: JSONValue?) throws -> Instant? {
        guard let json else { return nil }
        guard let instant = json.text.flatMap(Instant.init) else { throw damaged("a time cannot be read") }
        return instant
    }

    private static func damaged(_ why: String) -> Failure {
        Failure(
            .keyUnusable, "the list of keys cannot be used: \(why)", suggestion: "take the file from a copy")
    }
}
