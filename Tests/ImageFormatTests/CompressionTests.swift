import Foundation
import ImageFormat
import Model
import Testing
import TestKit

@Suite struct CompressionTests {
    /// Inputs of every kind that takes another way through the compressor.
    static func sample(_ kind: Int, _ size: Int) -> [UInt8] {
        var random = SeededGenerator(UInt64(size &* 31 &+ kind))
        switch kind {
        case 0: return [UInt8](repeating: 0, count: size)
        case 1: return random.bytes(size)
        case 2: return (0..<size).map { UInt8(truncatingIfNeeded: $0 * $0 >> 7) }
        case 3:
            // Words over and over: matches of all lengths and distances.
            let words = (0..<500).map { _ in random.bytes(Int(random.next() % 40) + 1).map { $0 % 26 + 97 } }
            var output: [UInt8] = []
            while output.count < size { output += words[Int(random.next() % 500)] }
            return Array(output[..<size])
        default:
            // Very uneven counts: codes beyond the length limit.
            return (0..<size).map { _ in UInt8(random.next().leadingZeroBitCount) }
        }
    }

    @Test(
        arguments: 0...4,
        [0, 1, 2, 3, 4, 5, 100, 65_535, 65_536, 65_537, 262_143, 262_144, 262_145, 700_000])
    func `every input comes back, as libdeflate reads it`(_ kind: Int, _ size: Int) throws {
        let input = CompressionTests.sample(kind, size)
        let packed = try gzip(input)
        #expect(try decompress(packed) == input)
        #expect(packed.count <= size + size / 100 + 64)
    }

    @Test func `gzip itself reads joined members`() throws {
        let folder = try TemporaryFolder()
        let parts = (0...4).map { CompressionTests.sample($0, 300_000) }
        try write(try parts.flatMap { try gzip($0) }, folder("all.gz"))
        _ = try #require(try run("gzip", "-d", folder("all.gz")))
        #expect(try contents(folder("all")) == parts.flatMap { $0 })
        #expect(try decompress(try parts.flatMap { try gzip($0) }) == parts.flatMap { $0 })
    }

    /// The bytes are a format: they name images. A change here changes the digest of every image ever baked.
    @Test func `the compressed bytes never change`() throws {
        let digests = try (0...4).map { Digest.sha256(try gzip(CompressionTests.sample($0, 600_000))).short }
        #expect(digests == CompressionTests.golden)
    }

    static let golden = ["2aed476027de", "b6f1f84d2c91", "6bc80c3d0e0a", "ea2b9fdc03b1", "75404492cf99"]

    @Test func `how the input is cut does not matter`() throws {
        let input = CompressionTests.sample(3, 1_000_000)
        let whole = try gzip(input)
        var random = SeededGenerator(5)
        final class Box { var bytes: [UInt8] = [] }
        for _ in 0..<5 {
            let box = Box()
            var writer = try GzipWriter { box.bytes += $0 }
            var position = 0
            while position < input.count {
                let size = min(Int(random.next() % 400_000), input.count - position)
                try writer.write(Array(input[position..<position + size]))
                position += size
            }
            try writer.finish()
            #expect(box.bytes == whole)
        }
    }

    @Test(arguments: ["xz", "zstd", "gzip"]) func `what the tools pack is unpacked`(_ tool: String) throws {
        let folder = try TemporaryFolder()
        for size in [0, 1, 100_000, 40 << 20] {
            let input = CompressionTests.sample(size > 1 << 20 ? 0 : 3, size)
            try write(input, folder("file"))
            let packed = try #require(try runBytes(tool, "-1", "-c", folder("file")))
            #expect(try decompress(packed) == input)
            #expect(try decompress(packed + packed) == input + input)
            guard size > 0 else { continue }
            #expect(code { _ = try decompress(packed, limit: size - 1) } == .corruptArchive)
            for cut in [1, 5, packed.count / 2] where packed.count > cut + 8 {
                #expect(code { _ = try decompress(Array(packed.dropLast(cut))) } == .corruptArchive)
            }
        }
    }

    @Test func `no mutation of packed data crashes, and none passes unseen`() throws {
        let folder = try TemporaryFolder()
        let input = CompressionTests.sample(3, 3000)
        try write(input, folder("file"))
        var random = SeededGenerator(9)
        for tool in ["xz", "zstd", "gzip"] {
            let packed = try #require(try runBytes(tool, "-c", folder("file")))
            for _ in 0..<700 {
                var bytes = packed
                bytes[Int(random.next() % UInt64(bytes.count))] ^= UInt8(1 << (random.next() % 8))
                guard let output = try? decompress(bytes, limit: 1 << 20) else { continue }
                // Flags and names of the header are not checked by gzip; a broken magic passes as it is.
                #expect(output == input || output == bytes)
            }
        }
    }

    private func runBytes(_ arguments: String...) throws -> [UInt8]? {
        let process = Process()
        let pipe = Pipe()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = arguments
        process.standardOutput = pipe
        try process.run()
        let output = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return process.terminationStatus == 0 ? Array(output) : nil
    }
}
