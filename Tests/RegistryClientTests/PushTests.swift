import Foundation
import ImageFormat
import Model
import NIOHTTP1
import RegistryClient
import Storage
import TestWeb
import Testing
import TestKit

@Suite struct PushTests {
    /// A bench whose store has an image already.
    private func run(
        _ image: TestImage, _ change: (inout RegistrySettings) throws -> Void = { _ in },
        _ body: (Bench) async throws -> Void
    ) async throws {
        let source = try await RegistryDouble()
        source.put(image, as: "v1", in: "app")
        try await Bench.run(change) { bench in
            try await bench.pull("\(source.address)/app:v1")
            try await body(bench)
        }
    }

    @Test(arguments: [100, 4096, 200_000]) func `an image arrives byte for byte, whatever the chunks`(
        chunk: Int
    )
        async throws
    {
        let registry = try await RegistryDouble()
        let image = TestImage(layers: [0, 1000, 70_000], isDocker: true)
        try await run(image, { $0.chunk = chunk }) { bench in
            let report = try await bench.push(image.digest, to: "\(registry.address)/team/app:v1")
            #expect(report.digest == image.digest && report.blobsMoved == image.blobs.count)
            let manifest = registry.manifest("v1", in: "team/app")
            #expect(manifest?.bytes == image.manifest && manifest?.type == image.type)
            for blob in image.blobs { #expect(registry.blob(.sha256(blob), in: "team/app") == blob) }
            #expect(registry.state.uploads.isEmpty)

            registry.forgetRequests()
            #expect(try await bench.push(image.digest, to: "\(registry.address)/team/app:v2").blobsMoved == 0)
            #expect(registry.asked.map(\.method) == ["HEAD", "PUT"])
        }
    }

    @Test func `a registry that wants larger chunks gets them`() async throws {
        var behaviour = RegistryDouble.Behaviour()
        behaviour.smallestChunk = 30_000
        let registry = try await RegistryDouble(behaviour)
        let image = TestImage(layers: [70_000])
        try await run(image, { $0.chunk = 1000 }) { bench in
            try await bench.push(image.digest, to: "\(registry.address)/app:v1")
            let sizes = registry.asked.filter { $0.method == "PATCH" }.map(\.body.count)
            #expect(sizes.dropLast().allSatisfy { $0 == 30_000 })
        }
    }

    @Test(arguments: [500, 503, 429, 0]) func `a chunk that fails is taken up where the registry stands`(
        status: Int
    )
        async throws
    {
        var behaviour = RegistryDouble.Behaviour()
        behaviour.fault = { asked, number in
            guard asked.method == "PATCH", number == 2 || number == 3 else { return nil }
            // Half of the time the registry took the chunk and its answer was lost.
            return status == 0 ? .silence : .status(status, headers: ["retry-after": "3"])
        }
        let registry = try await RegistryDouble(behaviour)
        let image = TestImage(layers: [70_000])
        try await run(image, { $0.chunk = 10_000 }) { bench in
            try await bench.push(image.digest, to: "\(registry.address)/app:v1")
            #expect(registry.blob(.sha256(image.blobs[1]), in: "app") == image.blobs[1])
            #expect(registry.asked.filter { $0.method == "PATCH" }.count <= 10)
            if status == 429 { #expect(bench.waited.contains(.seconds(3))) }
            #expect(!bench.waited.isEmpty)
        }
    }

    @Test func `a registry that forgets an upload gets the blob anew`() async throws {
        var behaviour = RegistryDouble.Behaviour()
        behaviour.fault = { asked, number in
            ["PATCH", "GET"].contains(asked.method) && asked.path.hasSuffix("/uploads/u1")
                ? .status(404) : nil
        }
        let registry = try await RegistryDouble(behaviour)
        let image = TestImage(layers: [70_000])
        try await run(image, { $0.chunk = 10_000 }) { bench in
            try await bench.push(image.digest, to: "\(registry.address)/app:v1")
            #expect(registry.blob(.sha256(image.blobs[1]), in: "app") == image.blobs[1])
        }
    }

    @Test(arguments: [500, 0]) func `an answer that is lost after the last byte is asked for`(status: Int)
        async throws
    {
        var behaviour = RegistryDouble.Behaviour()
        behaviour.fault = { asked, number in
            guard asked.method == "PUT", asked.path.hasSuffix("/uploads/u1"), number == 1 else { return nil }
            return status == 0 ? .silence : .status(status)
        }
        let registry = try await RegistryDouble(behaviour)
        let image = TestImage(layers: [70_000])
        try await run(image) { bench in
            try await bench.push(image.digest, to: "\(registry.address)/app:v1")
            #expect(registry.blob(.sha256(image.blobs[1]), in: "app") == image.blobs[1])
        }
    }

    @Test func `a registry that always fails is given up after a bounded number of tries`() async throws {
        var behaviour = RegistryDouble.Behaviour()
        behaviour.fault = { asked, _ in asked.method == "POST" ? .status(503) : nil }
        let registry = try await RegistryDouble(behaviour)
        let image = TestImage(layers: [10])
        try await run(image) { bench in
            let failure = await #expect(throws: Failure.self) {
                try await bench.push(image.digest, to: "\(registry.address)/app:v1")
            }
            #expect(failure?.code == .registryRefused && failure?.message.contains("503") ?? false)
            #expect(registry.asked.count { $0.method == "POST" } <= RetryPolicy().tries * image.blobs.count)
            #expect(registry.manifest("v1", in: "app") == nil)
        }
    }

    @Test(arguments: [true, false]) func `blobs that the registry has elsewhere are mounted and not sent`(
        mounts: Bool
    )
        async throws
    {
        var behaviour = RegistryDouble.Behaviour()
        behaviour.mounts = mounts
        let registry = try await RegistryDouble(behaviour)
        let image = TestImage()
        registry.put(image, as: "v1", in: "base")
        try await run(image) { bench in
            let report = try await bench.push(
                image.digest, to: "\(registry.address)/app:v1", mountFrom: "\(registry.address)/base")
            #expect(report.blobsMoved == (mounts ? 0 : 3))
            #expect(registry.state.uploads.isEmpty, "an upload that nobody uses was left open")
            for blob in image.blobs { #expect(registry.blob(.sha256(blob), in: "app") == blob) }
        }
    }

    @Test func `a store that lost a blob pushes nothing`() async throws {
        let registry = try await RegistryDouble()
        let image = TestImage()
        try await run(image) { bench in
            let path = try #require(bench.store.path(of: .sha256(image.blobs[2])))
            try FileManager.default.removeItem(atPath: path)
            let failure = await #expect(throws: Failure.self) {
                try await bench.push(image.digest, to: "\(registry.address)/app:v1")
            }
            #expect(failure?.code == .storeDamaged)
            #expect(registry.manifest("v1", in: "app") == nil)
        }
    }

    @Test(arguments: [(true, true), (false, false), (false, true)])
    func `what refers to an image is found, with the list and without`(lists: Bool, claims: Bool) async throws
    {
        var behaviour = RegistryDouble.Behaviour()
        behaviour.listsReferrers = lists
        behaviour.claimsReferrers = claims
        let (source, target) = (try await RegistryDouble(), try await RegistryDouble(behaviour))
        let image = TestImage()
        let about = try ImageDocument(image.manifest).descriptor
        let (one, two) = (TestImage(seed: 20, subject: about), TestImage(seed: 30, subject: about))
        source.put(image, as: "v1", in: "app")
        for referrer in [one, two] { source.put(referrer, as: "\(referrer.digest)", in: "app") }
        try await Bench.run { bench in
            let from = try RegistryReference(parsing: "\(source.address)/app:v1")
            let to = try RegistryReference(parsing: "\(target.address)/app:v1")
            try await bench.copy(try bench.client.source(from), bench.client.sink(to))
            let copied = try await bench.client.copyReferrers(of: image.digest, from: from, to: to)
            #expect(Set(copied) == [one.digest, two.digest])
            let found = try await bench.client.repository(to.host, to.repository).referrers(of: image.digest)
            #expect(Set(found.map(\.digest)) == [one.digest, two.digest])
            #expect((target.manifest("sha256-\(image.digest.hex)", in: "app") == nil) == lists)
        }
    }
}
