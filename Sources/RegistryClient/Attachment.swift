internal import ImageFormat
package import Model

/// Something about an image that lies beside it in a registry: a bill of materials, a signature. The image stays as it
/// is (OCI image spec 1.1, manifest.md: artifacts with a subject).
package struct Attachment: Sendable {
    /// The media type of the content, which is also the kind that lists of referrers show.
    package var type: String
    /// A file name for people.
    package var title: String
    package var content: [UInt8]
    /// Of the manifest, and so of lists of referrers.
    package var annotations: [String: String]

    package init(type: String, title: String, content: [UInt8], annotations: [String: String] = [:]) {
        self.type = type
        self.title = title
        self.content = content
        self.annotations = annotations
    }

    fileprivate static let emptyType = "application/vnd.oci.empty.v1+json"
    /// What is read of all that lies beside an image: strangers may have put it there.
    fileprivate static let longestInAll = 64 << 20
    static let emptyConfig: [UInt8] = Array("{}".utf8)

    var config: OCIDescriptor { Attachment.descriptor(Attachment.emptyType, Attachment.emptyConfig) }

    var layer: OCIDescriptor {
        var layer = Attachment.descriptor(type, content)
        layer.annotations["org.opencontainers.image.title"] = title
        return layer
    }

    /// The manifest that says what this is about. Holds no time: attached twice it is the same.
    func manifest(about subject: OCIDescriptor) throws -> ImageDocument {
        var members: [String: JSONValue] = [
            "schemaVersion": .number(2), "mediaType": .string(OCIDescriptor.manifestType),
            "artifactType": .string(type), "config": config.json, "layers": .array([layer.json]),
            "subject": subject.json,
        ]
        if !annotations.isEmpty { members["annotations"] = .object(annotations.mapValues { .string($0) }) }
        return try ImageDocument(JSONValue.object(members).bytes)
    }

    private static func descriptor(_ type: String, _ bytes: [UInt8]) -> OCIDescriptor {
        OCIDescriptor(mediaType: type, digest: .sha256(bytes), size: bytes.count)
    }
}

extension RegistryClient {
    /// Puts something beside an image of a registry, where everybody finds it by the image's digest. Returns its own.
    package func attach(
        _ attachment: Attachment, to subject: Digest, at reference: RegistryReference
    ) async throws -> Digest {
        let repository = repository(reference.host, reference.repository)
        guard let image = try await repository.document(subject.description) else {
            throw Failure(
                .notFound, "the registry has no image \(subject)", at: repository.place,
                suggestion: "push the image first")
        }
        try await repository.bring([
            (attachment.config, Attachment.emptyConfig), (attachment.layer, attachment.content),
        ])
        let document = try attachment.manifest(about: image.descriptor)
        try await repository.put(document)
        return document.digest
    }
}

extension RegistryClient {
    /// The contents of what lies beside an image and is of one kind, of the first `limit` of them.
    /// Anybody who can write there can put things beside an image: what is unfit is left out.
    package func attached(
        _ type: String, to subject: Digest, at reference: RegistryReference, limit: Int
    ) async throws -> [[UInt8]] {
        let repository = repository(reference.host, reference.repository)
        // In an index of its own making, cosign shows its bundles as what their config is.
        let shown = [type, Attachment.emptyType, nil]
        let entries = try await repository.referrers(of: subject).filter { shown.contains($0.artifactType) }
        var contents: [[UInt8]] = []
        var room = Attachment.longestInAll
        for entry in entries.prefix(limit) {
            guard let document = try await repository.fitDocument(entry.digest),
                document.artifactType == type, document.subject?.digest == subject,
                case .manifest(let blobs) = document.content,
                blobs.count == 2, blobs[1].mediaType == type,
                blobs[1].size <= min(room, Repository.Limit.smallBlob)
            else { continue }
            room -= blobs[1].size
            contents.append(try await repository.smallBlob(blobs[1]))
        }
        return contents
    }
}

extension Repository {
    /// nil also for what is no manifest at all.
    fileprivate func fitDocument(_ digest: Digest) async throws -> ImageDocument? {
        do {
            return try await document(digest.description)
        } catch let failure as Failure where failure.code == .corruptArchive {
            return nil
        }
    }

    /// Uploads small blobs that are not there.
    func bring(_ blobs: [(OCIDescriptor, [UInt8])]) async throws {
        for (blob, bytes) in blobs where try await !holds(blob.digest) {
            try await Upload(
                repository: self, blob: blob, bytes: BlobBytes(try MappedBytes(copying: bytes)),
                meter: Meter()
            ).run()
        }
    }
}
