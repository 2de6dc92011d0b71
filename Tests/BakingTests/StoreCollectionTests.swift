import Foundation
import ImageFormat
import Model
import Ports
@testable import Storage
import Synchronization
import TestKit
import Testing

@testable import Baking

/// What `kiln store` removes and what it finds, on a real store.
struct StoreCollectionTests {
    private static let now = Instant(milliseconds: 2_000_000_000_000)
    private static let day = 86_400

    /// A store of images that share a layer.
    private struct Bench {
        let folder: TemporaryFolder
        let store: ContentStore

        init() throws {
            folder = try TemporaryFolder()
            store = try ContentStore(folder.path + "/store")
        }

        /// An image of the shared layer and one of its own.
        @discardableResult
        func add(_ name: String, service: String? = "web", days: Int, names: [String]? = nil) throws -> Digest
        {
            let layers = try ["shared", name].map { text in
                let digest = try store.write(Array(text.utf8))
                return ImageLayer(digest: digest, size: text.utf8.count, diffID: digest)
            }
            let documents = OCIImage.documents(
                config: ImageConfig(
                    architecture: .native, user: "0:0", command: [name], environment: [:],
                    workingDirectory: "/"), layers: layers)
            _ = try store.write(documents.config)
            let digest = try store.write(documents.manifest)
            let age = Span.seconds(days * StoreCollectionTests.day)
            try store.record(
                ImageRecord(
                    digest: digest, service: try service.map { try ServiceName($0) },
                    bakedAt: Instant(milliseconds: StoreCollectionTests.now.milliseconds - age.milliseconds),
                    size: 9, packages: 0, names: names))
            return digest
        }

        /// All files look as if nobody had used them for so long.
        func age(days: Int) throws {
            let seconds = StoreCollectionTests.now.milliseconds / 1000 - days * StoreCollectionTests.day
            for path in try files() {
                var times = [timeval(tv_sec: seconds, tv_usec: 0), timeval(tv_sec: seconds, tv_usec: 0)]
                #expect(utimes(path, &times) == 0)
            }
        }

        func files() throws -> [String] {
            try ["blobs", "cache", "images"].flatMap { folder in
                try FileManager.default.subpathsOfDirectory(atPath: "\(store.root)/\(folder)").map {
                    "\(store.root)/\(folder)/\($0)"
                }
            }.filter { path in
                var isFolder: ObjCBool = false
                return FileManager.default.fileExists(atPath: path, isDirectory: &isFolder)
                    && !isFolder.boolValue
            }.sorted()
        }

        func collect(
            inUse: Set<Digest> = [], images: Int = 1, unusedFor: Int = 30, isDryRun: Bool = false
        ) async throws -> StoreCollection.Garbage {
            try await StoreCollection(store).run(
                inUse: { inUse },
                policy: .init(
                    imagesPerService: images,
                    unusedFor: .seconds(unusedFor * StoreCollectionTests.day)),
                isDryRun: isDryRun, now: { StoreCollectionTests.now })
        }

        func findings() async throws -> [StoreCheck.Finding] {
            try await StoreCheck(store).run(repairing: false).findings
        }
    }

    @Test func `the images of releases, those with a name, the newest and the young stay`() async throws {
        let bench = try Bench()
        let released = try bench.add("released", days: 90)
        let named = try bench.add("named", days: 80, names: ["registry.example/app:v1"])
        let old = try bench.add("old", days: 70)
        let newest = try bench.add("newest", days: 60)
        let other = try bench.add("other", service: "api", days: 500)
        let pulled = try bench.add("pulled", service: nil, days: 40)
        let fresh = try bench.add("fresh", service: nil, days: 2)
        try bench.age(days: 40)
        let plan = try await bench.collect(inUse: [released], isDryRun: true)
        #expect(Set(plan.images.map(\.digest)) == [old, pulled])
        let before = try bench.files()
        let done = try await bench.collect(inUse: [released])
        #expect(Set(done.images.map(\.digest)) == [old, pulled])
        // The manifest, config and own layer of two; what others share is there still.
        #expect(done.blobs.count == 6)
        #expect(try bench.files().count == before.count - 8)
        #expect(
            Set(try bench.store.images().map(\.digest)) == [released, named, newest, other, fresh])
        #expect(try await bench.findings().isEmpty)
        #expect(try await bench.collect(inUse: [released]).removals.isEmpty)
    }

    @Test func `the documents of an image below stay as long as an image that was built on it`() async throws
    {
        let bench = try Bench()
        let below = try bench.add("below", service: nil, days: 90)
        try bench.store.forget(image: below)
        let config = ImageConfig(
            architecture: .native, user: "0:0", command: ["x"], environment: [:], workingDirectory: "/")
        let documents = OCIImage.documents(
            config: config, layers: [], annotations: [FromImage.annotation: "\(below)"])
        _ = try bench.store.write(documents.config)
        let digest = try bench.store.write(documents.manifest)
        try bench.age(days: 90)
        #expect(try await bench.collect(inUse: [digest], images: 0, unusedFor: 0).blobs.isEmpty)
        #expect(try await bench.collect(images: 0, unusedFor: 0).blobs.count == 6)
    }

    private final class Deployed: Sendable {
        let images = Mutex<Set<Digest>>([])
    }

    @Test func `a release that is made while a collection waits keeps its image`() async throws {
        let bench = try Bench()
        let image = try bench.add("deployed", days: 90)
        try bench.age(days: 90)
        let deployed = Deployed()
        let store = bench.store
        let garbage = try await withThrowingTaskGroup(of: StoreCollection.Garbage?.self) { group in
            let (holding, isHeld) = AsyncStream<Void>.makeStream()
            group.addTask {
                try await store.inUse {
                    isHeld.finish()
                    try await Task.sleep(for: .milliseconds(200))
                    deployed.images.withLock { _ = $0.insert(image) }
                }
                return nil
            }
            for await _ in holding {}
            group.addTask {
                try await StoreCollection(store).run(
                    inUse: { deployed.images.withLock(\.self) },
                    policy: .init(imagesPerService: 0, unusedFor: .zero), isDryRun: false,
                    now: { StoreCollectionTests.now })
            }
            return try await group.reduce(nil) { $0 ?? $1 }
        }
        #expect(garbage?.images.isEmpty == true && garbage?.blobs.isEmpty == true)
        #expect(try await bench.findings().isEmpty)
    }

    @Test func `what killed processes left half-made is no damage, and goes; what one still makes stays`()
        async throws
    {
        let bench = try Bench()
        let image = try bench.add("app", days: 1)
        let root = bench.store.root
        // No process has this number: it is above the kernel's bound.
        let (dead, alive) = (5_000_000, getpid())
        var left: [String] = []
        for name in ["images/\(image.hex).json", "blobs/sha256/\(image.hex)", "cache/fragment/x"] {
            for pid in [dead, Int(alive)] {
                let path = "\(root)/\(name).\(pid)-7.new"
                try HostFiles.makeFolder(HostFiles.parent(of: path))
                try HostFiles.put(path, "half".utf8)
                if pid == dead { left.append(path) }
            }
        }
        try HostFiles.put("\(root)/tmp/\(dead)-1", "half".utf8)
        try HostFiles.put("\(root)/tmp/\(alive)-1", "half".utf8)
        left.append("\(root)/tmp/\(dead)-1")
        #expect(try await bench.findings().isEmpty)
        _ = try await StoreCheck(bench.store).run(repairing: true)
        let garbage = try await bench.collect(inUse: [image])
        #expect(Set(garbage.leftovers.map(\.name)) == Set(left))
        for path in left { #expect(!HostFiles.exists(path), "\(path)") }
        #expect(HostFiles.exists("\(root)/images/\(image.hex).json.\(alive)-7.new"))
        #expect(HostFiles.exists("\(root)/tmp/\(alive)-1"))
    }

    @Test func `what tools keep goes where it was not used for long, and a dry run lists it`() async throws {
        let bench = try Bench()
        let (old, new) = ("apt/0123/lists/x", "git/abc/objects/x")
        for path in [old, new, "partial/abcdef"] {
            let file = "\(bench.store.root)/folders/\(path)"
            try HostFiles.makeFolder(HostFiles.parent(of: file))
            try HostFiles.put(file, "kept".utf8)
        }
        func age(_ path: String, days: Int) {
            let seconds = Self.now.milliseconds / 1000 - days * Self.day
            var times = [timeval(tv_sec: seconds, tv_usec: 0), timeval(tv_sec: seconds, tv_usec: 0)]
            #expect(utimes("\(bench.store.root)/folders/\(path)", &times) == 0)
        }
        for path in ["apt/0123", "apt/0123/lists", old, "git/abc", "git/abc/objects", "partial/abcdef"] {
            age(path, days: 40)
        }
        // One file of it was used, so all of it stays.
        age(new, days: 2)
        let root = bench.store.root + "/folders"
        let plan = try await bench.collect(isDryRun: true)
        #expect(plan.toolFiles.map(\.name) == ["\(root)/apt/0123", "\(root)/partial/abcdef"])
        _ = try await bench.collect()
        #expect(!HostFiles.exists("\(root)/apt/0123") && !HostFiles.exists("\(root)/partial/abcdef"))
        #expect(HostFiles.exists("\(root)/\(new)"))
    }

    @Test func `a use is noted where the disk does not note that files are read`() async throws {
        let bench = try Bench()
        let blob = try bench.store.write(Array("a package".utf8))
        try bench.store.cache("fragment/x", Array("parts".utf8))
        let paths = ["\(bench.store.root)/blobs/sha256/\(blob.hex)", "\(bench.store.root)/cache/fragment/x"]
        let old = Int(time(nil)) - 40 * Self.day
        for path in paths {
            var times = [timeval(tv_sec: old, tv_usec: 0), timeval(tv_sec: old, tv_usec: 0)]
            #expect(utimes(path, &times) == 0)
        }
        // Asked for only: nobody reads the file itself.
        #expect(bench.store.path(of: blob) != nil)
        _ = bench.store.cached("fragment/x")
        for path in paths {
            var status = stat()
            #expect(lstat(path, &status) == 0)
            #expect(status.st_atim.tv_sec > old + Self.day && status.st_mtim.tv_sec == old, "\(path)")
        }
    }

    @Test func `what a running release needs stays even where its record is lost`() async throws {
        let bench = try Bench()
        let released = try bench.add("released", days: 90)
        try bench.store.forget(image: released)
        try bench.age(days: 90)
        #expect(try await bench.collect(inUse: [released], images: 0, unusedFor: 0).blobs.isEmpty)
        #expect(try await bench.collect(images: 0, unusedFor: 0).blobs.count == 4)
    }

    @Test func `packages and cached results stay while they are used, and go at once where asked`()
        async throws
    {
        let bench = try Bench()
        try bench.add("kept", days: 1)
        _ = try bench.store.write(Array("a package".utf8))
        try bench.store.cache("fragment/1-x", [1])
        try bench.age(days: 20)
        #expect(try await bench.collect().removals.isEmpty)
        let garbage = try await bench.collect(unusedFor: 0)
        #expect(garbage.blobs.count == 1 && garbage.cached.map(\.name) == ["fragment/1-x"])
        #expect(garbage.size > 0)
        #expect(bench.store.cached("fragment/1-x") == nil)
    }

    @Test func `wherever a collection ends, no image lacks a part`() async throws {
        let count = try await { () async throws -> Int in
            let bench = try Bench()
            for name in ["a", "b", "c"] { try bench.add(name, days: 50) }
            try bench.age(days: 50)
            return try await bench.collect(isDryRun: true).removals.count
        }()
        #expect(count >= 8)
        for steps in 0...count {
            let bench = try Bench()
            for name in ["a", "b", "c"] { try bench.add(name, days: 50) }
            try bench.age(days: 50)
            let garbage = try await bench.collect(isDryRun: true)
            for removal in garbage.removals.prefix(steps) { try StoreCollection(bench.store).remove(removal) }
            #expect(try await bench.findings().isEmpty, "after \(steps)")
            // The next one ends it.
            _ = try await bench.collect()
            #expect(try bench.files().count == 5)
        }
    }

    @Test func `a bake that is under way holds a collection back`() async throws {
        let bench = try Bench()
        let store = bench.store
        let release = AsyncStream<Void>.makeStream()
        let begun = AsyncStream<Void>.makeStream()
        try await withThrowingTaskGroup { group in
            group.addTask {
                try await store.inUse {
                    begun.continuation.finish()
                    for await _ in release.stream {}
                }
            }
            for await _ in begun.stream {}
            // Another one may begin, a collection may not.
            try await store.inUse {}
            let failure = await #expect(throws: Failure.self) {
                try await store.holding("collection", LOCK_EX, rounds: 3, orElse: "busy") {}
            }
            #expect(failure?.code == .timedOut)
            release.continuation.finish()
            try await group.waitForAll()
        }
        #expect(try await bench.collect().removals.isEmpty)
    }

    @Test func `a damaged image stops a collection, which could not say what it needs`() async throws {
        let bench = try Bench()
        let digest = try bench.add("a", days: 1)
        try Data("{".utf8).write(to: URL(fileURLWithPath: try #require(bench.store.path(of: digest))))
        let failure = await #expect(throws: Failure.self) { try await bench.collect() }
        #expect(failure?.code == .storeDamaged && failure?.suggestion?.contains("check") == true)
    }

    @Test func `a flipped bit, a lost layer and a torn record are found, and repaired`() async throws {
        let bench = try Bench()
        for name in ["a", "b", "c"] { try bench.add(name, days: 1) }
        #expect(try await bench.findings().isEmpty)
        let blob = try #require(bench.store.path(of: .sha256(Array("b".utf8))))
        try Data("x".utf8).write(to: URL(fileURLWithPath: blob))
        try bench.store.remove(blob: .sha256(Array("c".utf8)))
        let record = "\(bench.store.root)/images/\(try bench.store.images()[0].digest.hex).json"
        try Data("{\"digest\":".utf8).write(to: URL(fileURLWithPath: record))
        let found = try await StoreCheck(bench.store).run(repairing: true).findings
        #expect(
            found.map(\.kind) == [.damagedRecord, .damagedBlob, .incompleteImage, .incompleteImage]
                || found.map(\.kind) == [.damagedRecord, .damagedBlob, .incompleteImage])
        #expect(bench.store.path(of: .sha256(Array("b".utf8))) == nil)
        let again = try await bench.findings()
        #expect(again.allSatisfy { $0.kind == .incompleteImage && $0.what.contains("again") })
    }

    @Test func `what killed processes left is told, and goes`() async throws {
        let bench = try Bench()
        let gone = Process()
        gone.executableURL = URL(fileURLWithPath: "/bin/true")
        try gone.run()
        gone.waitUntilExit()
        let path = "\(bench.store.root)/tmp/\(gone.processIdentifier)-7"
        try Data([1]).write(to: URL(fileURLWithPath: path))
        let own = try bench.store.temporaryPath()
        try Data([1]).write(to: URL(fileURLWithPath: own))
        #expect(try await StoreCheck(bench.store).run(repairing: false).leftovers == 1)
        #expect(try await bench.collect().leftovers.map(\.name) == [path])
        #expect(FileManager.default.fileExists(atPath: own))
    }
}
