/// Content named by the digest of its OCI manifest.
package struct Image: Hashable, Sendable, Codable {
    package var digest: Digest
    package var config: ImageConfig
    package var layers: [ImageLayer]

    package init(digest: Digest, config: ImageConfig, layers: [ImageLayer]) {
        self.digest = digest
        self.config = config
        self.layers = layers
    }

    /// Compressed bytes of all layers.
    package var size: Int { layers.reduce(0) { $0 + $1.size } }
}

/// How an image starts: the part of the OCI image config that behaviour depends on.
package struct ImageConfig: Hashable, Sendable, Codable {
    package var architecture: Architecture
    /// `uid:gid` in numbers, so that starting needs no look at the image's /etc/passwd.
    package var user: String
    package var command: [String]
    package var environment: [String: String]
    package var workingDirectory: String

    package init(
        architecture: Architecture, user: String, command: [String], environment: [String: String],
        workingDirectory: String
    ) {
        self.architecture = architecture
        self.user = user
        self.command = command
        self.environment = environment
        self.workingDirectory = workingDirectory
    }
}

package struct ImageLayer: Hashable, Sendable, Codable {
    /// Digest of the blob as stored (gzip).
    package var digest: Digest
    package var size: Int
    /// Digest of the uncompressed tar.
    package var diffID: Digest

    package init(digest: Digest, size: Int, diffID: Digest) {
        self.digest = digest
        self.size = size
        self.diffID = diffID
    }
}

/// What the store remembers of an image besides its content. Not part of the digest.
package struct ImageRecord: Hashable, Sendable, Codable {
    package var digest: Digest
    /// The service that it was baked for.
    package var service: ServiceName
    package var bakedAt: Instant
    package var size: Int
    package var packages: Int

    package init(digest: Digest, service: ServiceName, bakedAt: Instant, size: Int, packages: Int) {
        self.digest = digest
        self.service = service
        self.bakedAt = bakedAt
        self.size = size
        self.packages = packages
    }
}
