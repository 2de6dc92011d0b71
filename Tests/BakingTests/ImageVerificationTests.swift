import ImageFormat
import Model
import Testing
import TestKit

@testable import Baking

@Suite struct ImageVerificationTests {
    private func verify(_ bench: BakeBench, _ digest: Digest) async throws -> ImageDifference? {
        let other = try TemporaryFolder()
        let verification = ImageVerification(
            store: bench.store, empty: try FolderStore(other.path + "/store"),
            host: HostApt(root: bench.folder.path + "/host"))
        let finding = try await verification.verify(
            digest, try bench.recipe(), specFolder: bench.folder.path + "/spec",
            lock: try PackageMaker.lock(PackageMaker.small), service: try ServiceName("test"))
        if case .other(let difference) = finding { return difference }
        return nil
    }

    @Test func `an image that was baked so is the same again`() async throws {
        let bench = try BakeBench()
        let result = try await bench.bake()
        #expect(try await verify(bench, result.image.digest) == nil)
    }

    @Test func `one that was made of something else is told by its first difference`() async throws {
        let bench = try BakeBench()
        try bench.folder.write("spec/site/index.html", "<h1>slipped in</h1>")
        let result = try await bench.bake()
        try bench.folder.write("spec/site/index.html", "<h1>one</h1>")
        let difference = try #require(try await verify(bench, result.image.digest))
        #expect(difference.files.map(\.path) == ["srv/www/index.html"])
        #expect(difference.from == result.image.digest && difference.packages == [])
    }

    @Test func `a package that was replaced in the store proves nothing`() async throws {
        let bench = try BakeBench()
        let result = try await bench.bake()
        let package = try #require(PackageMaker.small.first { $0.name == "server" })
        var other = package
        other.file("usr/bin/slipped-in", "#!/bin/sh")
        let blob = try #require(bench.store.path(of: .sha256(package.bytes)))
        try HostFiles.put(blob, other.bytes)
        let found = await failures { _ = try await verify(bench, result.image.digest) }
        #expect(found.map(\.code) == [.storeDamaged])
        #expect(found.first?.place == blob)
    }

    @Test func `a bake opens no package that is not the one of the lock`() async throws {
        let bench = try BakeBench()
        let sum = Digest.sha256(try #require(PackageMaker.small.first { $0.name == "server" }).bytes)
        let temporary = try bench.store.temporaryPath()
        try HostFiles.put(temporary, PackageMaker("server").bytes)
        try bench.store.adopt(temporary, as: sum)
        let found = await failures { _ = try await bench.bake() }
        #expect(found.map(\.code) == [.storeDamaged])
    }
}
