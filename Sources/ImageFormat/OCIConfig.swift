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
        let json = try JSONValue(parsing: bytes)
        guard json["os"]?.text == "linux", let name = json["architecture"]?.text,
            let architecture = Architecture(rawValue: name)
        else { throw OCIManifest.unfit("config", "it is not for Linux on amd64 or arm64") }
        guard json["rootfs"]?["type"]?.text == "layers", let diffIDs = json["rootfs"]?["diff_ids"]?.elements
        else {
            throw OCIManifest.unfit("config", "it does not list its layers")
        }
        self.diffIDs = try diffIDs.map { element in
            guard let text = element.text, text.hasPrefix("sha256:") else {
                throw OCIManifest.unfit("config", "a layer's digest is not a SHA-256")
            }
            return try Digest(parsing: text)
        }
        let run = json["config"] ?? .object([:])
        func texts(_ key: String) throws -> [String] {
            guard let value = run[key], value != .null else { return [] }
            guard let elements = value.elements else {
                throw OCIManifest.unfit("config", "\(key) is no list")
            }
            return try elements.map {
                guard let text = $0.text else { throw OCIManifest.unfit("config", "\(key) holds no text") }
                return text
            }
        }
        var environment: [String: String] = [:]
        for pair in try texts("Env") {
            guard let equals = pair.firstIndex(of: "="), equals > pair.startIndex else {
                throw OCIManifest.unfit("config", "a variable of the environment has no name")
            }
            environment[String(pair[..<equals])] = String(pair[pair.index(after: equals)...])
        }
        let directory = run["WorkingDir"]?.text ?? ""
        config = ImageConfig(
            architecture: architecture, user: try OCIConfig.user(run["User"]?.text ?? ""),
            command: try texts("Entrypoint") + texts("Cmd"), environment: environment,
            workingDirectory: directory.isEmpty ? "/" : directory)
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
                OCIDescriptor(mediaType: OCIDescriptor.layerType, digest: $0.digest, size: $0.size)
            }, annotations: annotations
        ).bytes
        return (manifest, configBytes, Image(digest: .sha256(manifest), config: config, layers: layers))
    }

    /// The image that two documents describe. Throws where they do not belong together.
    package static func image(manifest manifestBytes: [UInt8], config configBytes: [UInt8]) throws -> Image {
        let manifest = try OCIManifest(parsing: manifestBytes)
        guard manifest.config.digest == .sha256(configBytes), manifest.config.size == configBytes.count else {
            throw Failure(.hashMismatch, "the config is not the one that the manifest names")
        }
        let config = try OCIConfig(parsing: configBytes)
        guard config.diffIDs.count == manifest.layers.count else {
            throw OCIManifest.unfit("config", "it lists other layers than the manifest")
        }
        let layers = zip(manifest.layers, config.diffIDs).map {
            ImageLayer(digest: $0.digest, size: $0.size, diffID: $1)
        }
        return Image(digest: .sha256(manifestBytes), config: config.config, layers: layers)
    }
}
