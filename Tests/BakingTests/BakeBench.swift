import ImageFormat
import Model
import Testing
import TestKit

@testable import Baking

/// A store, a mirror of a few packages made here, and a folder with a spec's files.
struct BakeBench: Sendable {
    let folder: TemporaryFolder
    let store: FolderStore
    let uri: String

    init(_ packages: [PackageMaker] = PackageMaker.small) throws {
        folder = try TemporaryFolder()
        store = try FolderStore(folder.path + "/store")
        uri = try PackageMaker.serve(packages, in: folder)
        try folder.write("spec/site/index.html", "<h1>one</h1>")
        try folder.write("spec/site/style.css", "h1 {}")
        try folder.write("spec/key", "secret")
        // A recipe with its own sources still needs a keyring to be named.
        try folder.write("host/usr/share/keyrings/debian-archive-keyring.gpg", "")
    }

    func recipe(
        user: String? = "server", command: [String] = ["server"], files: [FileRule]? = nil
    ) throws -> Recipe {
        Recipe(
            distribution: try .init(parsing: "debian/bookworm"),
            sources: [ArchiveSource(uri: uri, suites: ["bookworm"], components: ["main"])],
            files: files ?? [
                FileRule(from: "site/", to: "/srv/www"),
                FileRule(from: "key", to: "/etc/key", mode: 0o640, owner: "server:adm"),
            ], user: user, command: command, environment: ["LANG": "C.UTF-8"])
    }

    func bake(
        _ recipe: Recipe? = nil, packages: [PackageMaker] = PackageMaker.small, at time: Int = 1
    ) async throws -> BakeResult {
        let baker = ImageBaker(
            store: store, host: HostApt(root: folder.path + "/host"), clock: { Instant(milliseconds: time) })
        return try await baker.bake(
            try recipe ?? self.recipe(), specFolder: folder.path + "/spec",
            lock: try PackageMaker.lock(packages), service: try ServiceName("test"))
    }

    /// Every entry of an image, a later layer hiding an earlier one.
    func entries(_ image: Image) throws -> [String: TarEntry] {
        var entries: [String: TarEntry] = [:]
        for layer in image.layers {
            let blob = try MappedBytes(file: try #require(store.path(of: layer.digest)))
            let tar = try Decompressor.decompress(blob.bytes, limit: 1 << 24, spoolFolder: folder.path)
            var reader = TarReader(tar.bytes)
            while let (entry, _) = try reader.next() { entries[entry.path] = entry }
        }
        return entries
    }
}
