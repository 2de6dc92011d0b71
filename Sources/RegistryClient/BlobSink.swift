internal import Foundation
package import ImageFormat
package import Model
package import Ports

/// The blobs and documents of an image that another one is made on: kept in the store byte for byte, and not listed
/// there, because nobody runs it.
package struct BlobSink: ImageSink {
    private let store: any ImageStore
    package let place = "the store"

    package init(_ store: any ImageStore) { self.store = store }

    /// Asked for again in any case: a store may have lost a blob.
    package func holds(document: Digest) async throws -> Bool { false }

    package func holds(blob: OCIDescriptor) async throws -> Bool { store.path(of: blob.digest) != nil }

    package func temporaryPath() throws -> String { try store.temporaryPath() }

    package func take(file path: String, _ blob: OCIDescriptor, meter: Meter) async throws {
        try store.adopt(path, as: blob.digest)
    }

    package func take(_ bytes: BlobBytes, _ blob: OCIDescriptor, meter: Meter) async throws {
        let path = try store.temporaryPath()
        do {
            try CheckedCopy.write(bytes, blob, to: path, meter: meter, place: place)
            try store.adopt(path, as: blob.digest)
        } catch {
            unlink(path)
            throw error
        }
    }

    package func put(_ document: ImageDocument, isRoot: Bool) async throws {
        _ = try store.write(document.bytes)
    }

    package func finish() async throws {}
}
