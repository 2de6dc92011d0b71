import ImageFormat
package import Model
import Ports

/// An image of somebody else's that a recipe builds on. Its layers are never written again: they come first in the new
/// image, with the digests that they have.
struct FromImage: Sendable {
    /// Changes whenever what is kept of an image does.
    static let version = 1
    /// The annotation that names what an image was built on (OCI image spec, annotations.md).
    static let annotation = "org.opencontainers.image.base.digest"

    private enum Limit {
        static let layerBytes = 64 << 30
        static let accountBytes = 1 << 20
    }

    let config: StatedConfig
    /// What a recipe's own files are put on.
    let base: BaseImage

    /// The image of a lock, pulled where a part of it is not in the store.
    static func open(
        _ locked: Lock.BaseImage, _ recipe: Recipe, store: any ImageStore, puller: (any ImagePuller)?
    ) async throws -> FromImage {
        do {
            if missing(locked.digest, store) {
                guard let puller else {
                    throw Failure(
                        .notFound, "the store does not hold the image \(locked.name)",
                        suggestion: "pull it first: `kiln image pull`")
                }
                try await puller.pull(
                    try Recipe.ImageRequest(parsing: locked.name), locked.digest, for: recipe.architecture)
            }
            let (manifest, bytes) = try documents(locked.digest, store)
            let config = try StatedConfig(parsing: bytes)
            guard config.architecture == recipe.architecture else {
                throw Failure(
                    .invalidArgument,
                    "the image is for \(config.architecture.rawValue), and the recipe for "
                        + recipe.architecture.rawValue,
                    suggestion: "name an image for \(recipe.architecture.rawValue), or write architecture: "
                        + config.architecture.rawValue)
            }
            let base = try base(locked.digest, manifest, config, store)
            return FromImage(config: config, base: base)
        } catch {
            throw Failures(Failure.list(error).map { $0.at("image.from \(locked.name)") })
        }
    }

    private static func documents(
        _ digest: Digest, _ store: any ImageStore
    ) throws -> (OCIManifest, config: [UInt8]) {
        let manifest = try OCIManifest(parsing: try store.read(digest, limit: OCIManifest.Limit.bytes))
        return (manifest, try store.read(manifest.config.digest, limit: OCIManifest.Limit.bytes))
    }

    /// The blobs of an image that is in the store, the manifest first; nil where one is not there.
    static func blobs(_ digest: Digest, _ store: any ImageStore) -> [Digest]? {
        guard store.path(of: digest) != nil, let (manifest, _) = try? documents(digest, store) else {
            return nil
        }
        let blobs = [digest] + manifest.blobs
        return blobs.allSatisfy { store.path(of: $0) != nil } ? blobs : nil
    }

    private static func missing(_ digest: Digest, _ store: any ImageStore) -> Bool {
        blobs(digest, store) == nil
    }

    private static func base(
        _ digest: Digest, _ manifest: OCIManifest, _ config: StatedConfig, _ store: any ImageStore
    ) throws -> BaseImage {
        guard config.diffIDs.count == manifest.layers.count else {
            throw Failure(
                .corruptArchive, "the image's config lists other layers than its manifest", at: "\(digest)",
                suggestion: "build on another image: this one contradicts itself")
        }
        let layers = zip(manifest.layers, config.diffIDs).map { ImageLayer($0, diffID: $1) }
        let key = "from/\(version)-" + digest.hex
        if let bytes = store.cached(key), var base = try? BaseImage(decoding: bytes) {
            base.layers = layers
            return base
        }
        let tree = try FileTree(layers: try tars(layers, store))
        func text(_ path: String) throws -> String {
            guard let file = try tree.file(at: path), file.entry.kind == .file,
                file.content.count <= Limit.accountBytes
            else { return "" }
            return String(decoding: file.content, as: UTF8.self)
        }
        let base = BaseImage(
            layers: layers, accounts: Accounts(passwd: try text("etc/passwd"), group: try text("etc/group")),
            givenIDs: [:], warnings: [], notes: [], traced: [],
            entries: tree.files.values.map(\.entry).filter {
                BaseImage.isKept($0) || MountPoints.isFile($0.path)
            }.sorted {
                TarEntry.precedes($0.path, $1.path)
            })
        try store.cache(key, base.encoded())
        return base
    }
}

extension FromImage {
    /// The layers unpacked, each proven to be what the image's config says.
    static func tars(_ layers: [ImageLayer], _ store: any ImageStore) throws -> [MappedBytes] {
        let spoolFolder = try store.folder("spool")
        return try layers.map { layer in
            guard let path = store.path(of: layer.digest) else {
                throw Failure(
                    .storeDamaged, "a layer is gone from the store", at: "\(layer.digest)",
                    suggestion: "run `kiln lock` again: it pulls what is missing")
            }
            let blob = try MappedBytes(file: path)
            let tar = try blob.withBytes {
                try Decompressor.decompress($0, limit: Limit.layerBytes, spoolFolder: spoolFolder)
            }
            guard tar.withBytes({ Digest.sha256($0) }) == layer.diffID else {
                throw Failure(
                    .corruptArchive, "a layer is not the one that the image's config names",
                    at: "\(layer.digest)", suggestion: "build on another image: this one contradicts itself")
            }
            return tar
        }
    }
}

extension Recipe {
    /// The recipe with what it leaves open as the image below it has it.
    func completed(by config: StatedConfig?) -> Recipe {
        guard let config else { return self }
        var recipe = self
        recipe.environment = config.environment.merging(environment) { $1 }
        recipe.user = user ?? (config.user.isEmpty ? nil : config.user)
        if command.isEmpty { recipe.command = config.entryPoint + config.command }
        recipe.workingDirectory =
            workingDirectory ?? (config.workingDirectory.isEmpty ? nil : config.workingDirectory)
        return recipe
    }
}

extension Lock {
    /// The beginning of a lock for a recipe that builds on another image and has no packages.
    package static func withoutPackages(_ recipe: Recipe) -> Lock {
        Lock(
            distribution: nil, architecture: recipe.architecture, base: recipe.base, requested: [],
            archives: [],
            packages: [], layers: [])
    }
}

extension BaseImage {
    /// The same with all that is known of the layers below: what is kept of a base does not say their form.
    func on(_ below: FromImage?) -> BaseImage {
        guard let below else { return self }
        var base = self
        base.layers.replaceSubrange(..<below.base.layers.count, with: below.base.layers)
        return base
    }
}
