import Foundation
import ImageFormat
import Model
import NIOHTTP1
import Storage
import TestWeb
import Testing
import TestKit

@testable import RegistryClient

@Suite struct PullTests {
    @Test(arguments: [false, true]) func `an image comes as it is, byte for byte, and only once`(
        isDocker: Bool
    )
        async throws
    {
        let registry = try await RegistryDouble()
        let image = TestImage(isDocker: isDocker)
        registry.put(image, as: "v1", in: "team/app")
        try await Bench.run { bench in
            let name = "\(registry.address)/team/app:v1"
            let report = try await bench.pull(name)
            #expect(report.digest == image.digest && report.blobsMoved == 3)
            #expect(try bench.store.read(image.digest, limit: 1 << 20) == image.manifest)
            let record = try #require(try bench.store.images().first)
            #expect(record.names == [name] && record.digest == image.digest && record.service == nil)
            registry.forgetRequests()
            #expect(try await bench.pull(name).blobsMoved == 0)
            #expect(
                registry.asked.allSatisfy {
                    !$0.path.contains("/blobs/sha256") || $0.method == "HEAD"
                        || $0.uri.contains("\(Digest.sha256(image.blobs[0]))")
                })
            #expect(try bench.store.images().count == 1)
        }
    }

    @Test func `a name moves to the image that was pulled last`() async throws {
        let registry = try await RegistryDouble()
        let (old, new) = (TestImage(seed: 1), TestImage(seed: 9))
        try await Bench.run { bench in
            let name = "\(registry.address)/app:v1"
            for image in [old, new] {
                registry.put(image, as: "v1", in: "app")
                try await bench.pull(name)
            }
            let names = Dictionary(
                uniqueKeysWithValues: try bench.store.images().map { ($0.digest, $0.names) })
            #expect(names == [old.digest: [], new.digest: [name]])
        }
    }

    @Test func `of an index this platform's image comes, or all of them`() async throws {
        let registry = try await RegistryDouble()
        let other = Architecture.native == .amd64 ? "arm64" : "amd64"
        let (ours, theirs) = (TestImage(seed: 1), TestImage(seed: 9, architecture: other))
        let index = TestImage.index([(theirs, "linux/\(other)"), (ours, OCIPlatform.native.description)])
        for image in [ours, theirs] { registry.put(image, as: "\(image.digest)", in: "app") }
        registry.change { $0.manifests["app@v1"] = .init(type: OCIDescriptor.indexType, bytes: index) }
        try await Bench.run { bench in
            let name = "\(registry.address)/app:v1"
            #expect(try await bench.pull(name).digest == ours.digest)
            let record = try #require(try bench.store.images().first)
            #expect(record.digest == ours.digest && record.index == .sha256(index))
            #expect(bench.store.path(of: theirs.digest) == nil)
            // The index is known, and not whole.
            let part = await #expect(throws: Failure.self) {
                try await bench.push(.sha256(index), to: "\(registry.address)/other:v1")
            }
            #expect(part?.suggestion?.contains("--all-platforms") ?? false)

            #expect(try await bench.pull(name, .all).digest == .sha256(index))
            #expect(try bench.store.images().map(\.digest) == [ours.digest])
            try await bench.push(.sha256(index), to: "\(registry.address)/other:v1")
            #expect(registry.manifest("v1", in: "other")?.bytes == index)
            #expect(registry.manifest("\(theirs.digest)", in: "other")?.bytes == theirs.manifest)
        }
    }

    @Test(arguments: [
        (TestImage(user: "nginx"), "nginx"), (TestImage(architecture: "s390x"), "amd64 or arm64"),
        (TestImage(layers: Array(repeating: 1, count: 128)), "127"),
    ]) func `what could not be used here is refused before its layers come`(image: TestImage, word: String)
        async throws
    {
        let registry = try await RegistryDouble()
        registry.put(image, as: "v1", in: "app")
        try await Bench.run { (bench: Bench) async throws in
            let failure = await #expect(throws: Failure.self) {
                try await bench.pull("\(registry.address)/app:v1")
            }
            #expect(failure?.message.contains(word) ?? false)
            #expect(failure?.suggestion?.contains("image copy") ?? false)
            #expect(registry.asked.count { $0.path.contains("/blobs/") } <= 1)
            #expect(try bench.store.images().isEmpty)
        }
    }

    @Test func `a body that breaks off is taken up where it broke off`() async throws {
        var behaviour = RegistryDouble.Behaviour()
        behaviour.fault = { asked, number in
            asked.method == "GET" && asked.path.contains("/blobs/") && number <= 2 ? .cut(percent: 60) : nil
        }
        let registry = try await RegistryDouble(behaviour)
        let image = TestImage(layers: [500_000])
        registry.put(image, as: "v1", in: "app")
        try await Bench.run { bench in
            // The config is small, and read whole.
            registry.change {
                $0.asked += Array(
                    repeating: .init(
                        method: "GET", uri: "/v2/app/blobs/\(Digest.sha256(image.blobs[0]))", headers: [:],
                        body: []), count: 2)
            }
            try await bench.pull("\(registry.address)/app:v1")
            let ranges = registry.asked.filter {
                $0.path.contains("\(Digest.sha256(image.blobs[1]))") && $0.method == "GET"
            }
            .map { $0.headers["range"].first }
            #expect(ranges.count == 3 && ranges[0] == nil && ranges[1] != nil && ranges[2] != nil)
            #expect(bench.waited.count == 2)
            #expect(try bench.isIntact)
        }
    }

    @Test func `a registry that cannot continue is read from the beginning`() async throws {
        var behaviour = RegistryDouble.Behaviour()
        behaviour.ranges = false
        behaviour.fault = { asked, number in
            asked.method == "GET" && asked.path.contains("/blobs/") && asked.headers["range"].isEmpty
                && number == 1
                && !asked.path.hasSuffix(TestImage(layers: [500_000]).blobs[0].digestText)
                ? .cut(percent: 50) : nil
        }
        let registry = try await RegistryDouble(behaviour)
        let image = TestImage(layers: [500_000])
        registry.put(image, as: "v1", in: "app")
        try await Bench.run { bench in
            try await bench.pull("\(registry.address)/app:v1")
            #expect(try bench.isIntact && bench.leftovers.isEmpty)
        }
    }

    @Test(arguments: ["blob", "manifest", "long"]) func `a wrong digest is refused and leaves nothing`(
        what: String
    )
        async throws
    {
        let image = TestImage()
        var behaviour = RegistryDouble.Behaviour()
        behaviour.fault = { asked, _ in
            guard asked.method == "GET" else { return nil }
            switch what {
            case "manifest":
                return asked.path.contains("/manifests/") ? .body(TestImage(seed: 5).manifest) : nil
            default:
                guard asked.path.hasSuffix(image.blobs[2].digestText) else { return nil }
                return .body(what == "blob" ? image.blobs[2].reversed() : image.blobs[2] + [0])
            }
        }
        let registry = try await RegistryDouble(behaviour)
        registry.put(image, as: "v1", in: "app")
        try await Bench.run { (bench: Bench) async throws in
            let failure = await #expect(throws: Failure.self) {
                try await bench.pull("\(registry.address)/app:v1")
            }
            #expect(failure?.code == .hashMismatch)
            #expect(failure?.place?.contains("app") ?? false)
            #expect(try bench.store.images().isEmpty && bench.leftovers.isEmpty && bench.isIntact)
        }
    }

    @Test func `a redirect elsewhere gets no credentials`() async throws {
        let image = TestImage()
        let elsewhere = try await WebServer { asked in
            guard asked.headers["authorization"].isEmpty else { return .init(400) }
            let blob = image.blobs.first { asked.uri.contains($0.digestText) }
            return blob.map { .init(200, body: $0) } ?? .init(404)
        }
        var behaviour = RegistryDouble.Behaviour()
        behaviour.signIn = .basic(user: "ann", password: "secret")
        behaviour.blobsElsewhere = "http://\(elsewhere.address)/files"
        let registry = try await RegistryDouble(behaviour)
        registry.put(image, as: "v1", in: "app")
        try await Bench.run { settings in
            settings.credentials = [try .of(registry.address, "ann:secret")]
        } _: { bench in
            try await bench.pull("\(registry.address)/app:v1")
            #expect(try bench.isIntact)
        }
    }

    @Test func `redirects in a circle end`() async throws {
        var behaviour = RegistryDouble.Behaviour()
        behaviour.fault = { asked, _ in
            asked.path.contains("/manifests/") ? .status(302, headers: ["location": asked.uri]) : nil
        }
        let registry = try await RegistryDouble(behaviour)
        try await Bench.run { bench in
            let failure = await #expect(throws: Failure.self) {
                try await bench.pull("\(registry.address)/app:v1")
            }
            #expect(failure?.code == .registryRefused)
        }
    }

    @Test func `a mirror is asked first, and the registry where the mirror fails or lies`() async throws {
        let image = TestImage()
        var lying = RegistryDouble.Behaviour()
        lying.fault = { asked, _ in
            asked.method == "GET" && asked.path.hasSuffix(image.blobs[2].digestText) ? .body([1, 2, 3]) : nil
        }
        let (mirror, registry) = (try await RegistryDouble(lying), try await RegistryDouble())
        registry.put(image, as: "v1", in: "team/app")
        mirror.put(image, as: "v1", in: "cache/team/app")
        try await Bench.run { settings in
            settings.rules = try RegistryRules(
                parsing: Array(
                    """
                    {"registries": {"\(registry.address)": {"mirrors": ["127.0.0.1:1", "\(mirror.address)/cache"]}}}
                    """.utf8), place: "test")
        } _: { bench in
            try await bench.pull("\(registry.address)/team/app:v1")
            let asked = registry.asked.map { "\($0.method) \($0.path)" }
            #expect(asked == ["GET /v2/team/app/blobs/\(image.blobs[2].digestText)"])
            #expect(try bench.isIntact)
        }
    }
}

extension [UInt8] {
    var digestText: String { "\(Digest.sha256(self))" }
}

extension DockerConfig {
    static func of(_ host: String, _ login: String) throws -> DockerConfig {
        let packed = Data(login.utf8).base64EncodedString()
        return try DockerConfig(
            parsing: Array(#"{"auths": {"\#(host)": {"auth": "\#(packed)"}}}"#.utf8), place: "config.json")
    }
}
