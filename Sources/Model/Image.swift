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
    /// The form of the blob by OCI's name; nil for a tar packed with gzip, which is what Kiln makes.
    package var mediaType: String?
    /// Its bytes in runs that other layers may have too, so that only the others need to be fetched. They begin with
    /// the layer; what follows the last one is this layer's own. Empty where nobody said.
    package var sections: [Section]

    package init(
        digest: Digest, size: Int, diffID: Digest, mediaType: String? = nil, sections: [Section] = []
    ) {
        self.mediaType = mediaType
        self.digest = digest
        self.size = size
        self.diffID = diffID
        self.sections = sections
    }

    package struct Section: Hashable, Sendable, Codable {
        package var size: Int
        package var digest: Digest

        package init(size: Int, digest: Digest) {
            self.size = size
            self.digest = digest
        }
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
    /// Signatures and statements about it or its index, as blobs of the store; nil: none. Whoever decides verifies them.
    package var evidence: [Digest]?

    package init(
        digest: Digest, service: ServiceName?, bakedAt: Instant, size: Int, packages: Int,
        names: [String]? = nil, index: Digest? = nil, evidence: [Digest]? = nil
    ) {
        self.evidence = evidence
        self.digest = digest
        self.service = service
        self.bakedAt = bakedAt
        self.size = size
        self.packages = packages
        self.names = names
        self.index = index
    }
}
