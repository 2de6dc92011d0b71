import Glibc
import Model
import Testing

@testable import HostPlatform

@Suite(.timeLimit(.minutes(60))) struct StagingTests {
    private static func withRoot(_ body: (HostRoot) throws -> Void) throws {
        let root = try HostRoot(TestHost.freshFolder())
        defer { for path in [root.path, root.runFolder] { try? Files.removeTree(path) } }
        try body(root)
    }

    @Test func `small content is staged in memory, and a crash's rest is swept`() throws {
        try Self.withRoot { root in
            let staging = Staging(root, places: ["/dev/shm"])
            let folder = try #require(staging.makeFolder("a", for: 1 << 10))
            var info = stat()
            #expect(stat(folder, &info) == 0 && info.st_mode & 0o777 == 0o700)
            #expect(staging.makeFolder("a", for: 1 << 10) == nil, "what exists is not taken over")
            try Files.replace(folder + "/file", with: "x", durably: false)
            Staging(root, places: ["/dev/shm"]).sweep()
            #expect(!Files.exists(folder))
        }
    }

    /// Set-id programs and devices are written there.
    @Test func `nobody else may enter what an image is unpacked in, on disk or in memory`() throws {
        try Self.withRoot { root in
            let work = root.path + "/work"
            let inMemory = Staging(root, places: ["/dev/shm"]).makeFolder("b", for: 1 << 10)
            defer { inMemory.map { try? Files.removeTree($0) } }
            func mode(_ path: String) -> mode_t {
                var info = stat()
                return stat(path, &info) == 0 ? info.st_mode & 0o777 : 0
            }
            for place in [nil, inMemory] {
                let tree = try RootFileSystem.makeTree(work: work, inMemory: place)
                #expect(mode(tree) == 0o755)
                #expect(mode(String(tree.dropLast("/tree".count))) == 0o700 && mode(work) == 0o700)
            }
        }
    }

    @Test func `large content, and content for which there is no memory, stays on disk`() throws {
        try Self.withRoot { root in
            #expect(Staging(root, places: ["/dev/shm"]).makeFolder("a", for: Staging.largest + 1) == nil)
            #expect(Staging(root, places: [root.path, "/proc", "/none"]).makeFolder("a", for: 1) == nil)
            #expect(Files.names(in: "/dev/shm").allSatisfy { !$0.contains(root.tag) })
        }
    }

    @Test func `what is staged for an image is gone once the image is made`() async throws {
        try await TestHost.run { host in
            try await host.platform.prepare(TestImages.digest(.server))
            await #expect(throws: Failure.self) {
                try await host.platform.prepare(TestImages.digest(.tooLarge))
            }
            try await eventually { Files.names(in: "/dev/shm").allSatisfy { !$0.contains(host.root.tag) } }
            try await eventually { Files.names(in: host.root.temporary).isEmpty }
        }
    }
}
