package import Model

/// A reference to a blob (OCI image spec, descriptor.md).
package struct OCIDescriptor: Hashable, Sendable {
    package static let manifestType = "application/vnd.oci.image.manifest.v1+json"
    package static let configType = "application/vnd.oci.image.config.v1+json"
    package static let indexType = "application/vnd.oci.image.index.v1+json"
    package static let layerType = "application/vnd.oci.image.layer.v1.tar+gzip"

    package var mediaType: String
    package var digest: Digest
    package var size: Int
    package var annotations: [String: String]

    package init(mediaType: String, digest: Digest, size: Int, annotations: [String: String] = [:]) {
        self.mediaType = mediaType
        self.digest = digest
        self.size = size
        self.annotations = annotations
    }

    init(_ json: JSONValue?, in document: String) throws {
        guard let json, let type = json["mediaType"]?.text, let size = json["size"]?.number, size >= 0,
            let digest = json["digest"]?.text
        else { throw OCIManifest.unfit(document, "a descriptor lacks its type, digest or size") }
        guard digest.hasPrefix("sha256:") else {
            throw OCIManifest.unfit(document, "a digest is not a SHA-256")
        }
        mediaType = type
        self.size = size
        self.digest = try Digest(parsing: digest)
        annotations = try OCIManifest.annotations(json["annotations"], in: document)
    }

    var json: JSONValue {
        var members: [String: JSONValue] = [
            "mediaType": .string(mediaType), "digest": .string(digest.description), "size": .number(size),
        ]
        if !annotations.isEmpty { members["annotations"] = .object(annotations.mapValues { .string($0) }) }
        return .object(members)
    }
}

/// An OCI image manifest of gzip-packed layers. Its canonical bytes' SHA-256 names the image.
package struct OCIManifest: Hashable, Sendable {
    package enum Limit {
        /// What containerd takes at most.
        package static let layers = 127
        package static let bytes = 4 << 20
    }

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
        if let type = json["mediaType"], type.text != OCIDescriptor.manifestType {
            throw OCIManifest.unfit("manifest", "its media type is not an OCI image manifest")
        }
        config = try OCIDescriptor(json["config"], in: "manifest")
        guard config.mediaType == OCIDescriptor.configType else {
            throw OCIManifest.unfit("manifest", "it does not describe an image: \(config.mediaType)")
        }
        guard let layers = json["layers"]?.elements, layers.count <= Limit.layers else {
            throw OCIManifest.unfit("manifest", "it has no layers, or more than \(Limit.layers)")
        }
        self.layers = try layers.map { try OCIDescriptor($0, in: "manifest") }
        if let layer = self.layers.first(where: { $0.mediaType != OCIDescriptor.layerType }) {
            throw OCIManifest.unfit("manifest", "a layer is of the type \(layer.mediaType)")
        }
        annotations = try OCIManifest.annotations(json["annotations"], in: "manifest")
    }

    package var bytes: [UInt8] {
        var members: [String: JSONValue] = [
            "schemaVersion": .number(2), "mediaType": .string(OCIDescriptor.manifestType),
            "config": config.json, "layers": .array(layers.map(\.json)),
        ]
        if !annotations.isEmpty { members["annotations"] = .object(annotations.mapValues { .string($0) }) }
        return JSONValue.object(members).bytes
    }

    static func annotations(_ json: JSONValue?, in document: String) throws -> [String: String] {
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
            throw OCIManifest.unfit("index", "it is not an OCI index")
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
