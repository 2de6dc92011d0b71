import Foundation
import Model
import Ports
import Testing
import TestKit

@testable import Storage

@Suite struct ContentStoreTests {
    let folder = try! TemporaryFolder()

    @Test func `a blob is found by its digest and nothing else`() throws {
        let store = try ContentStore(folder.path)
        let digest = try store.write(Array("hello".utf8))
        #expect(digest.hex == "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824")
        #expect(try store.read(digest, limit: 5) == Array("hello".utf8))
        #expect(try store.write(Array("hello".utf8)) == digest)
        let other = try Digest(hex: String(repeating: "0", count: 64))
        #expect(store.path(of: other) == nil)
        #expect(throws: Failure.self) { try store.read(other, limit: 10) }
    }

    @Test func `a blob that was altered on disk is refused`() throws {
        let store = try ContentStore(folder.path)
        let digest = try store.write(Array("hello".utf8))
        try Data("hellO".utf8).write(to: URL(fileURLWithPath: store.path(of: digest)!))
        let failure = #expect(throws: Failure.self) { try store.read(digest, limit: 10) }
        #expect(failure?.code == .storeDamaged)
    }

    @Test func `a full disk leaves no half-written blob`() throws {
        let disk = try SmallDisk(megabytes: 1)
        let store = try ContentStore(disk.path)
        let failure = #expect(throws: Failure.self) { try store.write([UInt8](repeating: 7, count: 2 << 20)) }
        #expect(failure?.code == .diskFull)
        let blobs = try FileManager.default.contentsOfDirectory(atPath: disk.path + "/blobs/sha256")
        #expect(blobs.isEmpty)
        // A child that another test starts just now may hold the deleted file's blocks until it becomes its program.
        let hasRoom = (1...2400).contains { _ in
            if (try? store.write(Array("small".utf8))) != nil { return true }
            Thread.sleep(forTimeInterval: 0.05)
            return false
        }
        #expect(hasRoom)
    }

    @Test func `a lock is held by one at a time`() async throws {
        let store = try ContentStore(folder.path)
        let counter = Counter()
        try await withThrowingTaskGroup { group in
            for _ in 0..<4 {
                group.addTask {
                    try await store.locked("x") {
                        let inside = await counter.enter()
                        #expect(inside == 1)
                        await Task.yield()
                        await counter.leave()
                    }
                }
            }
            try await group.waitForAll()
        }
    }

    @Test func `temporary files of dead processes are swept, those of living ones stay`() throws {
        let store = try ContentStore(folder.path)
        let mine = try store.temporaryPath()
        let others = folder.path + "/tmp/999999999-1"
        for path in [mine, others] { try Data().write(to: URL(fileURLWithPath: path)) }
        try store.sweep()
        #expect(FileManager.default.fileExists(atPath: mine))
        #expect(!FileManager.default.fileExists(atPath: others))
    }

    @Test func `a folder that a dead process left goes whole, and counts with all in it`() throws {
        let store = try ContentStore(folder.path)
        let others = folder.path + "/tmp/999999999-1"
        try FileManager.default.createDirectory(
            atPath: others + "/root/etc", withIntermediateDirectories: true)
        try Data(repeating: 7, count: 100_000).write(to: URL(fileURLWithPath: others + "/root/etc/file"))
        try FileManager.default.createSymbolicLink(
            atPath: others + "/root/link", withDestinationPath: folder.path)
        let found = try store.leftovers()
        #expect(found.map(\.name) == [others])
        #expect(found[0].size >= 100_000)
        try store.sweep()
        #expect(!FileManager.default.fileExists(atPath: others))
        #expect(FileManager.default.fileExists(atPath: folder.path + "/blobs"))
    }

    @Test func `cached values come back, and an unknown key is nothing`() throws {
        let store = try ContentStore(folder.path)
        #expect(store.cached("fragment/a") == nil)
        try store.cache("fragment/a", [1, 2, 3])
        #expect(store.cached("fragment/a") == [1, 2, 3])
    }
}

private actor Counter {
    private var inside = 0

    func enter() -> Int {
        inside += 1
        return inside
    }

    func leave() { inside -= 1 }
}
