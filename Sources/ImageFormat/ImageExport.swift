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
        if format == .dockerArchive {
            let blobs = try layers.map { ($0.layer.diffID, try BlobBytes(file: $0.path)) }
            return try exportDocker(config: config, layers: blobs, name: name, to: path)
        }
        let root = OCIDescriptor(
            mediaType: try OCIManifest(parsing: manifest).mediaType, digest: .sha256(manifest),
            size: manifest.count)
        var content = LayoutContent(root: root, tag: TaggedName(name).tag, documents: [manifest, config])
        for (layer, path) in layers { content.blobs[layer.digest] = try BlobBytes(file: path) }
        try export(content, format: format, to: path)
    }

    /// Writes anything that a layout can hold as a folder or as one tar, by the rules of the other `export`.
    package static func export(_ content: LayoutContent, format: Format, to path: String) throws {
        precondition(format != .dockerArchive, "that one has a form of its own")
        try whole(path) { temporary, target, _ in
            if format == .ociArchive {
                let archive = try LayoutArchive(temporary)
                try content.write(into: archive)
                return try archive.finish()
            }
            var status = stat()
            guard lstat(target, &status) != 0 else {
                throw Failure(
                    .conflict, "this exists already", at: target, suggestion: "choose a new folder")
            }
            try content.write(into: try LayoutFolder(temporary))
        }
    }

    /// Writes what `docker load` reads, whole or not at all. Each layer comes as it is stored, packed or not,
    /// with the digest of its tar.
    package static func exportDocker(
        config: [UInt8], layers: [(diffID: Digest, blob: BlobBytes)], name: String, to path: String
    ) throws {
        try whole(path) { temporary, _, folder in
            let archive = try LayoutArchive(temporary)
            try writeDocker(
                config, layers, TaggedName(name), into: archive, spoolFolder: folder, limit: layerLimit)
            try archive.finish()
        }
    }

    /// Lets `body` write under a temporary name beside `path`, then puts it in its place.
    private static func whole(
        _ path: String, _ body: (_ temporary: String, _ target: String, _ folder: String) throws -> Void
    ) throws {
        let target = path.count > 1 && path.hasSuffix("/") ? String(path.dropLast()) : path
        let slash = target.lastIndex(of: "/")
        let folder = slash.map { $0 == target.startIndex ? "/" : String(target[..<$0]) } ?? "."
        let temporary = "\(target).partial-\(String(UInt64.random(in: .min ... .max), radix: 36))"
        do {
            try body(temporary, target, folder)
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
    private struct TaggedName {
        let name: String
        let tag: String

        init(_ text: String) {
            let start = text.lastIndex(of: "/").map(text.index(after:)) ?? text.startIndex
            let colon = text[start...].firstIndex(of: ":")
            name = colon.map { String(text[..<$0]) } ?? text
            tag = colon.map { String(text[text.index(after: $0)...]) } ?? "latest"
        }
    }

    /// The layout that `docker save` and `docker load` agree on.
    private static func writeDocker(
        _ config: [UInt8], _ layers: [(diffID: Digest, blob: BlobBytes)], _ name: TaggedName,
        into output: any LayoutOutput, spoolFolder: String, limit: Int
    ) throws {
        let configName = Digest.sha256(config).hex + ".json"
        try output.file(configName, config)
        var written: Set<Digest> = []
        for (diffID, blob) in layers where written.insert(diffID).inserted {
            func write(_ tar: UnsafeRawBufferPointer) throws {
                try LayoutContent.check(tar, diffID)
                try output.file("\(diffID.hex).tar", tar)
            }
            try blob.withBytes { packed in
                if Decompressor.format(of: packed) == .none { return try write(packed) }
                let tar = try Decompressor.decompress(packed, limit: limit, spoolFolder: spoolFolder)
                try tar.withBytes { try write($0) }
            }
        }
        let manifest = JSONValue.array([
            .object([
                "Config": .string(configName),
                "RepoTags": .array([.string("\(name.name):\(name.tag)")]),
                "Layers": .array(layers.map { .string("\($0.diffID.hex).tar") }),
            ])
        ])
        try output.file("manifest.json", manifest.bytes)
    }
}
