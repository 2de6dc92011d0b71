import Glibc
import ImageFormat
import Model
import Testing
import TestKit

@testable import Baking

struct PackageFetcherTests {
    private func sources(_ uris: [String]) -> AptSources {
        AptSources(
            all: uris.map {
                AptSources.Source(
                    uri: $0, suites: ["bookworm"], components: ["main"], keyring: .file("/none"))
            })
    }

    @Test func `what is missing is fetched once and lies in the store under its digest`() async throws {
        let folder = try TemporaryFolder()
        let uri = try PackageMaker.serve(PackageMaker.small, in: folder)
        let lock = try PackageMaker.lock(PackageMaker.small)
        let store = try FolderStore(folder.path + "/store")
        let fetcher = PackageFetcher(store: store, sources: sources([uri]))
        #expect(fetcher.missing(lock).count == 3)
        try await fetcher.fetch(lock)
        #expect(fetcher.missing(lock).isEmpty)
        for package in lock.packages {
            #expect(
                try Digest.sha256(HostFiles.read(store.path(of: package.sha256)!, limit: 1 << 20))
                    == package.sha256)
        }
        // Nothing is asked of a mirror that is gone by now.
        try await PackageFetcher(store: store, sources: sources(["file:/nonexistent"])).fetch(lock)
    }

    @Test func `a mirror with another file is named and leaves nothing; the next one serves`() async throws {
        let folder = try TemporaryFolder()
        let good = try PackageMaker.serve(PackageMaker.small, in: folder)
        let lock = try PackageMaker.lock(PackageMaker.small)
        for package in PackageMaker.small {
            var bytes = package.bytes
            bytes[bytes.count - 600] ^= 1
            try folder.write("evil/debian/pool/\(package.name).deb", bytes)
        }
        let evil = "file:\(folder.path)/evil/debian"
        let store = try FolderStore(folder.path + "/store")
        let found = await failures {
            try await PackageFetcher(store: store, sources: sources([evil])).fetch(lock)
        }
        #expect(found.map(\.code) == [.hashMismatch])
        #expect(found.first?.message.contains(evil) == true)
        #expect(HostFiles.names(in: folder.path + "/store/blobs").isEmpty)
        #expect(HostFiles.names(in: try store.folder("partial")).isEmpty)
        try await PackageFetcher(store: store, sources: sources([evil, good])).fetch(lock)
        #expect(PackageFetcher(store: store, sources: sources([])).missing(lock).isEmpty)
    }

    @Test func `a file that is longer or shorter than the lock says is refused`() async throws {
        let folder = try TemporaryFolder()
        let uri = try PackageMaker.serve(PackageMaker.small, in: folder)
        var lock = try PackageMaker.lock(PackageMaker.small)
        let store = try FolderStore(folder.path + "/store")
        let fetcher = PackageFetcher(store: store, sources: sources([uri]))
        lock.packages[0].size -= 1
        #expect(await failures { try await fetcher.fetch(lock) }.map(\.code) == [.hashMismatch])
        lock.packages[0].size += 2
        #expect(await failures { try await fetcher.fetch(lock) }.map(\.code) == [.archiveUnreachable])
    }

    @Test func `what arrived before is not fetched again`() async throws {
        let folder = try TemporaryFolder()
        let uri = try PackageMaker.serve(PackageMaker.small, in: folder)
        let lock = try PackageMaker.lock(PackageMaker.small)
        let store = try FolderStore(folder.path + "/store")
        let package = try #require(lock.packages.first)
        let bytes = try HostFiles.read("\(folder.path)/debian/\(package.path)", limit: 1 << 20)
        let partial = try store.folder("partial") + "/" + package.sha256.hex
        // A beginning is gone on from; one that is wrong is found out.
        for beginning in [Array(bytes.prefix(1000)), [UInt8](repeating: 7, count: 1000), bytes, bytes + [0]] {
            unlink(folder.path + "/store/blobs/" + package.sha256.hex)
            try HostFiles.put(partial, beginning)
            let found = await failures {
                try await PackageFetcher(store: store, sources: sources([uri, uri + "/"])).fetch(lock)
            }
            #expect(found.isEmpty || found.map(\.code) == [.hashMismatch])
            #expect(!HostFiles.exists(partial))
            try await PackageFetcher(store: store, sources: sources([uri])).fetch(lock)
            #expect(store.path(of: package.sha256) != nil)
        }
    }

    @Test func `with no mirror left the failure says what to do`() async throws {
        let folder = try TemporaryFolder()
        let lock = try PackageMaker.lock(PackageMaker.small)
        let store = try FolderStore(folder.path + "/store")
        let found = await failures {
            try await PackageFetcher(
                store: store, sources: sources(["file:/nonexistent/debian", "http://127.0.0.1:1/debian"])
            ).fetch(lock)
        }
        #expect(found.map(\.code) == [.archiveUnreachable])
        #expect(found.first?.suggestion?.contains("kiln lock") == true)
    }

    @Test func `progress ends with everything`() async throws {
        let folder = try TemporaryFolder()
        let uri = try PackageMaker.serve(PackageMaker.small, in: folder)
        let lock = try PackageMaker.lock(PackageMaker.small)
        let store = try FolderStore(folder.path + "/store")
        let (stream, continuation) = AsyncStream.makeStream(of: BakeProgress.self)
        try await PackageFetcher(store: store, sources: sources([uri])).fetch(lock) { continuation.yield($0) }
        continuation.finish()
        let all = await stream.reduce(into: []) { $0.append($1) }
        #expect(all.contains { $0.packagesDone == 3 && $0.done == $0.total && $0.phase == .fetching })
    }
}
