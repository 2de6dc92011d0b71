package import Model

/// A reference to a blob (OCI image spec, descriptor.md).
package struct OCIDescriptor: Hashable, Sendable {
    package static let manifestType = "application/vnd.oci.image.manifest.v1+json"
    package static let configType = "application/vnd.oci.image.config.v1+json"
    package static let indexType = "application/vnd.oci.image.index.v1+json"
    package static let layerType = "application/vnd.oci.image.layer.v1.tar+gzip"
    /// No blob is larger; so sizes add up without an overflow, whatever a manifest claims.
    static let largest = 1 << 38
    package static let zstdLayerType = "application/vnd.oci.image.layer.v1.tar+zstd"
    package static let plainLayerType = "application/vnd.oci.image.layer.v1.tar"

    // Docker's names for the same things, and compressions other than ours: images of others have them.
    package static let manifestTypes = [
        manifestType, "application/vnd.docker.distribution.manifest.v2+json",
    ]
    package static let indexTypes = [
        indexType, "application/vnd.docker.distribution.manifest.list.v2+json",
    ]
    static let configTypes = [configType, "application/vnd.docker.container.image.v1+json"]
    static let layerTypes = [
        layerType, plainLayerType, zstdLayerType,
        "application/vnd.docker.image.rootfs.diff.tar.gzip", "application/vnd.docker.image.rootfs.diff.tar",
        "application/vnd.docker.image.rootfs.diff.tar.zstd",
    ]

    package var mediaType: String
    package var digest: Digest
    package var size: Int
    package var annotations: [String: String]
    /// What it is for, in an index.
    package var platform: OCIPlatform?
    package var artifactType: String?

    package init(mediaType: String, digest: Digest, size: Int, annotations: [String: String] = [:]) {
        self.mediaType = mediaType
        self.digest = digest
        self.size = size
        self.annotations = annotations
    }

    package init(_ json: JSONValue?, in document: String) throws {
        guard let json, let type = json["mediaType"]?.text, let size = json["size"]?.number,
            (0...OCIDescriptor.largest).contains(size), let digest = json["digest"]?.text
        else { throw OCIManifest.unfit(document, "a descriptor lacks its type, digest or a likely size") }
        guard digest.hasPrefix("sha256:") else {
            throw OCIManifest.unfit(document, "a digest is not a SHA-256")
        }
        mediaType = type
        self.size = size
        self.digest = try Digest(parsing: digest)
        annotations = try OCIManifest.annotations(json["annotations"], in: document)
        artifactType = json["artifactType"]?.text
        if let os = json["platform"]?["os"]?.text, let architecture = json["platform"]?["architecture"]?.text
        {
            platform = OCIPlatform(
                os: os, architecture: architecture, variant: json["platform"]?["variant"]?.text)
        }
    }

    package var json: JSONValue {
        var members: [String: JSONValue] = [
            "mediaType": .string(mediaType), "digest": .string(digest.description), "size": .number(size),
        ]
        if !annotations.isEmpty { members["annotations"] = .object(annotations.mapValues { .string($0) }) }
        if let platform {
            var parts: [String: JSONValue] = [
                "os": .string(platform.os), "architecture": .string(platform.architecture),
            ]
            if let variant = platform.variant { parts["variant"] = .string(variant) }
            members["platform"] = .object(parts)
        }
        if let artifactType { members["artifactType"] = .string(artifactType) }
        return .object(members)
    }
}

/// What an image of an index is for.
package struct OCIPlatform: Hashable, Sendable, CustomStringConvertible {
    package var os: String
    package var architecture: String
    package var variant: String?

    package init(os: String, architecture: String, variant: String? = nil) {
        self.os = os
        self.architecture = architecture
        self.variant = variant
    }

    /// The images that this machine can run.
    package static let native = OCIPlatform(os: "linux", architecture: Architecture.native.rawValue)

    /// Reads `linux/arm64` or `linux/arm64/v8`.
    package init(parsing text: String) throws {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard (2...3).contains(parts.count), parts.allSatisfy({ !$0.isEmpty }) else {
            throw Failure(
                .invalidArgument, "\"\(text.prefix(80))\" is not a platform",
                suggestion: "write linux/amd64, linux/arm64 or linux/arm64/v8")
        }
        self.init(os: parts[0], architecture: parts[1], variant: parts.count == 3 ? parts[2] : nil)
    }

    package var description: String { "\(os)/\(architecture)" + (variant.map { "/\($0)" } ?? "") }
}

/// An image manifest. The SHA-256 of the bytes that it came in, or of our canonical ones, names the image.
package struct OCIManifest: Hashable, Sendable {
    package enum Limit {
        /// What containerd takes at most.
        package static let layers = 127
        package static let bytes = 4 << 20
    }

    /// OCI's, or Docker's for the same thing.
    package private(set) var mediaType = OCIDescriptor.manifestType
    package var config: OCIDescriptor
    package var layers: [OCIDescriptor]
    package var annotations: [String: String]

    package init(config: OCIDescriptor, layers: [OCIDescriptor], annotations: [String: String] = [:]) {
        self.config = config
        self.layers = layers
        self.annotations = annotations
    }

    /// Throws `corruptArchive` for anything that is not an image that this program can run.
    package init(parsing bytes: [UInt8]) throws {
        let json = try JSONValue(parsing: bytes)
        guard json["schemaVersion"]?.number == 2 else {
            throw OCIManifest.unfit("manifest", "its schema version is not 2")
        }
        if let type = json["mediaType"] {
            guard let text = type.text, OCIDescriptor.manifestTypes.contains(text) else {
                throw OCIManifest.unfit("manifest", "its media type is not that of an image")
            }
            mediaType = text
        }
        config = try OCIDescriptor(json["config"], in: "manifest")
        guard OCIDescriptor.configTypes.contains(config.mediaType) else {
            throw OCIManifest.unfit("manifest", "it does not describe an image: \(config.mediaType)")
        }
        guard let layers = json["layers"]?.elements, layers.count <= Limit.layers else {
            throw OCIManifest.unfit("manifest", "it has no layers, or more than \(Limit.layers)")
        }
        self.layers = try layers.map { try OCIDescriptor($0, in: "manifest") }
        if let layer = self.layers.first(where: { !OCIDescriptor.layerTypes.contains($0.mediaType) }) {
            throw OCIManifest.unfit("manifest", "a layer is of the type \(layer.mediaType)")
        }
        annotations = try OCIManifest.annotations(json["annotations"], in: "manifest")
    }

    /// What the image consists of besides this document: its config, then its layers.
    package var blobs: [Digest] { [config.digest] + layers.map(\.digest) }

    package var bytes: [UInt8] {
        var members: [String: JSONValue] = [
            "schemaVersion": .number(2), "mediaType": .string(mediaType),
            "config": config.json, "layers": .array(layers.map(\.json)),
        ]
        if !annotations.isEmpty { members["annotations"] = .object(annotations.mapValues { .string($0) }) }
        return JSONValue.object(members).bytes
    }

    package static func annotations(_ json: JSONValue?, in document: String) throws -> [String: String] {
        guard let json, json != .null else { return [:] }
        guard let members = json.members else { throw unfit(document, "its annotations are no object") }
        return try members.mapValues {
            guard let text = $0.text else { throw unfit(document, "an annotation is no text") }
            return text
        }
    }

    static func unfit(_ document: String, _ why: String) -> Failure {
        Failure(
            .corruptArchive, "the image's \(document) cannot be used: \(why)",
            suggestion: "bake or fetch the image again")
    }
}

/// An OCI image index: the manifests that a folder, archive or tag offers.
package struct OCIIndex: Hashable, Sendable {
    package var manifests: [OCIDescriptor]

    package init(manifests: [OCIDescriptor]) { self.manifests = manifests }

    package init(parsing bytes: [UInt8]) throws {
        let json = try JSONValue(parsing: bytes)
        guard json["schemaVersion"]?.number == 2, let manifests = json["manifests"]?.elements else {
            throw OCIManifest.unfit("index", "it is not an index")
        }
        self.manifests = try manifests.map { try OCIDescriptor($0, in: "index") }
    }

    package var bytes: [UInt8] {
        JSONValue.object([
            "schemaVersion": .number(2), "mediaType": .string(OCIDescriptor.indexType),
            "manifests": .array(manifests.map(\.json)),
        ]).bytes
    }
}
