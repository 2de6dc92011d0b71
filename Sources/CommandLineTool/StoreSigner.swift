internal import Model
internal import Ports
internal import Trust

/// Signs images where they lie, in the store of a host, for what decides there whether they may start.
struct StoreSigner {
    let store: any ImageStore

    /// Puts a signature and `statements` beside an image, unless this key's are there already. Returns the types of
    /// those that are new.
    ///
    /// - Parameters:
    ///   - subject: the image, or the index that it is listed in
    ///   - image: the image that has it beside it; nil where that is the subject
    ///   - name: what the subject is called in them
    func sign(
        _ subject: Digest, beside image: Digest? = nil, called name: String, with key: SigningKey,
        saying statements: [Statement]
    ) async throws -> [PredicateType] {
        let image = image ?? subject
        let plain = Statement.signature(about: Statement.Subject(name: name, digest: subject))
        let held = try evidence(for: image).compactMap { evidence -> SigstoreBundle? in
            guard case .bundle(let bytes) = evidence else { return nil }
            return try? SigstoreBundle(parsing: bytes)
        }
        var (fresh, types): ([[UInt8]], [PredicateType]) = ([], [])
        for statement in [plain] + statements {
            let bundle = try SigstoreBundle(statement, signedWith: key)
            guard !held.contains(where: { $0.envelope.says(bundle.envelope, key.publicKey) }) else {
                continue
            }
            fresh.append(bundle.bytes)
            types.append(statement.predicateType)
        }
        try await store.add(evidence: fresh, to: image)
        return types
    }

    /// What lies beside images of the store and is about this digest: an image, or the index of some.
    func evidence(about subject: Digest) throws -> [Evidence] {
        var found: [Evidence] = []
        for record in try store.images() where record.digest == subject || record.index == subject {
            for evidence in try evidence(for: record.digest) where evidence.isAbout(subject) {
                if !found.contains(evidence) { found.append(evidence) }
            }
        }
        return found
    }

    /// The signed statements beside an image that are about this digest: its own, or that of its index.
    func bundles(of image: Digest, about subject: Digest) throws -> [(
        bundle: SigstoreBundle, statement: Statement
    )] {
        try evidence(for: image).compactMap { evidence in
            guard case .bundle(let bytes) = evidence, let bundle = try? SigstoreBundle(parsing: bytes),
                let statement = try? Statement(parsing: bundle.envelope.payload),
                statement.subjects.contains(where: { $0.digest == subject })
            else { return nil }
            return (bundle, statement)
        }
    }

    /// What lies beside an image of the store.
    func evidence(for image: Digest) throws -> [Evidence] {
        try store.evidence(for: image, limit: TrustPolicy.Limit.evidence + 1).map { Evidence(stored: $0) }
    }
}

extension Evidence {
    /// Whether it says that it is about this digest. Nothing vouches for that here.
    fileprivate func isAbout(_ subject: Digest) -> Bool {
        switch self {
        case .bundle(let bytes):
            guard let bundle = try? SigstoreBundle(parsing: bytes),
                let statement = try? Statement(parsing: bundle.envelope.payload)
            else { return false }
            return statement.subjects.contains { $0.digest == subject }
        case .simpleSigning(let payload, _):
            return (try? SimpleSigning(parsing: payload))?.digest == subject
        }
    }
}
