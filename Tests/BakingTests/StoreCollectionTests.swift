import Foundation
import ImageFormat
import Model
import Ports
@testable import Storage
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
