import Glibc
import ImageFormat
import Model
import Ports
import TestKit

@testable import Baking

/// An image as other tools make them, in a store of its own.
struct ForeignImage: Sendable {
    typealias Row = (entry: TarEntry, text: String)

    let store: FolderStore
    let digest: Digest
    let layers: [OCIDescriptor]

    static let base: [Row] = [
        (TarEntry(path: "etc", kind: .directory, mode: 0o755), ""),
        (
            TarEntry(path: "etc/passwd", kind: .file),
            "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001::/srv:/bin/sh\n"
        ),
        (TarEntry(path: "etc/group", kind: .file), "root:x:0:\nstaff:x:50:\napp:x:1001:\n"),
        (TarEntry(path: "usr/bin", kind: .directory, mode: 0o755), ""),
        (TarEntry(path: "usr/bin/app", kind: .file, mode: 0o755), "#!app"),
        (TarEntry(path: "usr/bin/old", kind: .file, mode: 0o755), "#!old"),
        (TarEntry(path: "bin", kind: .symlink, link: "usr/bin"), ""),
        (
            TarEntry(path: "var/lib/dpkg/status", kind: .file),
            "Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2.36-9\n\n"
        ),
    ]

    /// A tar of some files.
    static func tar(_ rows: [Row]) -> [UInt8] {
        var bytes: [UInt8] = []
        for (entry, text) in rows {
            var entry = entry
            if entry.kind == .file { entry.size = text.utf8.count }
            bytes +=
                TarWriter.header(for: entry) + Array(text.utf8) + TarWriter.padding(after: text.utf8.count)
        }
        return bytes + TarWriter.trailer
    }

    /// `layers`: tars, each with the media type and the bytes that it is stored in; nil bytes: as it is.
    init(
        _ layers: [(tar: [UInt8], type: String, packed: [UInt8]?)], in folder: TemporaryFolder,
        architecture: Architecture = .native, config: String? = nil,
        manifestType: String = OCIDescriptor.manifestType
    ) throws {
        let store = try FolderStore(folder.path + "/foreign")
        self.store = store
        self.layers = try layers.map { layer in
            let bytes = layer.packed ?? layer.tar
            return OCIDescriptor(mediaType: layer.type, digest: try store.write(bytes), size: bytes.count)
        }
        let ids = layers.map { "\"\(Digest.sha256($0.tar))\"" }.joined(separator: ", ")
        let run =
            config
            ?? #"{"User": "app", "Env": ["PATH=/usr/bin", "A=below", "B=below"], "Entrypoint": ["app"], "Cmd": ["serve"], "WorkingDir": "/etc"}"#
        let document = Array(
            #"{"os": "linux", "architecture": "\#(architecture.rawValue)", "config": \#(run), "rootfs": {"type": "layers", "diff_ids": [\#(ids)]}}"#
                .utf8)
        let rows = self.layers.map {
            #"{"mediaType": "\#($0.mediaType)", "size": \#($0.size), "digest": "\#($0.digest)"}"#
        }
        let configType =
            manifestType == OCIDescriptor.manifestType
            ? OCIDescriptor.configType : "application/vnd.docker.container.image.v1+json"
        let manifest = Array(
            #"{"schemaVersion": 2,  "mediaType": "\#(manifestType)", "config": {"mediaType": "\#(configType)", "size": \#(document.count), "digest": "\#(try store.write(document))"}, "layers": [\#(rows.joined(separator: ", "))]}"#
                .utf8)
        digest = try store.write(manifest)
    }

    /// One plain layer of `rows`.
    init(_ rows: [Row] = ForeignImage.base, in folder: TemporaryFolder, config: String? = nil) throws {
        try self.init(
            [(ForeignImage.tar(rows), OCIDescriptor.plainLayerType, nil)], in: folder, config: config)
    }
}

/// Brings foreign images from their store into another one.
struct ForeignPuller: ImagePuller {
    let image: ForeignImage
    let store: any ImageStore

    func resolve(_ request: Recipe.ImageRequest, for architecture: Architecture) async throws -> Digest {
        image.digest
    }

    func pull(_ request: Recipe.ImageRequest, _ digest: Digest, for architecture: Architecture) async throws {
        guard digest == image.digest, let blobs = FromImage.blobs(digest, image.store) else {
            throw Failure(.notFound, "no such image")
        }
        for blob in blobs { _ = try store.write(try image.store.read(blob, limit: 1 << 26)) }
    }
}
