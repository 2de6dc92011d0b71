package import ImageFormat
internal import Model

/// What `docker save` writes: layers as they are unpacked, and no manifest. One is made here, always the same for
/// the same archive.
package struct DockerArchiveSource: ImageSource {
    package let place: String
    private let manifest: [UInt8]
    private let blobs: [Digest: BlobBytes]

    package init(_ path: String, name: String?) throws {
        let place = "docker-archive:\(path)" + (name.map { ":\($0)" } ?? "")
        self.place = place
        let files = try TarFiles(path)
        let list = try JSONValue(parsing: files.document("manifest.json")).elements ?? []
        let image = try DockerArchiveSource.choose(name, list, place)
        guard let configName = image["Config"]?.text, let layerNames = image["Layers"]?.elements,
            layerNames.count <= OCIManifest.Limit.layers
        else {
            throw Failure(
                .corruptArchive,
                "its manifest names no config, or more than \(OCIManifest.Limit.layers) layers",
                at: place)
        }
        let config = try files.document(configName)
        let stated = try JSONValue(parsing: config)["rootfs"]?["diff_ids"]?.elements ?? []
        guard stated.count == layerNames.count else {
            throw Failure(.corruptArchive, "config and manifest list other layers", at: place)
        }
        var blobs: [Digest: BlobBytes] = [
            .sha256(config): try DockerArchiveSource.member(configName, files)
        ]
        var layers: [OCIDescriptor] = []
        for (name, diffID) in zip(layerNames, stated) {
            guard let name = name.text, let bytes = try files.bytes(name) else {
                throw Failure(.corruptArchive, "a layer is missing: \(name.text ?? "?")", at: place)
            }
            let digest = bytes.digest
            let format = bytes.withBytes { Decompressor.format(of: $0) }
            // A packed layer is checked when it is unpacked.
            if format == .none, diffID.text != digest.description {
                throw Failure(
                    .hashMismatch, "a layer is not the one that the config names", at: "\(place) \(name)")
            }
            layers.append(
                OCIDescriptor(
                    mediaType: OCIDescriptor.plainLayerType + (DockerArchiveSource.suffixes[format] ?? ""),
                    digest: digest, size: bytes.count))
            blobs[digest] = bytes
        }
        manifest =
            OCIManifest(
                config: OCIDescriptor(
                    mediaType: OCIDescriptor.configType, digest: .sha256(config), size: config.count),
                layers: layers
            ).bytes
        self.blobs = blobs
    }

    private static let suffixes: [Decompressor.Format: String] = [.gzip: "+gzip", .zstd: "+zstd"]

    private static func member(_ name: String, _ files: TarFiles) throws -> BlobBytes {
        guard let bytes = try files.bytes(name) else {
            throw Failure(.corruptArchive, "it lacks \(name)", at: files.place)
        }
        return bytes
    }

    private static func choose(_ name: String?, _ list: [JSONValue], _ place: String) throws -> JSONValue {
        func names(_ image: JSONValue) -> [String] { image["RepoTags"]?.elements?.compactMap(\.text) ?? [] }
        let fitting = name.map { name in list.filter { names($0).contains(name) } } ?? list
        guard let image = fitting.first, fitting.count == 1 else {
            let all = list.flatMap(names).joined(separator: ", ")
            throw Failure(
                .notFound, "it holds \(fitting.count) images that this names", at: place,
                suggestion: all.isEmpty ? "leave out the name" : "name one of them after a colon: \(all)")
        }
        return image
    }

    package func root() async throws -> ImageDocument { try ImageDocument(manifest) }

    package func document(_ entry: OCIDescriptor) async throws -> ImageDocument {
        throw Failure(.notFound, "an archive of Docker's holds no index", at: place)
    }

    package func local(_ blob: OCIDescriptor) throws -> BlobBytes? { blobs[blob.digest] }
}
