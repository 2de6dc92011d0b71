package import Model

/// An OCI image config: how the image starts and what its layers hold. Its time is always 1970, because the
/// same content has the same digest whenever it is made.
package struct OCIConfig: Hashable, Sendable {
    package static let created = "1970-01-01T00:00:00Z"

    package var config: ImageConfig
    /// Digests of the uncompressed layers, the lowest first.
    package var diffIDs: [Digest]

    package init(config: ImageConfig, diffIDs: [Digest]) {
        self.config = config
        self.diffIDs = diffIDs
    }

    /// Reads what any builder wrote: entry point and command become one command; a user must be in numbers.
    package init(parsing bytes: [UInt8]) throws {
        let stated = try StatedConfig(parsing: bytes)
        diffIDs = stated.diffIDs
        config = ImageConfig(
            architecture: stated.architecture, user: try OCIConfig.user(stated.user),
            command: stated.entryPoint + stated.command, environment: stated.environment,
            workingDirectory: stated.workingDirectory.isEmpty ? "/" : stated.workingDirectory)
    }

    /// `uid:gid` from `uid`, `uid:gid` or nothing, which is root.
    private static func user(_ text: String) throws -> String {
        if text.isEmpty { return "0:0" }
        let ids = text.split(separator: ":", omittingEmptySubsequences: false)
        guard ids.count <= 2, ids.allSatisfy({ id in UInt32(id).map { String($0) == id } ?? false }) else {
            throw OCIManifest.unfit("config", "its user \"\(text.prefix(80))\" is not in numbers")
        }
        return ids.count == 2 ? text : text + ":0"
    }

    package var bytes: [UInt8] {
        let environment = config.environment.map { "\($0.key)=\($0.value)" }
            .sorted { TarEntry.precedes($0, $1) }
        let run: [String: JSONValue] = [
            "User": .string(config.user), "Cmd": .array(config.command.map { .string($0) }),
            "Env": .array(environment.map { .string($0) }), "WorkingDir": .string(config.workingDirectory),
        ]
        return JSONValue.object([
            "created": .string(OCIConfig.created), "architecture": .string(config.architecture.rawValue),
            "os": .string("linux"), "config": .object(run),
            "rootfs": .object([
                "type": .string("layers"), "diff_ids": .array(diffIDs.map { .string($0.description) }),
            ]),
            "history": .array(
                diffIDs.map { _ in
                    .object(["created": .string(OCIConfig.created), "created_by": .string("kiln")])
                }),
        ]).bytes
    }
}

/// Between the documents of an image and what the model knows of it.
package enum OCIImage {
    /// The two documents of an image: first write `config`, then `manifest`, whose digest is the image's.
    package static func documents(
        config: ImageConfig, layers: [ImageLayer], annotations: [String: String] = [:]
    ) -> (manifest: [UInt8], config: [UInt8], image: Image) {
        let configBytes = OCIConfig(config: config, diffIDs: layers.map(\.diffID)).bytes
        let manifest = OCIManifest(
            config: OCIDescriptor(
                mediaType: OCIDescriptor.configType, digest: .sha256(configBytes), size: configBytes.count),
            layers: layers.map {
                OCIDescriptor(
                    mediaType: $0.mediaType ?? OCIDescriptor.layerType, digest: $0.digest, size: $0.size,
                    annotations: LayerSections.annotations($0.sections))
            }, annotations: annotations
        ).bytes
        return (manifest, configBytes, Image(digest: .sha256(manifest), config: config, layers: layers))
    }

    /// The image that two documents describe. Throws where they do not belong together.
    package static func image(manifest manifestBytes: [UInt8], config configBytes: [UInt8]) throws -> Image {
        let manifest = try OCIManifest(parsing: manifestBytes)
        guard manifest.config.digest == .sha256(configBytes), manifest.config.size == configBytes.count else {
            throw Failure(
                .hashMismatch, "the config is not the one that the manifest names",
                at: "\(manifest.config.digest)", suggestion: "pull the image again, or bake it")
        }
        let config = try OCIConfig(parsing: configBytes)
        guard config.diffIDs.count == manifest.layers.count else {
            throw OCIManifest.unfit("config", "it lists other layers than the manifest")
        }
        let layers = zip(manifest.layers, config.diffIDs).map {
            ImageLayer($0, diffID: $1)
        }
        return Image(digest: .sha256(manifestBytes), config: config.config, layers: layers)
    }
}

extension ImageLayer {
    /// A layer of an image of anybody's. What Docker calls otherwise is the same: its bytes have OCI's name too.
    package init(_ layer: OCIDescriptor, diffID: Digest) {
        self.init(
            digest: layer.digest, size: layer.size, diffID: diffID, mediaType: layer.layerTypeOfOCI,
            sections: LayerSections.of(layer))
    }
}

extension OCIDescriptor {
    /// OCI's name for the form that a layer is in; nil for a tar packed with gzip.
    fileprivate var layerTypeOfOCI: String? {
        switch mediaType.split(whereSeparator: { $0 == "." || $0 == "+" }).last {
        case "tar": OCIDescriptor.plainLayerType
        case "zstd": OCIDescriptor.zstdLayerType
        default: nil
        }
    }
}
