internal import ImageFormat
package import Model

/// Fetches images from registries and brings them there, by the OCI distribution spec 1.1.
package struct RegistryClient: Sendable {
    private let transport: Transport
    private let keyring = Keyring()
    private let settings: RegistrySettings

    package enum Limit {
        /// Signatures of signatures, and what is about those.
        static let referrerDepth = 3
    }

    package init(_ settings: RegistrySettings) {
        self.settings = settings
        transport = Transport(settings)
    }

    /// To be called once, when nobody asks any more.
    package func close() async throws { try await transport.close() }

    /// A repository of the registry itself.
    package func repository(_ host: RegistryHost, _ name: RepositoryName) -> Repository {
        Repository(
            connection: Connection(
                transport: transport, keyring: keyring, origin: settings.origin(of: host)), host: host,
            name: name)
    }

    /// An image to fetch, by way of the registry's mirrors.
    package func source(_ reference: RegistryReference) throws -> RegistrySource {
        let mirrors = try (settings.rules[reference.host]?.mirrors ?? []).map {
            repository($0.host, try $0.repository(reference.repository))
        }
        return RegistrySource(
            reference: reference, endpoints: mirrors + [repository(reference.host, reference.repository)])
    }

    /// A place to push an image to.
    ///
    /// - Parameter mountFrom: where the image is from, if that is a registry: blobs of the same one are not sent
    package func sink(_ reference: RegistryReference, mountFrom: RegistryReference? = nil) -> RegistrySink {
        RegistrySink(
            repository: repository(reference.host, reference.repository), reference: reference,
            mountFrom: mountFrom.flatMap { $0.host == reference.host ? $0.repository : nil })
    }

    /// Copies everything that refers to an image: signatures, bills of materials, and what refers to those; also what
    /// older tools keep under tags that are made from its digest.
    ///
    /// - Returns: the digests that are there now
    package func copyReferrers(
        of subject: Digest, from source: RegistryReference, to target: RegistryReference,
        meter: Meter = Meter()
    ) async throws -> [Digest] {
        let origin = repository(source.host, source.repository)
        var copied: [Digest] = []
        var subjects = [subject]
        for _ in 0..<Limit.referrerDepth where !subjects.isEmpty {
            var next: [Digest] = []
            for subject in subjects {
                for entry in try await origin.referrers(of: subject) where !copied.contains(entry.digest) {
                    var (from, to) = (source, target)
                    (from.tag, from.digest, to.tag, to.digest) = (nil, entry.digest, nil, entry.digest)
                    let found = try self.source(from)
                    let copier = ImageCopier(from: found, to: sink(to, mountFrom: from), meter: meter)
                    _ = try await copier.run(try await CopyPlan.of(found, .all))
                    copied.append(entry.digest)
                    next.append(entry.digest)
                }
            }
            subjects = next
        }
        for tag in SignatureTag.allCases {
            var (from, to) = (source, target)
            (from.tag, from.digest, to.tag, to.digest) = (tag.of(subject), nil, tag.of(subject), nil)
            guard let document = try await origin.document(tag.of(subject).text) else { continue }
            let found = try self.source(from)
            let copier = ImageCopier(from: found, to: sink(to, mountFrom: from), meter: meter)
            _ = try await copier.run(try await CopyPlan.of(found, .all))
            copied.append(document.digest)
        }
        return copied
    }

    /// Gives an image of a registry one more tag. Nothing but its manifest moves.
    package func tag(_ reference: RegistryReference, as tag: ImageTag) async throws -> Digest {
        let repository = repository(reference.host, reference.repository)
        guard let document = try await repository.document(reference.manifestName) else {
            throw Failure(
                .notFound, "the registry has no image \(reference.manifestName)", at: repository.place,
                suggestion: "check the repository and the tag")
        }
        try await repository.put(document, tag: tag)
        return document.digest
    }
}
