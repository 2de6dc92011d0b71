import Foundation
import ImageFormat
import Model
import NIOHTTP1
import Storage
import TestKit
import TestWeb
import Testing

@testable import RegistryClient

/// An update is fetched by the sections that are new.
@Suite struct SectionPullTests {
    private static func bytes(_ seed: UInt64, _ count: Int) -> [UInt8] {
        var generator = SeededGenerator(seed: seed)
        return (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
    }

    /// An image of one layer.
    private static func image(_ sections: [[UInt8]], end: [UInt8] = [1, 2, 3], listed: [[UInt8]]? = nil)
        -> TestImage
    {
        let blob = Array(sections.joined()) + end
        let layer = ImageLayer(
            digest: .sha256(blob), size: blob.count, diffID: .sha256(blob),
            sections: (listed ?? sections).map { ImageLayer.Section(size: $0.count, digest: .sha256($0)) })
        let documents = OCIImage.documents(
            config: ImageConfig(
                architecture: .native, user: "0:0", command: ["/a"], environment: [:], workingDirectory: "/"),
            layers: [layer])
        var image = TestImage(layers: [])
        image.manifest = documents.manifest
        image.type = OCIDescriptor.manifestType
        image.blobs = [documents.config, blob]
        return image
    }

    private static let parts = (0..<6).map { bytes($0, 200_000 + Int($0) * 1000) }
    private static let old = image(parts)
    private static let new = image(
        [parts[0], bytes(70, 90_000), parts[2], parts[3], bytes(71, 5000), parts[5]])

    private static func ranges(_ registry: RegistryDouble, _ image: TestImage) -> [String?] {
        registry.asked.filter { $0.method == "GET" && $0.path.hasSuffix(image.blobs[1].digestText) }
            .map { $0.headers["range"].first }
    }

    @Test func `only new sections move, and the layer is the same byte for byte`() async throws {
        let registry = try await RegistryDouble()
        try await Bench.run { bench in
            registry.put(SectionPullTests.old, as: "v1", in: "app")
            #expect(try await bench.pull("\(registry.address)/app:v1").bytesMoved > 1_200_000)
            registry.put(SectionPullTests.new, as: "v2", in: "app")
            let report = try await bench.pull("\(registry.address)/app:v2")
            #expect(SectionPullTests.ranges(registry, SectionPullTests.new).count == 3)
            let needed = 90_000 + 5000 + 3 + SectionPullTests.new.blobs[0].count
            #expect(report.bytesMoved == needed)
            #expect(try bench.isIntact && bench.leftovers.isEmpty)
        }
    }

    @Test func `a registry without ranges sends all of it`() async throws {
        var behaviour = RegistryDouble.Behaviour()
        behaviour.ranges = false
        let registry = try await RegistryDouble(behaviour)
        try await Bench.run { bench in
            for (image, tag) in [(SectionPullTests.old, "v1"), (SectionPullTests.new, "v2")] {
                registry.put(image, as: tag, in: "app")
                try await bench.pull("\(registry.address)/app:\(tag)")
            }
            #expect(try bench.isIntact && bench.leftovers.isEmpty)
            #expect(SectionPullTests.ranges(registry, SectionPullTests.new).count <= 2)
        }
    }

    @Test func `a damaged section is fetched, not taken over`() async throws {
        let registry = try await RegistryDouble()
        try await Bench.run { bench in
            registry.put(SectionPullTests.old, as: "v1", in: "app")
            try await bench.pull("\(registry.address)/app:v1")
            let path = try #require(bench.store.path(of: .sha256(SectionPullTests.old.blobs[1])))
            var bytes = SectionPullTests.old.blobs[1]
            bytes[500_000] ^= 1
            try Data(bytes).write(to: URL(fileURLWithPath: path))
            registry.put(SectionPullTests.new, as: "v2", in: "app")
            let report = try await bench.pull("\(registry.address)/app:v2")
            #expect(report.bytesMoved > 290_000 && report.bytesMoved < 400_000)
            let made = try #require(bench.store.path(of: .sha256(SectionPullTests.new.blobs[1])))
            #expect(FileManager.default.contents(atPath: made) == Data(SectionPullTests.new.blobs[1]))
        }
    }

    @Test func `a manifest that lists sections which are not there costs time and nothing else`() async throws
    {
        let registry = try await RegistryDouble()
        let parts = SectionPullTests.parts
        let lying = SectionPullTests.image(
            [SectionPullTests.bytes(90, 200_000), SectionPullTests.bytes(91, 10)], listed: [parts[0]])
        try await Bench.run { bench in
            for (image, tag) in [(SectionPullTests.old, "v1"), (lying, "v2")] {
                registry.put(image, as: tag, in: "app")
                try await bench.pull("\(registry.address)/app:\(tag)")
            }
            #expect(try bench.isIntact && bench.leftovers.isEmpty)
        }
    }

    @Test func `a connection that breaks goes on within a section`() async throws {
        var behaviour = RegistryDouble.Behaviour()
        behaviour.fault = { asked, number in
            asked.method == "GET" && asked.path.hasSuffix(SectionPullTests.new.blobs[1].digestText)
                && number <= 2
                ? .cut(percent: 50) : nil
        }
        let registry = try await RegistryDouble(behaviour)
        try await Bench.run { bench in
            for (image, tag) in [(SectionPullTests.old, "v1"), (SectionPullTests.new, "v2")] {
                registry.put(image, as: tag, in: "app")
                try await bench.pull("\(registry.address)/app:\(tag)")
            }
            #expect(try bench.isIntact && bench.leftovers.isEmpty)
        }
    }

    @Test func `short runs are fetched with what is around them`() throws {
        let nothing = BlobBytes(try MappedBytes(file: "/proc/self/cmdline"))
        func section(_ range: Range<Int>) -> HeldSection {
            HeldSection(range: range, bytes: nothing)
        }
        let kept = HeldSection.worthUsing([
            section(50_000..<60_000), section(0..<1000), section(60_000..<90_000), section(95_000..<96_000),
        ])
        #expect(kept.map(\.range) == [50_000..<60_000, 60_000..<90_000])
    }

    @Test(arguments: [
        "", "x", "1", "1:", "0:\(String(repeating: "a", count: 64))",
        "-1:\(String(repeating: "a", count: 64))",
        "99:\(String(repeating: "a", count: 64))", "1:zz", "4:\(String(repeating: "a", count: 64)),7:b",
        "8:\(String(repeating: "a", count: 64)),8:\(String(repeating: "a", count: 64))",
    ])
    func `a list of sections that cannot be is no list`(text: String) {
        let layer = OCIDescriptor(
            mediaType: OCIDescriptor.layerType, digest: .sha256([]), size: 10,
            annotations: [LayerSections.annotation: text])
        #expect(LayerSections.of(layer).isEmpty)
    }
}
