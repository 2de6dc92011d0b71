package import ImageFormat
package import Model
package import Ports

/// Reads images out of a store's blobs.
package struct LayeredImageReader: ImageReader {
    private enum Limit {
        static let documentBytes = 4 << 20
        static let layerBytes = 64 << 30
    }

    private let store: any ImageStore

    package init(store: any ImageStore) { self.store = store }

    package func image(_ digest: Digest) throws -> Image {
        let documents = try documents(digest)
        return try OCIImage.image(manifest: documents.manifest, config: documents.config)
    }

    /// The two documents of an image, as stored.
    func documents(_ digest: Digest) throws -> (manifest: [UInt8], config: [UInt8]) {
        guard store.path(of: digest) != nil else {
            throw Failure(
                .notFound, "there is no image \(digest)",
                suggestion: "see those that there are: `kiln image list`")
        }
        let manifest = try store.read(digest, limit: Limit.documentBytes)
        let config = try OCIManifest(parsing: manifest).config
        return (manifest, try store.read(config.digest, limit: Limit.documentBytes))
    }

    /// The blobs of an image's layers, lowest first.
    func layers(_ image: Image) throws -> [(layer: ImageLayer, path: String)] {
        try image.layers.map { layer in
            guard let path = store.path(of: layer.digest) else {
                throw Failure(
                    .storeDamaged, "a layer of the image is gone", at: "\(layer.digest)",
                    suggestion: "bake again")
            }
            return (layer, path)
        }
    }

    package func unpack(_ digest: Digest, into folder: String) async throws {
        let spoolFolder = try store.folder("spool")
        var tree = FileTree()
        for (layer, path) in try layers(try image(digest)) {
            try Task.checkCancellation()
            do {
                try tree.add(try LayeredImageReader.tar(of: layer, at: path, spoolFolder))
            } catch let failure as Failure where failure.code == .corruptArchive {
                throw LayeredImageReader.damaged(path, failure)
            }
        }
        try tree.unpack(into: folder)
    }

    /// What a layer holds, if it is what the image's config names. Throws `storeDamaged` otherwise.
    static func tar(of layer: ImageLayer, at path: String, _ spoolFolder: String) throws -> MappedBytes {
        let blob = try MappedBytes(file: path)
        do {
            let tar = try blob.withBytes {
                try Decompressor.decompress($0, limit: Limit.layerBytes, spoolFolder: spoolFolder)
            }
            guard tar.withBytes({ Digest.sha256($0) }) == layer.diffID else { throw damaged(path) }
            return tar
        } catch let failure as Failure where failure.code == .corruptArchive {
            throw damaged(path, failure)
        }
    }

    private static func damaged(_ path: String, _ cause: Failure? = nil) -> Failure {
        Failure(
            .storeDamaged, "a layer is not the one that the image names", at: path,
            suggestion: "`kiln store check --repair`, then bake or pull it again", cause: cause)
    }
}

/// Writes images of a store in the forms that other tools load.
package struct ImageExporter: Sendable {
    private let reader: LayeredImageReader

    package init(store: any ImageStore) { reader = LayeredImageReader(store: store) }

    /// Writes whole or not at all. `name` is the reference that a tool will know the image by.
    package func export(
        _ digest: Digest, name: String, format: ImageExport.Format, to path: String
    ) throws {
        let documents = try reader.documents(digest)
        let image = try OCIImage.image(manifest: documents.manifest, config: documents.config)
        try ImageExport.export(
            manifest: documents.manifest, config: documents.config, layers: try reader.layers(image),
            name: name,
            format: format, to: path)
    }
}
