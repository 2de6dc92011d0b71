internal import Foundation
internal import ImageFormat
internal import Model
internal import RegistryClient
internal import Trust

/// Puts signatures beside an image in a registry, in both forms of cosign's, and finds what lies there.
struct ImageSigner {
    let client: RegistryClient
    let reference: RegistryReference

    struct Signed: Encodable {
        var digest: Digest
        /// What was put beside it; empty where all of it was there already.
        var published: [String]
    }

    /// What is signed for an image: the index and each platform's manifest, or the one manifest.
    func digests(of image: Digest) async throws -> [Digest] {
        let repository = client.repository(reference.host, reference.repository)
        guard let document = try await repository.document(image.description) else {
            throw Failure(
                .notFound, "the registry does not hold \(image)", at: reference.description,
                suggestion: "kiln image push IMAGE \(reference)")
        }
        if let tag = reference.tag {
            // The signature says this name; it must not say it of another image.
            guard let named = try await repository.document(tag.text), named.digest == image else {
                throw Failure(
                    .conflict, "\(reference) is not \(image)",
                    suggestion: "kiln image push IMAGE \(reference)")
            }
        }
        guard case .index(let entries) = document.content else { return [image] }
        return [image]
            + entries.filter { $0.annotations["vnd.docker.reference.type"] == nil }.map(\.digest)
    }

    /// Signs each digest, unless this key's signature is there already: repeated, it changes nothing.
    func sign(_ digests: [Digest], with key: SigningKey, saying statements: [Statement]) async throws
        -> [Signed]
    {
        // All is signed before anything is published.
        var work: [(Digest, SimpleSigning, [UInt8], [SigstoreBundle])] = []
        for digest in digests {
            let payload = SimpleSigning(reference: name, digest: digest)
            let plain = Statement.signature(about: Statement.Subject(name: name, digest: digest))
            let said = [plain] + statements.filter { $0.subjects.contains { $0.digest == digest } }
            work.append(
                (
                    digest, payload, try payload.signature(with: key),
                    try said.map { try SigstoreBundle($0, signedWith: key) }
                ))
        }
        var signed: [Signed] = []
        for (digest, payload, signature, bundles) in work {
            var published: [String] = []
            if try await publish(payload, signature, key.publicKey) {
                published.append("\(SignatureTag.signatures.of(digest))")
            }
            for bundle in bundles {
                let type = try Statement(parsing: bundle.envelope.payload).predicateType
                var isNew = try await publish(bundle, type, about: digest, key.publicKey)
                if type != .signature {
                    let isNewThere = try await publish(bundle.envelope, type, about: digest, key.publicKey)
                    isNew = isNew || isNewThere
                }
                if isNew { published.append(type.text) }
            }
            signed.append(Signed(digest: digest, published: published))
        }
        return signed
    }

    /// The older form of a signature. Returns whether it was not there yet; so do the other two.
    private func publish(_ payload: SimpleSigning, _ signature: [UInt8], _ key: PublicKey) async throws
        -> Bool
    {
        let held = try await client.layers(.signatures, of: payload.digest, at: reference)
        guard !held.contains(where: { ImageSigner.isSame($0, payload, key) }) else { return false }
        try await client.add(
            SignatureLayer(
                type: SimpleSigning.mediaType, content: payload.bytes,
                annotations: [SimpleSigning.signatureAnnotation: Base64.encode(signature)]),
            .signatures, of: payload.digest, at: reference)
        return true
    }

    /// The newer form, of signatures and of all other statements.
    private func publish(
        _ bundle: SigstoreBundle, _ type: PredicateType, about digest: Digest, _ key: PublicKey
    ) async throws -> Bool {
        let held = try await attachedBundles(digest)
        guard !held.contains(where: { $0.envelope.says(bundle.envelope, key) }) else { return false }
        _ = try await client.attach(bundle.attachment(type), to: digest, at: reference)
        return true
    }

    /// The older form of attestations, where cosign looks that knows nothing of bundles.
    private func publish(
        _ envelope: Envelope, _ type: PredicateType, about digest: Digest, _ key: PublicKey
    ) async throws -> Bool {
        let held = try await client.layers(.attestations, of: digest, at: reference).compactMap {
            try? Envelope(parsing: $0.content)
        }
        guard !held.contains(where: { $0.says(envelope, key) }) else { return false }
        try await client.add(ImageSigner.layer(envelope, type), .attestations, of: digest, at: reference)
        return true
    }

    /// Puts what was signed elsewhere beside the image, in every form that it can have without the key. Returns the
    /// digests of the bundles, and whether there is a signature that only cosign 3 can read: the older form says where
    /// the image lies, so nobody but the key's holder can make it.
    func carry(_ evidence: [Evidence], about digest: Digest) async throws -> (
        bundles: [Digest], isNewOnly: Bool
    ) {
        var (bundles, isNewOnly): ([Digest], Bool) = ([], false)
        for item in evidence {
            switch item {
            case .bundle(let bytes):
                let bundle = try SigstoreBundle(parsing: bytes)
                let type = try Statement(parsing: bundle.envelope.payload).predicateType
                // As it came: there may be more in it than Kiln reads.
                let attachment = bundle.attachment(type, bytes)
                bundles.append(try await client.attach(attachment, to: digest, at: reference))
                if type == .signature {
                    isNewOnly = true
                } else {
                    try await add(bundle.envelope, type, digest)
                }
            case .simpleSigning(let payload, let signature):
                try await add(payload, signature, digest)
            }
        }
        let isOldToo = evidence.contains { if case .simpleSigning = $0 { true } else { false } }
        return (bundles, isNewOnly && !isOldToo)
    }

    private func add(_ envelope: Envelope, _ type: PredicateType, _ digest: Digest) async throws {
        let held = try await client.layers(.attestations, of: digest, at: reference)
        guard !held.contains(where: { (try? Envelope(parsing: $0.content)) == envelope }) else { return }
        try await client.add(ImageSigner.layer(envelope, type), .attestations, of: digest, at: reference)
    }

    private func add(_ payload: [UInt8], _ signature: String, _ digest: Digest) async throws {
        let held = try await client.layers(.signatures, of: digest, at: reference)
        let annotation = SimpleSigning.signatureAnnotation
        guard !held.contains(where: { $0.content == payload && $0.annotations[annotation] == signature })
        else { return }
        try await client.add(
            SignatureLayer(
                type: SimpleSigning.mediaType, content: payload, annotations: [annotation: signature]),
            .signatures, of: digest, at: reference)
    }

    private static func layer(_ envelope: Envelope, _ type: PredicateType) -> SignatureLayer {
        SignatureLayer(
            type: Envelope.mediaType, content: envelope.json.bytes,
            annotations: [SimpleSigning.signatureAnnotation: "", "predicateType": type.text])
    }

    private var name: String { reference.name }

    private static func isSame(_ layer: SignatureLayer, _ payload: SimpleSigning, _ key: PublicKey) -> Bool {
        guard layer.content == payload.bytes,
            let signature = layer.annotations[SimpleSigning.signatureAnnotation].flatMap(Base64.decode)
        else { return false }
        return key.verifies(signature, of: layer.content)
    }

    private func attachedBundles(_ digest: Digest) async throws -> [SigstoreBundle] {
        try await client.attached(
            SigstoreBundle.mediaType, to: digest, at: reference, limit: TrustPolicy.Limit.evidence + 1
        ).compactMap { try? SigstoreBundle(parsing: $0) }
    }

    /// Everything beside an image that may speak for it.
    func evidence(for digest: Digest) async throws -> [Evidence] {
        let bundles = try await client.attached(
            SigstoreBundle.mediaType, to: digest, at: reference, limit: TrustPolicy.Limit.evidence + 1)
        let layers = try await client.layers(.signatures, of: digest, at: reference)
        return bundles.map { .bundle($0) }
            + layers.filter { $0.type == SimpleSigning.mediaType }.map {
                .simpleSigning(
                    payload: $0.content, signature: $0.annotations[SimpleSigning.signatureAnnotation] ?? "")
            }
    }
}

extension SigstoreBundle {
    /// As it lies beside an image in a registry.
    func attachment(_ type: PredicateType, _ content: [UInt8]? = nil) -> Attachment {
        Attachment(
            type: SigstoreBundle.mediaType, title: "bundle.sigstore.json", content: content ?? bytes,
            annotations: annotations(type))
    }
}

extension RegistryReference {
    /// `registry.example/app:v1`, always with a tag: how a signature says what the image is called.
    var name: String { "\(host)/\(repository):\(tag ?? .latest)" }
}

extension Envelope {
    /// Whether this one says the same as another, by the same key.
    func says(_ other: Envelope, _ key: PublicKey) -> Bool {
        payload == other.payload && payloadType == other.payloadType && isSigned(by: key)
    }
}
