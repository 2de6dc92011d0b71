internal import Foundation
package import ImageFormat
package import Model
package import Ports
internal import Synchronization

/// An image of this machine's store.
package struct StoreSource: ImageSource {
    private let store: any ImageStore
    private let digest: Digest
    package let place: String

    /// - Parameter digest: of a manifest or an index
    package init(_ store: any ImageStore, _ digest: Digest, called name: String) {
        self.store = store
        self.digest = digest
        place = name
    }

    package func root() async throws -> ImageDocument {
        try ImageDocument(try store.read(digest, limit: ImageDocument.Limit.bytes))
    }

    package func document(_ entry: OCIDescriptor) async throws -> ImageDocument {
        guard store.path(of: entry.digest) != nil else {
            throw Failure(
                .notFound, "the store has only some of the images of this index", at: place,
                suggestion: "pull it with --all-platforms, or push only this platform's")
        }
        return try ImageDocument(
            try store.read(entry.digest, limit: ImageDocument.Limit.bytes), mediaType: entry.mediaType)
    }

    package func local(_ blob: OCIDescriptor) throws -> BlobBytes? {
        guard let path = store.path(of: blob.digest) else {
            throw Failure(
                .storeDamaged, "a blob of the image is gone: \(blob.digest)", at: place,
                suggestion: "bake or pull the image again")
        }
        return try BlobBytes(file: path)
    }
}

/// This machine's store, for an image that comes from elsewhere.
package final class StoreSink: ImageSink {
    private let store: any ImageStore
    private let plan: CopyPlan
    private let name: String?
    private let now: Instant
    private let image: Image
    private let sections = Mutex<SectionIndex?>(nil)
    private let blobs: BlobSink
    package var place: String { blobs.place }

    /// Refuses what could not be used here: no image for Linux on amd64 or arm64, a user by name, an artifact.
    ///
    /// - Parameters:
    ///   - name: what the image is called from now on; nil for its digest only
    package init(
        _ store: any ImageStore, _ plan: CopyPlan, from source: any ImageSource, name: String?, now: Instant
    )
        async throws
    {
        self.store = store
        blobs = BlobSink(store)
        self.plan = plan
        self.name = name
        self.now = now
        var manifest = plan.root
        if case .index(let entries) = manifest.content {
            let native = try? PlatformChoice.best(.native, in: entries)
            guard let chosen = native ?? entries.first,
                let document = plan.documents.first(where: { $0.digest == chosen.digest })
            else { throw Failure(.corruptArchive, "the index lists no image", at: source.place) }
            manifest = document
        }
        guard case .manifest(let blobs) = manifest.content, let config = blobs.first else {
            throw Failure(.corruptArchive, "an index within an index has no use here", at: source.place)
        }
        do {
            _ = try OCIManifest(parsing: manifest.bytes)
            image = try OCIImage.image(manifest: manifest.bytes, config: try await source.small(config))
        } catch var failure as Failure where failure.code == .corruptArchive {
            failure.suggestion =
                "`kiln image copy` can still move it between registries, folders and archives"
            throw failure.at(source.place)
        }
    }

    /// Asked for again in any case: a store may have lost a blob.
    package func holds(document: Digest) async throws -> Bool { false }

    package func holds(blob: OCIDescriptor) async throws -> Bool { store.path(of: blob.digest) != nil }

    package func held(_ blob: OCIDescriptor) -> [HeldSection] {
        guard !LayerSections.of(blob).isEmpty else { return [] }
        let index = sections.withLock { known in
            let index = known ?? SectionIndex(store)
            known = index
            return index
        }
        return index.held(blob, in: store)
    }

    package func temporaryPath() throws -> String { try blobs.temporaryPath() }

    package func take(file path: String, _ blob: OCIDescriptor, meter: Meter) async throws {
        try await blobs.take(file: path, blob, meter: meter)
    }

    package func take(_ bytes: BlobBytes, _ blob: OCIDescriptor, meter: Meter) async throws {
        try await blobs.take(bytes, blob, meter: meter)
    }

    package func put(_ document: ImageDocument, isRoot: Bool) async throws {
        try await blobs.put(document, isRoot: isRoot)
    }

    package func finish() async throws {
        if let index = plan.index { _ = try store.write(index.bytes) }
        var index = plan.index?.digest
        if case .index = plan.root.content { index = plan.root.digest }
        try await store.locked("images") {
            let known = try store.images().last { $0.digest == image.digest }
            var record =
                known
                ?? ImageRecord(
                    digest: image.digest, service: nil, bakedAt: now, size: image.size, packages: 0)
            record.index = index ?? record.index
            try StoreNames(store).give(name, to: &record)
            try store.record(record)
        }
    }
}

/// What people call the images of a store.
package struct StoreNames: Sendable {
    private let store: any ImageStore

    package init(_ store: any ImageStore) { self.store = store }

    /// Gives a name to one image and takes it from the one that had it.
    package func give(_ name: String, to digest: Digest) async throws {
        try await store.locked("images") {
            guard var record = try store.images().last(where: { $0.digest == digest }) else {
                throw Failure(.notFound, "the store holds no image \(digest)")
            }
            try give(name, to: &record)
            try store.record(record)
        }
    }

    /// The caller holds the lock and writes the record: the name is nobody's for a moment, and never two images'.
    func give(_ name: String?, to record: inout ImageRecord) throws {
        guard let name else { return }
        for var other in try store.images() where other.digest != record.digest {
            guard let names = other.names, names.contains(name) else { continue }
            other.names = names.filter { $0 != name }
            try store.record(other)
        }
        record.names = Array(Set(record.names ?? []).union([name])).sorted()
    }
}

/// Copies a blob into a new file and hashes it on the way.
enum CheckedCopy {
    static let part = 4 << 20

    static func write(_ bytes: BlobBytes, _ blob: OCIDescriptor, to path: String, meter: Meter, place: String)
        throws
    {
        let file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
        guard file >= 0 else { throw FileTrouble.failure("cannot be made", path) }
        defer { close(file) }
        var digest = RunningDigest()
        try bytes.withBytes { all in
            for start in stride(from: 0, to: all.count, by: part) {
                try Task.checkCancellation()
                let piece = UnsafeRawBufferPointer(rebasing: all[start..<min(start + part, all.count)])
                digest.update(piece)
                try FileTrouble.write(piece, to: file, path)
                meter.advance(piece.count)
            }
        }
        guard digest.digest() == blob.digest else { throw BlobDamage.failure(blob, place) }
    }
}
