import Baking
import Foundation
import ImageFormat
import Model
import RegistryClient
import Storage
import Testing
import TestKit

/// The real thing: Debian's docker-registry, and skopeo as the judge.
@Suite(.enabled(if: DockerRegistry.isInstalled)) struct DockerRegistryTests {
    /// An image that an in-process registry gave to the store.
    private func withImage(_ image: TestImage, _ body: (Bench) async throws -> Void) async throws {
        let double = try await RegistryDouble()
        double.put(image, as: "v1", in: "app")
        try await Bench.run {
            $0.chunk = 50_000
        } _: { bench in
            try await bench.pull("\(double.address)/app:v1")
            try await body(bench)
        }
    }

    /// Whether those who read baked images read this one: to show, to run and to export it.
    private func isUsable(_ digest: Digest, _ bench: Bench) async throws {
        let reader = LayeredImageReader(store: bench.store)
        #expect(try reader.image(digest).layers.count == 2)
        let export = "\(bench.folder.path)/export"
        try ImageExporter(store: bench.store).export(
            digest, name: "app:v1", format: .ociDirectory, to: export)
        // skopeo finds no manifest of Docker's in a layout, whose media type has to stay for the digest to stay.
        let document = try await LayoutSource(folder: export, tag: "v1").root()
        #expect(document.digest == digest)
        if !document.mediaType.contains("docker") { #expect(try Skopeo.digest("oci:\(export):v1") == digest) }
        let archive = "\(bench.folder.path)/export.tar"
        try ImageExporter(store: bench.store).export(
            digest, name: "app:v1", format: .dockerArchive, to: archive)
        _ = try Skopeo.digest("docker-archive:\(archive)")
        guard geteuid() == 0 else { return }
        let root = "\(bench.folder.path)/root"
        try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: false)
        try await reader.unpack(digest, into: root)
        #expect(try FileManager.default.contentsOfDirectory(atPath: root).count == 2)
        for path in [export, archive, root] { try FileManager.default.removeItem(atPath: path) }
    }

    @Test(.timeLimit(.minutes(60)), arguments: [false, true])
    func `what is pushed, skopeo reads; what skopeo pushed, is pulled: always with the same digest`(
        isDocker: Bool
    )
        async throws
    {
        let registry = try await DockerRegistry()
        let image = TestImage(layers: [1000, 170_000], isDocker: isDocker)
        try await withImage(image) { bench in
            try await bench.push(image.digest, to: "\(registry.address)/team/app:v1")
            #expect(try Skopeo.digest("docker://\(registry.address)/team/app:v1") == image.digest)
            try await isUsable(image.digest, bench)

            // A layer of another kind of packing, and a manifest of skopeo's own.
            try Skopeo.copy(
                "docker://\(registry.address)/team/app:v1", "docker://\(registry.address)/skopeo:zstd",
                "--dest-compress-format zstd --dest-compress --format oci")
            let theirs = try Skopeo.digest("docker://\(registry.address)/skopeo:zstd")
            #expect(theirs != image.digest)
            #expect(try await bench.pull("\(registry.address)/skopeo:zstd").digest == theirs)
            try await isUsable(theirs, bench)
            try await bench.push(
                theirs, to: "\(registry.address)/back:v1", mountFrom: "\(registry.address)/skopeo")
            #expect(try Skopeo.digest("docker://\(registry.address)/back:v1") == theirs)
            #expect(try bench.isIntact && bench.leftovers.isEmpty)
        }
    }

    @Test(.timeLimit(.minutes(60))) func `folders and archives go both ways`() async throws {
        let image = TestImage(layers: [1000, 170_000])
        try await withImage(image) { bench in
            let folder = bench.folder.path
            let source = StoreSource(bench.store, image.digest, called: "app")
            try await bench.copy(source, try LayoutFolderSink(folder: "\(folder)/ours", tag: "v1"))
            try await bench.copy(source, ArchiveSink(file: "\(folder)/ours.tar", name: "v1", isDocker: false))
            try await bench.copy(
                source, ArchiveSink(file: "\(folder)/ours-docker.tar", name: "example/app:v1", isDocker: true)
            )
            #expect(try Skopeo.digest("oci:\(folder)/ours:v1") == image.digest)
            #expect(try Skopeo.digest("oci-archive:\(folder)/ours.tar:v1") == image.digest)
            _ = try Skopeo.digest("docker-archive:\(folder)/ours-docker.tar:example/app:v1")

            try Skopeo.copy("oci:\(folder)/ours:v1", "oci:\(folder)/theirs:v2")
            try Skopeo.copy("oci:\(folder)/ours:v1", "oci-archive:\(folder)/theirs.tar:v2")
            try Skopeo.copy(
                "oci:\(folder)/ours:v1", "docker-archive:\(folder)/theirs-docker.tar:example/app:v2")
            try await bench.pull(LayoutSource(folder: "\(folder)/theirs", tag: "v2"), name: "a")
            try await bench.pull(try LayoutSource(archive: "\(folder)/theirs.tar", tag: nil), name: "b")
            let docker = try DockerArchiveSource("\(folder)/theirs-docker.tar", name: nil)
            let made = try await bench.pull(docker, name: "c")
            #expect(try bench.isIntact)

            // The same layers and config, whoever wrote the archive.
            let ours = try DockerArchiveSource("\(folder)/ours-docker.tar", name: "example/app:v1")
            #expect(try await ours.root().digest == made.digest)
            let other = TestImage(seed: 9)
            let double = try await RegistryDouble()
            double.put(other, as: "v1", in: "app")
            let foreign = try bench.client.source(try RegistryReference(parsing: "\(double.address)/app:v1"))
            try await bench.copy(foreign, try LayoutFolderSink(folder: "\(folder)/ours", tag: "v3"))
            #expect(try Skopeo.digest("oci:\(folder)/ours:v3") == other.digest)
            #expect(try Skopeo.digest("oci:\(folder)/ours:v1") == image.digest)
        }
    }

    @Test(.timeLimit(.minutes(60)))
    func `an index is copied whole, and what refers to it under the fallback tag`()
        async throws
    {
        let (double, registry) = (try await RegistryDouble(), try await DockerRegistry())
        let (one, two) = (
            TestImage(seed: 1, architecture: "amd64"), TestImage(seed: 9, architecture: "arm64")
        )
        let index = TestImage.index([(one, "linux/amd64"), (two, "linux/arm64")])
        for image in [one, two] { double.put(image, as: "\(image.digest)", in: "app") }
        double.change { $0.manifests["app@v1"] = .init(type: OCIDescriptor.indexType, bytes: index) }
        let signature = TestImage(seed: 40, subject: try ImageDocument(index).descriptor)
        double.put(signature, as: "\(signature.digest)", in: "app")
        try await Bench.run { bench in
            let from = try RegistryReference(parsing: "\(double.address)/app:v1")
            let to = try RegistryReference(parsing: "\(registry.address)/app:v1")
            #expect(
                try await bench.copy(try bench.client.source(from), bench.client.sink(to)).digest
                    == .sha256(index))
            let raw = shell("skopeo inspect --raw --tls-verify=false docker://\(to)")
            #expect(Array(raw.output.utf8) == index)
            #expect(
                try await bench.client.copyReferrers(of: .sha256(index), from: from, to: to) == [
                    signature.digest
                ])
            let found = try await bench.client.repository(to.host, to.repository).referrers(
                of: .sha256(index))
            #expect(found.map(\.digest) == [signature.digest])
            #expect(try await bench.client.tag(to, as: ImageTag("stable")) == .sha256(index))
        }
    }

    @Test(.timeLimit(.minutes(60)))
    func `a private authority is trusted where it is named, and else refused`()
        async throws
    {
        let registry = try await DockerRegistry(isSecure: true)
        let image = TestImage()
        let double = try await RegistryDouble()
        double.put(image, as: "v1", in: "app")
        let from = try RegistryReference(parsing: "\(double.address)/app:v1")
        let to = try RegistryReference(parsing: "\(registry.address)/app:v1")
        func rule(_ settings: inout RegistrySettings, _ ca: String?) throws {
            settings.rules[to.host] = .init(isPlain: false, authority: ca)
            settings.rules[from.host] = .init(isPlain: true)
        }
        try await Bench.run {
            try rule(&$0, nil)
        } _: { bench in
            let failure = await #expect(throws: Failure.self) {
                try await bench.copy(try bench.client.source(from), bench.client.sink(to))
            }
            #expect(failure?.suggestion?.contains("--ca") ?? false)
            #expect(bench.waited.isEmpty)
        }
        try await Bench.run {
            try rule(&$0, registry.folder.path + "/ca.pem")
        } _: { bench in
            try await bench.copy(try bench.client.source(from), bench.client.sink(to))
            #expect(try await bench.pull("\(to)").digest == image.digest)
        }
        // The same by a folder of Docker's form.
        let certificates = try TemporaryFolder()
        shell(
            "mkdir '\(certificates.path)/\(to.host)' && cp '\(registry.folder.path)/ca.pem' '\(certificates.path)/\(to.host)/ca.crt'"
        )
        try await Bench.run {
            $0.certificateFolders = [certificates.path]
        } _: { bench in
            let report = try await bench.pull("\(to)")
            #expect(report.digest == image.digest)
        }
    }
}
