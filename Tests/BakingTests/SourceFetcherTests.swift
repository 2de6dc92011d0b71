import Foundation
import Glibc
import ImageFormat
import Model
import Testing
import TestKit

@testable import Baking

/// Downloads and parts of repositories, baked into an image of packages.
@Suite struct SourceFetcherTests {
    private struct Site {
        let bench: BakeBench

        init() throws { bench = try BakeBench() }

        func download(
            _ name: String, _ bytes: [UInt8], sha256: Digest? = nil, to: String, strip: Int? = nil,
            mode: Int? = nil
        ) throws -> FileRule {
            let path = try bench.folder.write(name, bytes)
            return FileRule(
                .download(
                    Download(
                        url: "file://\(path)", sha256: sha256 ?? .sha256(bytes),
                        unpacking: strip.map { Download.Unpacking(strip: $0) })), to: to, mode: mode)
        }

        func lock(_ recipe: Recipe, keeping old: Lock? = nil) async throws -> Lock {
            var lock = try PackageMaker.lock(PackageMaker.small)
            try await baker.lockSources(&lock, recipe, keeping: old)
            return lock
        }

        var baker: ImageBaker {
            ImageBaker(
                store: bench.store, host: HostApt(root: bench.folder.path + "/host"),
                clock: { Instant(milliseconds: 1) })
        }

        func bake(_ rules: [FileRule], _ lock: Lock? = nil) async throws -> (Lock, BakeResult) {
            let recipe = try bench.recipe(files: rules)
            let locked = if let lock { lock } else { try await self.lock(recipe) }
            return (
                locked,
                try await baker.bake(
                    recipe, specFolder: bench.folder.path + "/spec", lock: locked,
                    service: try ServiceName("test"))
            )
        }

        func files(_ image: Image) throws -> PathTable<String> {
            var tree = FileTree()
            for layer in image.layers {
                let blob = try MappedBytes(file: try #require(bench.store.path(of: layer.digest)))
                try tree.add(
                    try Decompressor.decompress(blob.bytes, limit: 1 << 24, spoolFolder: bench.folder.path))
            }
            return withExtendedLifetime(tree) {
                tree.files.mapValues { file in
                    let bits = String(file.entry.mode, radix: 8)
                    switch file.entry.kind {
                    case .file: return "\(bits) \(String(decoding: file.content, as: UTF8.self))"
                    case .symlink: return "→ \(file.entry.link)"
                    default: return bits
                    }
                }
            }
        }
    }

    /// A tar as somebody else's tool makes it.
    private static func tar(_ rows: [(TarEntry, String)]) -> [UInt8] {
        var bytes: [UInt8] = []
        for (entry, text) in rows {
            var entry = entry
            if entry.kind == .file { entry.size = text.utf8.count }
            bytes +=
                TarWriter.header(for: entry) + Array(text.utf8) + TarWriter.padding(after: text.utf8.count)
        }
        return bytes + TarWriter.trailer
    }

    private static let tool = tar([
        (TarEntry(path: "tool-1.2", kind: .directory, mode: 0o700, uid: 1000), ""),
        (TarEntry(path: "tool-1.2/bin/run", kind: .file, mode: 0o4750, uid: 1000, modifiedAt: 7), "#!"),
        (TarEntry(path: "tool-1.2/lib/a.so", kind: .file, mode: 0o600), "lib"),
        (TarEntry(path: "tool-1.2/lib/b.so", kind: .hardLink, link: "tool-1.2/lib/a.so"), ""),
        (TarEntry(path: "tool-1.2/bin/also", kind: .symlink, link: "../lib/a.so"), ""),
        (TarEntry(path: "README", kind: .file), "read me"),
    ])

    @Test func `a file goes to its place, an archive below it, without owners and set-id bits`() async throws
    {
        let site = try Site()
        let (lock, result) = try await site.bake([
            try site.download("served/one", Array("bytes".utf8), to: "/opt/one", mode: 0o755),
            try site.download("served/tool.tar", SourceFetcherTests.tool, to: "/opt/tool", strip: 1),
        ])
        let files = try site.files(result.image)
        #expect(files["opt/one"] == "755 bytes")
        #expect(files["opt/tool"] == "755")
        #expect(files["opt/tool/bin/run"] == "755 #!")
        #expect(files["opt/tool/lib/b.so"] == "644 lib")
        #expect(files["opt/tool/bin/also"] == "→ ../lib/a.so")
        #expect(files.keys.allSatisfy { !$0.contains("README") && !$0.contains("tool-1.2") })
        #expect(lock.fetched.map(\.size) == [5, SourceFetcherTests.tool.count])
    }

    @Test func `two files that strip makes one are refused; folders and equal files are one`() async throws {
        let site = try Site()
        let rows = [
            (TarEntry(path: "a/bin", kind: .directory), ""), (TarEntry(path: "b/bin", kind: .directory), ""),
            (TarEntry(path: "a/bin/run", kind: .file, mode: 0o755), "same"),
            (TarEntry(path: "b/bin/run", kind: .file, mode: 0o755), "same"),
        ]
        let fine = try site.download("served/fine.tar", Self.tar(rows), to: "/opt/tool", strip: 1)
        #expect(try site.files(try await site.bake([fine]).1.image)["opt/tool/bin/run"] == "755 same")
        for other in [
            (TarEntry(path: "b/x", kind: .file), "two"), (TarEntry(path: "b/x", kind: .directory), ""),
        ] {
            let tar = Self.tar(rows + [(TarEntry(path: "a/x", kind: .file), "one"), other])
            let rule = try site.download("served/both.tar", tar, to: "/opt/tool", strip: 1)
            let found = await failures { _ = try await site.bake([rule]) }
            #expect(found.map(\.code) == [.conflict])
            #expect(found.first?.message.contains("a/x and b/x") == true)
            #expect(found.first?.suggestion?.contains("strip: 0") == true)
        }
    }

    @Test(arguments: ["gz", "xz", "zst"])
    func `archives are unpacked however they are packed, to the same image`(kind: String) async throws {
        let site = try Site()
        let plain = try await site.bake([
            try site.download("served/tool.tar", SourceFetcherTests.tool, to: "/opt/tool", strip: 0)
        ]).1
        let path = site.bench.folder.path + "/served/tool.tar"
        let program = ["gz": "gzip", "xz": "xz", "zst": "zstd"][kind]!
        let out = try await CommandRunner.run(
            Command(program, ["-k", "-q", path]), package: program, timeout: .seconds(60))
        #expect(out.status == 0)
        let packed = try HostFiles.read("\(path).\(kind)", limit: 1 << 20)
        let (_, other) = try await site.bake([
            try site.download("served/tool.\(kind)", packed, to: "/opt/tool", strip: 0)
        ])
        #expect(other.image.layers == plain.image.layers)
    }

    @Test func `a lock that is baked again needs no server, and gives the same image`() async throws {
        let site = try Site()
        let rules = [try site.download("served/tool.tar", SourceFetcherTests.tool, to: "/opt/tool", strip: 1)]
        let (lock, first) = try await site.bake(rules)
        unlink(site.bench.folder.path + "/served/tool.tar")
        for name in HostFiles.names(in: site.bench.folder.path + "/store/cache") {
            unlink(site.bench.folder.path + "/store/cache/" + name)
        }
        #expect(try await site.bake(rules, lock).1.image == first.image)
        // Without the blob it does, and says which rule wants what.
        unlink(try #require(site.bench.store.path(of: lock.fetched[0].sha256)))
        for name in HostFiles.names(in: site.bench.folder.path + "/store/cache") {
            unlink(site.bench.folder.path + "/store/cache/" + name)
        }
        let found = await failures { _ = try await site.bake(rules, lock) }
        #expect(found.map(\.code) == [.notFound])
        #expect(found.first?.place == "image.files[0]")
        let other = try Site()
        let again = try other.download("served/tool.tar", SourceFetcherTests.tool, to: "/opt/tool", strip: 1)
        #expect(try await other.bake([again]).1.image == first.image)
    }

    @Test func `a download goes on from where an earlier one stopped, and damage there is found`()
        async throws
    {
        let site = try Site()
        let bytes = Array("0123456789".utf8)
        let rule = try site.download("served/a", bytes, to: "/a")
        let partial = try site.bench.store.folder("partial") + "/" + Digest.sha256(bytes).hex
        try HostFiles.put(partial, bytes.prefix(4))
        // What is here is not asked for again: the server may have anything there.
        try site.bench.folder.write("served/a", "????456789")
        #expect(try site.files(try await site.bake([rule]).1.image)["a"] == "644 0123456789")
        let other = try Site()
        let second = try other.download("served/a", bytes, to: "/a")
        try HostFiles.put(
            try other.bench.store.folder("partial") + "/" + Digest.sha256(bytes).hex, "????".utf8)
        #expect(await failures { _ = try await other.bake([second]) }.map(\.code) == [.hashMismatch])
        #expect(try other.files(try await other.bake([second]).1.image)["a"] == "644 0123456789")
    }

    @Test func `a wrong hash names both, keeps nothing, and all of them are told together`() async throws {
        let site = try Site()
        let (right, wrong) = (Digest.sha256(Array("a".utf8)), Digest.sha256([9]))
        let rules = [
            try site.download("served/a", Array("a".utf8), sha256: wrong, to: "/a"),
            try site.download("served/b", Array("b".utf8), to: "/b"),
            try site.download("served/c", Array("a".utf8), sha256: .sha256([8]), to: "/c"),
        ]
        let found = await failures { _ = try await site.bake(rules) }
        #expect(found.map(\.code) == [.hashMismatch, .hashMismatch])
        #expect(
            found.first?.message
                == "the file has the SHA-256 \(right.hex), and \(wrong.hex) is asked for")
        #expect(found.first?.place?.hasSuffix("served/a") == true)
        #expect(site.bench.store.path(of: wrong) == nil)
        #expect(HostFiles.names(in: try site.bench.store.folder("partial")).isEmpty)
    }

    @Test(arguments: [
        [(TarEntry(path: "../up", kind: .file), "x")],
        [(TarEntry(path: "out", kind: .symlink, link: "/etc/passwd"), "")],
        [(TarEntry(path: "a/out", kind: .symlink, link: "../../x"), "")],
        [(TarEntry(path: "null", kind: .characterDevice, deviceMajor: 1, deviceMinor: 3), "")],
        [(TarEntry(path: "pipe", kind: .fifo), "")],
        [(TarEntry(path: ".wh.etc", kind: .file), "")],
        [(TarEntry(path: "etc/.wh..wh..opq", kind: .file), "")],
        [(TarEntry(path: "x", kind: .hardLink, link: "etc/shadow"), "")],
    ])
    func `nothing in an archive reaches outside of its target`(rows: [(TarEntry, String)]) async throws {
        let site = try Site()
        let rule = try site.download("served/bad.tar", SourceFetcherTests.tar(rows), to: "/opt/bad", strip: 0)
        let found = await failures { _ = try await site.bake([rule]) }
        #expect(found.map(\.code) == [.unsafePath])
        #expect(found.first?.place?.hasPrefix("image.files[0]") == true)
    }

    @Test func `what is no archive, is cut off, or holds nothing that deep is refused`() async throws {
        let site = try Site()
        for (bytes, strip, code) in [
            (
                Array("not a tar, but long enough to look at: \(String(repeating: "x", count: 600))".utf8), 0,
                Failure.Code.corruptArchive
            ),
            (Array(SourceFetcherTests.tool.dropLast(3000)), 0, .corruptArchive),
            (SourceFetcherTests.tool, 9, .invalidArgument),
        ] {
            let rule = try site.download("served/bad.tar", bytes, to: "/opt/bad", strip: strip)
            #expect(await failures { _ = try await site.bake([rule]) }.map(\.code) == [code])
        }
    }

    @Test func `a later rule wins, wherever its files come from`() async throws {
        let site = try Site()
        let download = try site.download("served/a", Array("far".utf8), to: "/etc/x")
        let local = FileRule(from: "key", to: "/etc/x")
        #expect(try site.files(try await site.bake([download, local]).1.image)["etc/x"] == "644 secret")
        #expect(try site.files(try await site.bake([local, download]).1.image)["etc/x"] == "644 far")
    }

    @Test func `a lock is stale where the recipe fetches something else`() async throws {
        let site = try Site()
        let rule = try site.download("served/a", Array("a".utf8), to: "/a")
        let lock = try await site.lock(try site.bench.recipe(files: [rule]))
        #expect(try LockFile.parse(Array(LockFile.text(lock).utf8), place: "x") == lock)
        #expect(lock.staleness(for: try site.bench.recipe(files: [])) != nil)
        #expect(lock.staleness(for: try site.bench.recipe(files: [rule])) == nil)
        let other = try site.download("served/a", Array("b".utf8), to: "/a")
        #expect(lock.staleness(for: try site.bench.recipe(files: [other])) != nil)
        // A lock of a recipe that fetches nothing says nothing of it.
        #expect(!LockFile.text(try PackageMaker.lock(PackageMaker.small)).contains("\"files\""))
    }

    @Test func `files below the folder of an include are found, and nothing above it`() async throws {
        let site = try Site()
        try site.bench.folder.write("shared/certs/ca.pem", "cert")
        let rule = FileRule(.local(path: "certs/", folder: "../shared"), to: "/etc/certs")
        #expect(try site.files(try await site.bake([rule]).1.image)["etc/certs/ca.pem"] == "644 cert")
        let bad = FileRule(.local(path: "../spec/key", folder: "../shared"), to: "/x")
        #expect(await failures { _ = try await site.bake([bad]) }.map(\.code) == [.unsafePath])
    }
}
