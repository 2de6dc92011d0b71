import Glibc
package import Model

/// Writes an image in the forms that other tools load: podman, skopeo, umoci, docker.
package enum ImageExport {
    package enum Format: String, Hashable, Sendable, CaseIterable {
        /// An OCI image layout as a folder, and the same as one tar.
        case ociDirectory = "oci-dir"
        case ociArchive = "oci-archive"
        /// What `docker load` reads: uncompressed layers.
        case dockerArchive = "docker-archive"
    }

    /// The largest uncompressed layer that is written.
    private static let layerLimit = 64 << 30

    /// Writes the image under `path`, whole or not at all; a folder must not exist yet, a file is replaced.
    /// Checks every digest on the way (`storeDamaged`). `layers` are the image's, each with the path of its
    /// blob.
    package static func export(
        manifest: [UInt8], config: [UInt8], layers: [(layer: ImageLayer, path: String)], name: String,
        format: Format, to path: String
    ) throws {
        let reference = Reference(name)
        let target = path.count > 1 && path.hasSuffix("/") ? String(path.dropLast()) : path
        let slash = target.lastIndex(of: "/")
        let folder = slash.map { $0 == target.startIndex ? "/" : String(target[..<$0]) } ?? "."
        let temporary = "\(target).partial-\(String(UInt64.random(in: .min ... .max), radix: 36))"
        let source = Source(manifest: manifest, config: config, layers: layers, reference: reference)
        do {
            switch format {
            case .ociDirectory:
                var status = stat()
                guard lstat(target, &status) != 0 else {
                    throw Failure(
                        .conflict, "this exists already", at: target, suggestion: "choose a new folder")
                }
                try source.write(into: try LayoutFolder(temporary))
            case .ociArchive:
                let archive = try LayoutArchive(temporary)
                try source.write(into: archive)
                try archive.finish()
            case .dockerArchive:
                let archive = try LayoutArchive(temporary)
                try source.writeDocker(into: archive, spoolFolder: folder, limit: layerLimit)
                try archive.finish()
            }
            guard rename(temporary, target) == 0 else {
                throw Failure.system(errno, "the export cannot take its place", at: target)
            }
        } catch {
            LayoutFolder.remove(temporary)
            throw error
        }
        try syncFolder(folder)
    }

    private static func syncFolder(_ folder: String) throws {
        let descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw Failure.system(errno, "the folder cannot be opened", at: folder) }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else {
            throw Failure.system(errno, "the disk refused the export", at: folder)
        }
    }

    /// `registry/name:tag`, where the tag is `latest` unless it is said.
    private struct Reference {
        let name: String
        let tag: String

        init(_ text: String) {
            let start = text.lastIndex(of: "/").map(text.index(after:)) ?? text.startIndex
            let colon = text[start...].firstIndex(of: ":")
            name = colon.map { String(text[..<$0]) } ?? text
            tag = colon.map { String(text[text.index(after: $0)...]) } ?? "latest"
        }
    }

    private enum Blob {
        case document([UInt8])
        case layer(String)
    }

    private struct Source {
        let manifest: [UInt8]
        let config: [UInt8]
        let layers: [(layer: ImageLayer, path: String)]
        let reference: Reference

        /// The layout of OCI image spec, image-layout.md.
        func write(into output: any LayoutOutput) throws {
            let tag = ["org.opencontainers.image.ref.name": reference.tag]
            let index = OCIIndex(manifests: [
                OCIDescriptor(
                    mediaType: OCIDescriptor.manifestType, digest: .sha256(manifest), size: manifest.count,
                    annotations: tag)
            ])
            try output.folder("blobs")
            try output.folder("blobs/sha256")
            var blobs: [Digest: Blob] = [
                .sha256(manifest): .document(manifest), .sha256(config): .document(config),
            ]
            for (layer, path) in layers { blobs[layer.digest] = .layer(path) }
            for (digest, blob) in blobs.sorted(by: { $0.key < $1.key }) {
                let name = "blobs/sha256/\(digest.hex)"
                switch blob {
                case .document(let bytes): try output.file(name, bytes)
                case .layer(let path):
                    let bytes = try MappedBytes(file: path)
                    try bytes.withBytes {
                        try ImageExport.check($0, digest, path)
                        try output.file(name, $0)
                    }
                }
            }
            try output.file("index.json", index.bytes)
            try output.file("oci-layout", Array(#"{"imageLayoutVersion":"1.0.0"}"#.utf8))
        }

        /// The layout that `docker save` and `docker load` agree on.
        func writeDocker(into output: any LayoutOutput, spoolFolder: String, limit: Int) throws {
            let configName = Digest.sha256(config).hex + ".json"
            try output.file(configName, config)
            var written: Set<Digest> = []
            for (layer, path) in layers where written.insert(layer.diffID).inserted {
                let packed = try MappedBytes(file: path)
                let tar = try packed.withBytes {
                    try Decompressor.decompress($0, limit: limit, spoolFolder: spoolFolder)
                }
                try tar.withBytes {
                    try ImageExport.check($0, layer.diffID, path)
                    try output.file("\(layer.diffID.hex).tar", $0)
                }
            }
            let manifest = JSONValue.array([
                .object([
                    "Config": .string(configName),
                    "RepoTags": .array([.string("\(reference.name):\(reference.tag)")]),
                    "Layers": .array(layers.map { .string("\($0.layer.diffID.hex).tar") }),
                ])
            ])
            try output.file("manifest.json", manifest.bytes)
        }
    }

    private static func check(_ bytes: UnsafeRawBufferPointer, _ digest: Digest, _ path: String) throws {
        guard Digest.sha256(bytes) == digest else {
            throw Failure(
                .storeDamaged, "a layer does not have the content of its digest", at: path,
                suggestion: "remove the file and bake the image again")
        }
    }
}
