internal import Foundation
package import ImageFormat
package import Model
internal import Synchronization

/// An image in a registry or in a mirror of it.
package struct RegistrySource: ImageSource {
    let reference: RegistryReference
    /// Mirrors first, the registry itself last.
    let endpoints: [Repository]

    package var place: String { reference.description }

    package func root() async throws -> ImageDocument {
        try await document(named: reference.manifestName)
    }

    package func document(_ entry: OCIDescriptor) async throws -> ImageDocument {
        try await document(named: entry.digest.description)
    }

    private func document(named name: String) async throws -> ImageDocument {
        try await first { endpoint in
            guard let document = try await endpoint.document(name) else {
                throw Failure(
                    .notFound, "the registry has no image \(name)", at: endpoint.place,
                    suggestion: "check the repository and the tag")
            }
            return document
        }
    }

    package func local(_ blob: OCIDescriptor) throws -> BlobBytes? { nil }

    package func small(_ blob: OCIDescriptor) async throws -> [UInt8] {
        try await first { try await $0.smallBlob(blob) }
    }

    package func fetch(
        _ blob: OCIDescriptor, held: [HeldSection], to path: String, meter: Meter
    ) async throws -> Int {
        try await first { endpoint in
            unlink(path)
            var download = try Download(blob, of: endpoint, held: held, to: path, meter: meter)
            do {
                try await download.run()
                return download.fetched
            } catch {
                meter.advance(-download.count)
                throw error
            }
        }
    }

    /// What the first gives that can: a mirror that lacks something, or lies, is no reason to fail.
    private func first<Value>(_ body: (Repository) async throws -> Value) async throws -> Value {
        for endpoint in endpoints.dropLast() {
            do {
                return try await body(endpoint)
            } catch let failure as Failure where failure.code != .diskFull && failure.code != .notPermitted {
                continue
            }
        }
        return try await body(endpoints[endpoints.count - 1])
    }
}

/// A repository that an image is pushed to.
package struct RegistrySink: ImageSink {
    let repository: Repository
    let reference: RegistryReference
    /// A repository of the same registry that may have the blobs already.
    let mountFrom: RepositoryName?

    package var place: String { reference.description }

    /// Only by its digest: then the registry saw to it that all it names was there.
    package func holds(document: Digest) async throws -> Bool {
        try await repository.digest(of: document.description) == document
    }

    package func holds(blob: OCIDescriptor) async throws -> Bool {
        if try await repository.holds(blob.digest) { return true }
        guard let mountFrom, mountFrom != repository.name else { return false }
        return try await repository.mount(blob.digest, from: mountFrom)
    }

    /// Between two registries a blob rests on this machine: it is checked before anybody else gets it.
    package func temporaryPath() throws -> String {
        NSTemporaryDirectory() + "kiln-blob-\(getpid())-\(UInt64.random(in: 0 ... .max))"
    }

    package func take(file path: String, _ blob: OCIDescriptor, meter: Meter) async throws {
        let bytes = try BlobBytes(file: path)
        // Mapped it stays until the end, and nothing is left behind however this ends.
        unlink(path)
        try await take(bytes, blob, meter: Meter())
    }

    package func take(_ bytes: BlobBytes, _ blob: OCIDescriptor, meter: Meter) async throws {
        try await Upload(repository: repository, blob: blob, bytes: bytes, meter: meter).run()
    }

    package func put(_ document: ImageDocument, isRoot: Bool) async throws {
        if isRoot, let digest = reference.digest, digest != document.digest {
            throw Failure(
                .conflict, "what is pushed has the digest \(document.digest), and the reference says another",
                at: place, suggestion: "push to a tag")
        }
        let tag = isRoot && reference.digest == nil ? reference.tag ?? .latest : reference.tag
        try await repository.put(document, tag: isRoot ? tag : nil)
    }

    package func finish() async throws {}
}
