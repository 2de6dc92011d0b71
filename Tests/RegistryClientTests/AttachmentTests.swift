import Foundation
import ImageFormat
import Model
import NIOHTTP1
import Testing

@testable import RegistryClient

/// Bills of materials and the like beside images.
@Suite struct AttachmentTests {
    private static let bill = Attachment(
        type: "application/spdx+json", title: "sbom.spdx.json",
        content: Array(#"{"spdxVersion": "SPDX-2.3"}"#.utf8))

    @Test(arguments: [true, false])
    func `what is attached is found by the image's digest, once, and the image stays as it is`(lists: Bool)
        async throws
    {
        var behaviour = RegistryDouble.Behaviour()
        behaviour.listsReferrers = lists
        behaviour.claimsReferrers = lists
        let registry = try await RegistryDouble(behaviour)
        let image = TestImage()
        registry.put(image, as: "v1", in: "app")
        try await Bench.run { bench in
            let reference = try RegistryReference(parsing: "\(registry.address)/app:v1")
            let first = try await bench.client.attach(AttachmentTests.bill, to: image.digest, at: reference)
            let again = try await bench.client.attach(AttachmentTests.bill, to: image.digest, at: reference)
            #expect(first == again)
            let found = try await bench.client.repository(reference.host, reference.repository).referrers(
                of: image.digest)
            #expect(found.map(\.digest) == [first])
            #expect(found.map(\.artifactType) == ["application/spdx+json"])
            #expect(registry.manifest("v1", in: "app")?.bytes == image.manifest)
            #expect(
                registry.blob(.sha256(AttachmentTests.bill.content), in: "app")
                    == AttachmentTests.bill.content)
            let manifest = try #require(registry.manifest("\(first)", in: "app"))
            let document = try ImageDocument(manifest.bytes)
            #expect(
                document.subject?.digest == image.digest && document.subject?.size == image.manifest.count)
        }
    }

    @Test func `what lies beside an image is read back by its kind, and what is unfit is left out`()
        async throws
    {
        let registry = try await RegistryDouble()
        let image = TestImage()
        registry.put(image, as: "v1", in: "app")
        try await Bench.run { bench in
            let reference = try RegistryReference(parsing: "\(registry.address)/app:v1")
            var others: [Digest] = []
            for number in 0..<4 {
                var bill = AttachmentTests.bill
                bill.content += [UInt8(number)]
                bill.annotations = ["io.example.number": "\(number)"]
                others.append(try await bench.client.attach(bill, to: image.digest, at: reference))
            }
            func read(_ type: String = AttachmentTests.bill.type, limit: Int = 10) async throws -> [UInt8] {
                try await bench.client.attached(type, to: image.digest, at: reference, limit: limit)
                    .compactMap(\.last).sorted()
            }
            #expect(try await read() == [0, 1, 2, 3])
            #expect(try await read(limit: 2).count == 2)
            #expect(try await read("application/other") == [])
            // One of them is no manifest any more.
            let junk = Array("{}".utf8)
            registry.change { state in
                state.manifests["app@\(others[1])"]?.bytes = junk
            }
            #expect(try await read() == [0, 2, 3])
        }
    }

    @Test func `nothing is attached to an image that is not there`() async throws {
        let registry = try await RegistryDouble()
        try await Bench.run { bench in
            let reference = try RegistryReference(parsing: "\(registry.address)/app:v1")
            let failure = await #expect(throws: Failure.self) {
                try await bench.client.attach(AttachmentTests.bill, to: .sha256([1]), at: reference)
            }
            #expect(failure?.code == .notFound)
            #expect(registry.state.blobs.isEmpty)
        }
    }
}
