import Glibc
package import Model
package import Ports

/// Bakes an image again, from nothing but what its lock names, and compares.
package struct ImageVerification: Sendable {
    package enum Finding: Sendable {
        /// The same bytes.
        case same
        /// Another image, and how it differs.
        case other(ImageDifference)
    }

    private let store: any ImageStore
    private let empty: any ImageStore
    private let host: HostApt

    /// `empty`: a store with nothing in it, on the same disk.
    package init(store: any ImageStore, empty: any ImageStore, host: HostApt = HostApt()) {
        (self.store, self.empty, self.host) = (store, empty, host)
    }

    package func verify(
        _ digest: Digest, _ recipe: Recipe, specFolder: String, lock: Lock, service: ServiceName,
        progress: @escaping @Sendable (BakeProgress) -> Void = { _ in }
    ) async throws -> Finding {
        for package in lock.packages + lock.builds.flatMap(\.packages) { try lend(package.sha256) }
        for file in lock.fetched { try lend(file.sha256) }
        for blob in lock.from.flatMap({ FromImage.blobs($0.digest, store) }) ?? [] { try lend(blob) }
        let baker = ImageBaker(store: empty, host: host, clock: { Instant(milliseconds: 0) })
        let again = try await baker.bake(
            recipe, specFolder: specFolder, lock: lock, service: service, progress: progress)
        if again.image.digest == digest { return .same }
        let before = try ImageContents(digest, store: store)
        return .other(before.difference(to: try ImageContents(again.image.digest, store: empty)))
    }

    /// Bytes that are proven may be shared; what was made of them may not.
    private func lend(_ blob: Digest) throws {
        guard let path = store.path(of: blob), empty.path(of: blob) == nil else { return }
        _ = try store.proven(blob, at: path)
        let copy = try empty.temporaryPath()
        unlink(copy)
        guard link(path, copy) == 0 else { return }
        try empty.adopt(copy, as: blob)
    }
}
