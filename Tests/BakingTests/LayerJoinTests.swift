import ImageFormat
import Model
import Testing
import TestKit

@testable import Baking

struct LayerJoinTests {
    /// Packages of the same folder and of folders of their own, one of them larger than a gzip member.
    private static var packages: [PackageMaker] {
        var packages = PackageMaker.small
        for name in ["one", "two", "three"] {
            var package = PackageMaker(name)
            package.folder("usr/share/doc")
            package.file("usr/share/doc/\(name)/copyright", "of \(name)\n")
            package.link("usr/share/doc/\(name)/again", to: "usr/share/doc/\(name)/copyright", isHard: true)
            packages.append(package)
        }
        packages[4].file("usr/lib/large", String(repeating: "0123456789abcdef", count: 700_000))
        return packages
    }

    private static func lock(_ packages: [PackageMaker], _ layers: [[String]]) throws -> Lock {
        var lock = try PackageMaker.lock(packages)
        lock.layers = layers
        return lock
    }

    private static func bake(_ bench: BakeBench, _ lock: Lock) async throws -> Image {
        try await ImageBaker(
            store: bench.store, host: HostApt(root: bench.folder.path + "/host"),
            clock: { Instant(milliseconds: 1) }
        ).bake(
            try bench.recipe(), specFolder: bench.folder.path + "/spec", lock: lock,
            service: try ServiceName("test")
        ).image
    }

    @Test func `a plan changes the layers and not the files`() async throws {
        let packages = LayerJoinTests.packages
        let names = packages.map(\.name)
        var trees: [[String: TarEntry]] = []
        for layers in [names.map { [$0] }, [names], [["base-files"], Array(names.dropFirst())]] {
            let bench = try BakeBench(packages)
            let image = try await LayerJoinTests.bake(bench, LayerJoinTests.lock(packages, layers))
            #expect(image.layers.count == layers.count + 2)
            trees.append(try bench.entries(image))
        }
        #expect(trees[0] == trees[1])
        #expect(trees[0] == trees[2])
        #expect(trees[0]["usr/lib/large"]?.size == 11_200_000)
    }

    @Test func `a layer holds each path once, its folders first, and is what its digests say`() async throws {
        let packages = LayerJoinTests.packages
        let bench = try BakeBench(packages)
        let image = try await LayerJoinTests.bake(
            bench, LayerJoinTests.lock(packages, [packages.map(\.name)]))
        let layer = image.layers[0]
        let blob = try MappedBytes(file: try #require(bench.store.path(of: layer.digest)))
        #expect(Digest.sha256(blob.bytes) == layer.digest)
        let tar = try Decompressor.decompress(blob.bytes, limit: 1 << 26, spoolFolder: bench.folder.path)
        #expect(Digest.sha256(tar.bytes) == layer.diffID)
        var paths: [String] = []
        var kinds: [TarEntry.Kind] = []
        var reader = TarReader(tar.bytes)
        while let (entry, _) = try reader.next() {
            paths.append(entry.path)
            kinds.append(entry.kind)
        }
        #expect(Set(paths).count == paths.count)
        #expect(kinds.lastIndex(of: .directory)! < kinds.firstIndex(of: .file)!)
        // The sections are the layer's own bytes, in their order.
        var offset = 0
        for section in layer.sections {
            let bytes = UnsafeRawBufferPointer(rebasing: blob.bytes[offset..<offset + section.size])
            #expect(Digest.sha256(bytes) == section.digest)
            offset += section.size
        }
        #expect(layer.sections.count == packages.count + 1)
        #expect(offset < layer.size)
        #expect(try LayeredImageReader(store: bench.store).image(image.digest) == image)
    }

    @Test func `an update of one package changes its section and no other layer`() async throws {
        var packages = LayerJoinTests.packages
        let names = packages.map(\.name)
        let layers = [["base-files", "base-passwd", "one"], ["server", "two"], ["three"]]
        #expect(layers.joined().sorted() == names.sorted())
        let before = try await LayerJoinTests.bake(
            BakeBench(packages), LayerJoinTests.lock(packages, layers))
        packages[4].version = "2.0"
        packages[4].entries[1].content[0] ^= 1
        let after = try await LayerJoinTests.bake(
            BakeBench(packages), LayerJoinTests.lock(packages, layers))
        let changed = before.layers.indices.filter { before.layers[$0].digest != after.layers[$0].digest }
        #expect(changed == [1])
        let held = Set(before.layers[1].sections)
        #expect(after.layers[1].sections.filter { !held.contains($0) }.count == 1)
    }

    @Test func `packages that hold the same path get layers of their own`() async throws {
        var packages = PackageMaker.small
        var other = PackageMaker("server-extra")
        other.fields = ["Replaces: server"]
        other.file("etc/server.conf", "port 81\n")
        packages.append(other)
        let bench = try BakeBench(packages)
        let image = try await LayerJoinTests.bake(
            bench, LayerJoinTests.lock(packages, [packages.map(\.name)]))
        #expect(image.layers.count == 4)
        #expect(try bench.entries(image)["etc/server.conf"]?.size == 8)
    }

    @Test func `a damaged part of a layer is found before it is joined`() async throws {
        let packages = LayerJoinTests.packages
        let bench = try BakeBench(packages)
        let single = try await LayerJoinTests.bake(
            bench, LayerJoinTests.lock(packages, packages.map { [$0.name] }))
        let path = try #require(bench.store.path(of: single.layers[4].digest))
        var bytes = try HostFiles.read(path, limit: 1 << 26)
        bytes[bytes.count / 2] ^= 0x40
        try HostFiles.replace(path, with: bytes)
        let found = await failures {
            _ = try await LayerJoinTests.bake(bench, LayerJoinTests.lock(packages, [packages.map(\.name)]))
        }
        #expect(found.map(\.code) == [.storeDamaged])
    }
}
