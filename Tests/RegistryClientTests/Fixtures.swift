import Foundation
import ImageFormat
import Model
import Ports
import RegistryClient
import Storage
import Synchronization
import TestKit

/// A small image in memory, of the kind that others make.
struct TestImage: Sendable {
    var manifest: [UInt8]
    var type: String
    var blobs: [[UInt8]]
    var digest: Digest { .sha256(manifest) }

    /// - Parameters:
    ///   - layers: the sizes of its layers, whose bytes are made from `seed`
    ///   - space: what stands between the tokens of the manifest: no writer of ours would put it there
    init(
        layers: [Int] = [1000, 70_000], seed: UInt8 = 1, user: String = "1000:1000",
        architecture: String? = nil,
        space: String = " \n ", isDocker: Bool = false, subject: OCIDescriptor? = nil
    ) {
        let architecture = architecture ?? Architecture.native.rawValue
        let tars = layers.enumerated().map { number, size in
            TestImage.tar(size: size, seed: seed &+ UInt8(number))
        }
        let ids = tars.map { "\"\(Digest.sha256($0))\"" }.joined(separator: ",")
        let config = Array(
            """
            {"os": "linux", "architecture": "\(architecture)", "extra": 1.5,
             "config": {"User": "\(user)", "Cmd": ["/a"], "Env": ["A=\(seed)"]},
             "rootfs": {"type": "layers", "diff_ids": [\(ids)]}}
            """.utf8)
        let prefix = isDocker ? "application/vnd.docker" : "application/vnd.oci"
        type = prefix + (isDocker ? ".distribution.manifest.v2+json" : ".image.manifest.v1+json")
        let configType = prefix + (isDocker ? ".container.image.v1+json" : ".image.config.v1+json")
        let layerType = prefix + (isDocker ? ".image.rootfs.diff.tar" : ".image.layer.v1.tar")
        func descriptor(_ type: String, _ bytes: [UInt8]) -> String {
            #"{"mediaType": "\#(type)",\#(space)"size": \#(bytes.count), "digest": "\#(Digest.sha256(bytes))"}"#
        }
        let listed = tars.map { descriptor(layerType, $0) }.joined(separator: ",")
        let about = subject.map {
            #", "subject": {"mediaType": "\#($0.mediaType)", "size": \#($0.size), "digest": "\#($0.digest)"}"#
        }
        manifest = Array(
            (#"{"schemaVersion": 2,\#(space)"mediaType": "\#(type)", "config": \#(descriptor(configType, config)), "#
                + #""layers": [\#(listed)], "annotations": {"io.example.note": "kept"}\#(about ?? "")}"#).utf8
        )
        blobs = [config] + tars
    }

    /// An index of images, which are documents and no blobs.
    static func index(_ images: [(image: TestImage, platform: String)]) -> [UInt8] {
        let entries = images.map { image, platform in
            let parts = platform.split(separator: "/")
            return
                #"{"mediaType": "\#(image.type)", "size": \#(image.manifest.count), "digest": "\#(image.digest)",  "platform": {"os": "\#(parts[0])", "architecture": "\#(parts[1])"}}"#
        }
        return Array(
            #"{"schemaVersion": 2, "mediaType": "\#(OCIDescriptor.indexType)", "manifests": [\#(entries.joined(separator: ",  "))]}"#
                .utf8)
    }

    private static func tar(size: Int, seed: UInt8) -> [UInt8] {
        var state = UInt32(seed) &+ 7
        let content = (0..<size).map { _ -> UInt8 in
            state = state &* 1_664_525 &+ 1_013_904_223
            return UInt8(state >> 24)
        }
        return TarWriter.header(for: TarEntry(path: "file-\(seed)", kind: .file, size: size)) + content
            + TarWriter.padding(after: size) + TarWriter.trailer
    }
}

/// A client whose waits are remembered and not waited.
struct Bench: Sendable {
    let folder: TemporaryFolder
    let store: ContentStore
    let client: RegistryClient
    private let waits: Waits

    private final class Waits: Sendable { let all = Mutex<[Span]>([]) }

    var waited: [Span] { waits.all.withLock { $0 } }

    private init(_ change: (inout RegistrySettings) throws -> Void) throws {
        folder = try TemporaryFolder()
        store = try ContentStore(folder.path + "/store")
        let waits = Waits()
        self.waits = waits
        var settings = RegistrySettings()
        settings.world.wait = { span in
            try Task.checkCancellation()
            waits.all.withLock { $0.append(span) }
        }
        settings.world.jitter = { 0.5 }
        try change(&settings)
        client = RegistryClient(settings)
    }

    static func run(
        _ change: (inout RegistrySettings) throws -> Void = { _ in }, _ body: (Bench) async throws -> Void
    ) async throws {
        let bench = try Bench(change)
        do {
            try await body(bench)
            try await bench.client.close()
        } catch {
            try await bench.client.close()
            throw error
        }
    }

    @discardableResult
    func pull(_ text: String, _ choice: PlatformChoice = .one(.native)) async throws -> CopyReport {
        try await pull(try client.source(try RegistryReference(parsing: text)), choice, name: text)
    }

    @discardableResult
    func pull(_ source: any ImageSource, _ choice: PlatformChoice = .one(.native), name: String) async throws
        -> CopyReport
    {
        let plan = try await CopyPlan.of(source, choice)
        let sink = try await StoreSink(store, plan, from: source, name: name, now: Instant(milliseconds: 0))
        return try await ImageCopier(from: source, to: sink).run(plan)
    }

    @discardableResult
    func push(_ digest: Digest, to text: String, mountFrom: String? = nil) async throws -> CopyReport {
        try await copy(
            StoreSource(store, digest, called: "\(digest)"),
            client.sink(
                try RegistryReference(parsing: text),
                mountFrom: try mountFrom.map { try RegistryReference(parsing: $0) }))
    }

    @discardableResult
    func copy(_ source: any ImageSource, _ sink: any ImageSink, _ choice: PlatformChoice = .all) async throws
        -> CopyReport
    {
        try await ImageCopier(from: source, to: sink).run(try await CopyPlan.of(source, choice))
    }

    /// What a stopped transfer left beside the blobs.
    var leftovers: [String] {
        get throws { try FileManager.default.contentsOfDirectory(atPath: store.root + "/tmp") }
    }

    /// Every blob of the store has the digest that it is named by.
    var isIntact: Bool {
        get throws {
            let folder = store.root + "/blobs/sha256"
            return try FileManager.default.contentsOfDirectory(atPath: folder).allSatisfy { name in
                Digest.sha256([UInt8](try Data(contentsOf: URL(fileURLWithPath: "\(folder)/\(name)")))).hex
                    == name
            }
        }
    }
}
