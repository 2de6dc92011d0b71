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
    /// Digest of the blob as stored (packed; with gzip where we made it).
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
    /// The service that it was baked for; nil for an image that came from elsewhere.
    package var service: ServiceName?
    /// When it was baked here, or came here.
    package var bakedAt: Instant
    package var size: Int
    /// How many packages were baked in; 0 where nobody counted.
    package var packages: Int
    /// What people call it, such as `registry.example/app:v1`. A name belongs to one image at a time.
    package var names: [String]?
    /// The index that it came in, byte for byte in the store; its other images need not be there.
    package var index: Digest?

    package init(
        digest: Digest, service: ServiceName?, bakedAt: Instant, size: Int, packages: Int,
        names: [String]? = nil, index: Digest? = nil
    ) {
        self.digest = digest
        self.service = service
        self.bakedAt = bakedAt
        self.size = size
        self.packages = packages
        self.names = names
        self.index = index
    }
}
