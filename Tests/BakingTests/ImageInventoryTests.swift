import Foundation
import ImageFormat
import Model
import Ports
import Testing
import TestKit

@testable import Baking

@Suite struct ImageInventoryTests {
    @Test
    func `an image says whether a package or a file is in it, and says it again from the store's cache`()
        async throws
    {
        var packages = PackageMaker.small
        packages[2].version = "1.0"
        packages[2].fields = ["Source: server-src (1.0+src)"]
        packages[2].file("usr/share/words", "some words\n")
        let bench = try BakeBench(packages)
        let result = try await bench.bake(try bench.recipe(files: nil), packages: packages)
        let image = result.image.digest
        let first = try ImageInventory.of(image, in: bench.store)
        let distribution = try ImageContents(image, store: bench.store).distribution
        #expect(first.distribution == distribution)
        let cached = try #require(bench.store.cached("inventory/\(image.hex)"))
        #expect(try ImageInventory.of(image, in: bench.store) == first)
        // Once it is known the layers are not read again.
        for layer in result.image.layers {
            try FileManager.default.removeItem(atPath: try #require(bench.store.path(of: layer.digest)))
        }
        let again = try ImageInventory.of(image, in: bench.store)
        #expect(again == first)
        #expect(
            again.hasPackage("server", version: "1.0") && again.hasPackage("server-src", version: "1.0+src"))
        #expect(!again.hasPackage("server", version: "1.0+src") && !again.hasPackage("serve", version: "1.0"))
        #expect(again.hasFile(.sha256(Array("some words\n".utf8))))
        #expect(!again.hasFile(.sha256(Array("other words\n".utf8))))
        // What cannot be read, or is not as it was written, is made again, and here it cannot be.
        let text = String(decoding: cached.dropLast(32), as: UTF8.self)
        let edited = Array(text.replacing("server 1.0 ", with: "server 1.1 ").utf8) + cached.suffix(32)
        for damaged in [Array(cached.dropLast()), edited] {
            try bench.store.cache("inventory/\(image.hex)", damaged)
            #expect(throws: Failure.self) { try ImageInventory.of(image, in: bench.store) }
        }
    }
}
