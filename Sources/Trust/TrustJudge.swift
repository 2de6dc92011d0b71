package import Model

extension TrustPolicy {
    /// Whether an image may run, from what lies beside it. Asks nobody: not the network, not the clock.
    ///
    /// - Parameter image: the digest of what is about to run, or to be relied on
    package func decide(image: Digest, evidence: [Evidence], now: Instant) -> TrustDecision {
        var (believed, refusals): ([Believed], [TrustRefusal]) = ([], [])
        for item in evidence.prefix(Limit.evidence) {
            switch judge(item, image, now) {
            case .success(let counts): believed.append(counts)
            case .failure(let refusal): refusals.append(refusal.why)
            }
        }
        if evidence.count > Limit.evidence {
            refusals.append(
                TrustRefusal(
                    .malformed, "more than \(Limit.evidence) things lie beside the image", keySeen: nil,
                    remedy: "delete from the registry those that nobody needs"))
        }
        var accepted: [Believed] = []
        var missing: [TrustRefusal] = []
        for type in demanded {
            switch satisfying(type, believed, refusals, now) {
            case .success(let counts): accepted.append(counts)
            case .failure(let refusal): missing.append(refusal.why)
            }
        }
        return missing.isEmpty ? .accepted(accepted) : .refused(missing)
    }

    /// `Result` wants an error.
    private struct Refused: Error { var why: TrustRefusal }

    /// What satisfies one requirement, or what came nearest to it.
    private func satisfying(
        _ type: PredicateType, _ believed: [Believed], _ refusals: [TrustRefusal], _ now: Instant
    ) -> Result<Believed, Refused> {
        var nearest = refusals.max { $0.rule < $1.rule }
        for counts in believed {
            if counts.predicateType == type {
                guard let refusal = objection(to: counts, now) else { return .success(counts) }
                nearest = nearest.map { max($0, refusal, by: \.rule) } ?? refusal
            } else if (nearest?.rule ?? .unsigned) < .predicate {
                nearest = TrustRefusal(
                    .predicate,
                    "\(type.called) is required, and what is signed is \(counts.predicateType.called)",
                    keySeen: counts.key.called, remedy: TrustPolicy.remedy(type))
            }
        }
        return .failure(
            Refused(
                why: nearest
                    ?? TrustRefusal(
                        .unsigned,
                        "\(type.called) is required, and nothing that is signed lies beside the image",
                        keySeen: nil, remedy: TrustPolicy.remedy(type))))
    }

    private func max<Key: Comparable>(
        _ left: TrustRefusal, _ right: TrustRefusal, by key: KeyPath<TrustRefusal, Key>
    ) -> TrustRefusal {
        left[keyPath: key] < right[keyPath: key] ? right : left
    }

    private static func remedy(_ type: PredicateType) -> String {
        switch type {
        case .signature: "kiln deploy --sign KEY, or kiln image sign IMAGE --key KEY"
        case .provenance:
            "kiln deploy --sign KEY --builder URI, or kiln image sign IMAGE --key KEY --provenance --builder URI"
        default: "sign a statement of the type \(type) about this digest"
        }
    }

    /// One thing beside the image: verified first, and only then read.
    private func judge(_ evidence: Evidence, _ image: Digest, _ now: Instant) -> Result<Believed, Refused> {
        do {
            switch evidence {
            case .bundle(let bytes): return .success(try bundle(bytes, image, now))
            case .simpleSigning(let payload, let signature):
                return .success(try simple(payload, signature, image, now))
            }
        } catch let refused as Refused {
            return .failure(refused)
        } catch {
            let why = Failure.list(error)[0]
            return .failure(
                Refused(
                    why: TrustRefusal(
                        .malformed, why.message, keySeen: nil,
                        remedy: why.suggestion ?? TrustPolicy.remedy(.signature))))
        }
    }

    private func bundle(_ bytes: [UInt8], _ image: Digest, _ now: Instant) throws -> Believed {
        let bundle = try SigstoreBundle(parsing: bytes)
        let envelope = bundle.envelope
        let named = keys.filter { $0.publicKey.id.text == bundle.hint }
        let candidates = bundle.hint.isEmpty ? tried(now) : named
        guard let key = candidates.first(where: { envelope.isSigned(by: $0.publicKey) }) else {
            guard let named = named.first else { throw unknownKey(bundle.hint.isEmpty ? nil : bundle.hint) }
            throw refused(
                .signature,
                "this key did not sign these bytes: they were changed, or another key signed them",
                named, "sign the image again with this key, and look who wrote to the registry")
        }
        try requireStanding(key, now)
        guard envelope.payloadType == Statement.payloadType else {
            throw refused(
                .malformed,
                "what is signed is of the type \(envelope.payloadType.prefix(120)), and no statement",
                key, TrustPolicy.remedy(.signature))
        }
        let statement = try Statement(parsing: envelope.payload)
        try require(key, for: statement.predicateType)
        guard statement.subjects.contains(where: { $0.digest == image }) else {
            let other = statement.subjects.first.map { "\($0.digest)" } ?? "none"
            throw anotherImage(other, image, key)
        }
        // A subject without a name of a registry, as cosign writes it, is bound to none.
        let names = statement.subjects.filter { $0.digest == image }.map { SignedName($0.name) }
        if !names.contains(nil) { try requireName(names.compactMap { $0 }, key) }
        return Believed(
            predicateType: statement.predicateType, key: key, statement: statement,
            payload: Digest.sha256(of: envelope.payload), document: Digest.sha256(of: bytes))
    }

    /// The keys that a signature without a name is tried with: those that are worth something first, the newest before
    /// the older ones.
    private func tried(_ now: Instant) -> [TrustedKey] {
        let good = keys.filter { $0.standing(at: now) == .trusted }
        let others = keys.filter { $0.standing(at: now) != .trusted }
        return Array((good.reversed() + others.reversed()).prefix(Limit.keys))
    }

    private func simple(_ payload: [UInt8], _ signature: String, _ image: Digest, _ now: Instant) throws
        -> Believed
    {
        guard payload.count <= SimpleSigning.Limit.bytes, let signature = Base64.decode(signature) else {
            throw Malformed.evidence("the signature is no base64, or its payload is too large")
        }
        guard
            let key = tried(now).first(where: { $0.publicKey.verifies(signature, of: payload) })
        else { throw unknownKey(nil) }
        try requireStanding(key, now)
        try require(key, for: .signature)
        let signed = try SimpleSigning(parsing: payload)
        guard signed.digest == image else { throw anotherImage("\(signed.digest)", image, key) }
        try requireName([signed.name], key)
        let digest = Digest.sha256(of: payload)
        return Believed(
            predicateType: .signature, key: key, statement: nil, payload: digest, document: digest)
    }

    private func refused(_ rule: TrustRule, _ message: String, _ key: TrustedKey, _ remedy: String) -> Refused
    {
        Refused(why: TrustRefusal(rule, message, keySeen: key.called, remedy: remedy))
    }

    private func unknownKey(_ hint: String?) -> Refused {
        let trusted = keys.map(\.called).joined(separator: ", ")
        return Refused(
            why: TrustRefusal(
                .key, "no trusted key made this signature: another key did, or what it signed was changed",
                keySeen: hint.map { "\($0.prefix(64)) (unknown)" },
                remedy: trusted.isEmpty
                    ? "trust a key: --key PUBLIC.pem" : "sign with a trusted key: \(trusted)"))
    }

    private func anotherImage(_ other: String, _ image: Digest, _ key: TrustedKey) -> Refused {
        refused(
            .subject, "what is signed is about \(other), and not about \(image)", key,
            TrustPolicy.remedy(.signature))
    }

    /// The name in a signature is what keeps an older image, signed as it is, from being put under another tag.
    private func requireName(_ names: [SignedName], _ key: TrustedKey) throws {
        guard let reference, !names.contains(where: { $0.allows(reference) }) else { return }
        throw refused(
            .reference,
            "it was signed as \(names.map(\.description).joined(separator: ", ")), and \(reference) is asked for",
            key,
            "kiln image sign IMAGE \(reference) --key NAME, or verify with --any-reference")
    }

    private func requireStanding(_ key: TrustedKey, _ now: Instant) throws {
        let remedy = "sign the image again with a key that is trusted now"
        switch key.standing(at: now) {
        case .trusted: return
        case .notYet(let from):
            throw refused(
                .notYetValid, "the key is trusted from \(from) on, and now it is \(now)", key, remedy)
        case .expired(let at):
            throw refused(.expired, "the key was trusted until \(at), and now it is \(now)", key, remedy)
        case .revoked(let revocation):
            throw refused(
                .revoked, "the key was revoked at \(revocation.at): \(revocation.reason)", key, remedy)
        }
    }

    private func require(_ key: TrustedKey, for type: PredicateType) throws {
        let role = type.role ?? .build
        guard key.role != role else { return }
        throw refused(
            .role, "a \(key.role.rawValue) key signed \(type.called), which is a \(role.rawValue) key's work",
            key, "sign it with a \(role.rawValue) key")
    }

    /// What the rules about the making of an image hold against a provenance.
    private func objection(to counts: Believed, _ now: Instant) -> TrustRefusal? {
        guard counts.predicateType == .provenance, let statement = counts.statement else { return nil }
        func no(_ rule: TrustRule, _ message: String, _ remedy: String) -> TrustRefusal {
            TrustRefusal(rule, message, keySeen: counts.key.called, remedy: remedy)
        }
        let made: Provenance
        do {
            made = try Provenance(statement.predicate)
        } catch {
            return no(.malformed, Failure.list(error)[0].message, TrustPolicy.remedy(.provenance))
        }
        if let builders, !builders.contains(made.builder) {
            let allowed = builders.sorted().joined(separator: ", ")
            return no(.builder, "the builder \(made.builder) is not allowed", "bake with one of: \(allowed)")
        }
        if let sources {
            guard let source = made.source, let repository = source.repository else {
                return no(
                    .source, "the provenance names no repository", "bake in a clone of an allowed repository")
            }
            guard sources.contains(repository) else {
                let allowed = sources.sorted().joined(separator: ", ")
                return no(.source, "the source \(repository) is not allowed", "bake from one of: \(allowed)")
            }
            if source.isDirty, !allowsDirtySources {
                return no(
                    .source, "the image was baked with changes that no commit has",
                    "commit them, bake and sign again")
            }
        }
        guard let maximumAge else { return nil }
        guard let end = made.finishedOn else {
            return no(.age, "the provenance does not say when the bake ended", "bake and sign again")
        }
        if end > now + Limit.clockSkew {
            return no(
                .age, "the bake ended at \(end), which is yet to come: now it is \(now)",
                "set the clocks of both machines right")
        }
        guard now - end <= maximumAge else {
            return no(
                .age, "the bake ended at \(end), more than \(maximumAge) ago", "bake, sign and deploy anew")
        }
        return nil
    }
}
