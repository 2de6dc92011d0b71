import ImageFormat
package import Model
package import Ports

/// The index of one recipe's images for several machine types.
package struct PlatformIndex: Sendable {
    package let digest: Digest
    package let images: [Digest]

    /// Writes the index into the store. The image for this machine, else the last one, is listed under the index, and
    /// is the newest of its service from now on.
    package init(_ results: [BakeResult], store: any ImageStore, now: Instant) async throws {
        let manifests = try results.map { result in
            let bytes = try store.read(result.image.digest, limit: OCIManifest.Limit.bytes)
            var entry = OCIDescriptor(
                mediaType: OCIDescriptor.manifestType, digest: result.image.digest, size: bytes.count)
            entry.platform = OCIPlatform(os: "linux", architecture: result.image.config.architecture.rawValue)
            return entry
        }
        // By the machine type and not by who bakes: the same recipe gives the same index everywhere.
        let sorted = manifests.sorted {
            ($0.platform?.architecture ?? "") < ($1.platform?.architecture ?? "")
        }
        digest = try store.write(OCIIndex(manifests: sorted).bytes)
        images = sorted.map(\.digest)
        let native = results.last { $0.image.config.architecture == .native } ?? results.last
        guard var record = native?.record else { return }
        record.index = digest
        record.bakedAt = now
        try await store.enter(record)
    }
}
