import ImageFormat
import Model
import RegistryClient
import TestKit
import Testing

@Suite struct ImageDocumentTests {
    private static let digest = "sha256:" + String(repeating: "0f", count: 32)

    static let docker = """
        {"schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
         "config": {"mediaType": "application/vnd.docker.container.image.v1+json", "size": 7, "digest": "\(digest)"},
         "layers": [{"mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip", "size": 9, "digest": "\(digest)"},
                    {"mediaType": "application/vnd.oci.image.layer.v1.tar+zstd", "size": 9, "digest": "\(digest)",
                     "annotations": {"io.example.toc": "1"}}],
         "annotations": {"a": "b"}, "subject": null, "unknown": {"x": [1.5, true]}}
        """

    static let index = """
        {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [
          {"mediaType": "application/vnd.oci.image.manifest.v1+json", "size": 1, "digest": "\(digest)",
           "platform": {"os": "linux", "architecture": "arm64", "variant": "v8"}},
          {"mediaType": "application/vnd.oci.image.manifest.v1+json", "size": 2, "digest": "\(digest)",
           "platform": {"os": "linux", "architecture": "amd64"}},
          {"mediaType": "application/vnd.oci.image.manifest.v1+json", "size": 3, "digest": "\(digest)",
           "platform": {"os": "unknown", "architecture": "unknown"},
           "annotations": {"vnd.docker.reference.type": "attestation-manifest"}}]}
        """

    @Test func `a foreign manifest keeps its bytes and so its digest`() throws {
        let bytes = Array(ImageDocumentTests.docker.utf8)
        let document = try ImageDocument(bytes, mediaType: "text/plain")
        #expect(document.bytes == bytes)
        #expect(document.digest == .sha256(bytes))
        #expect(document.mediaType == "application/vnd.docker.distribution.manifest.v2+json")
        guard case .manifest(let blobs) = document.content else { Issue.record("no manifest"); return }
        #expect(blobs.map(\.size) == [7, 9, 9])
        #expect(try OCIManifest(parsing: bytes).layers.count == 2)
    }

    @Test func `the platform is chosen from an index, and attestations never are`() throws {
        let document = try ImageDocument(Array(ImageDocumentTests.index.utf8))
        guard case .index(let entries) = document.content else { Issue.record("no index"); return }
        func size(_ text: String) throws -> Int {
            try PlatformChoice.best(try OCIPlatform(parsing: text), in: entries).size
        }
        #expect(try size("linux/amd64") == 2)
        #expect(try size("linux/arm64") == 1)
        #expect(try size("linux/arm64/v8") == 1)
        for missing in ["linux/arm64/v7", "linux/s390x", "windows/amd64", "unknown/unknown"] {
            let failure = #expect(throws: Failure.self) { try size(missing) }
            #expect(failure?.message.contains("linux/amd64, linux/arm64/v8") ?? false)
        }
    }

    @Test(arguments: [
        "{}", #"{"schemaVersion": 1, "layers": []}"#, #"{"schemaVersion": 2}"#,
        #"{"schemaVersion": 2, "mediaType": "application/x", "layers": []}"#,
        #"{"schemaVersion": 2, "layers": [], "config": {"mediaType": "x", "size": -1, "digest": "\#(digest)"}}"#,
        #"{"schemaVersion": 2, "layers": [], "config": {"mediaType": "x", "size": 9223372036854775807, "digest": "\#(digest)"}}"#,
        #"{"schemaVersion": 2, "layers": [], "config": {"mediaType": "x", "size": 1, "digest": "sha512:00"}}"#,
        #"{"schemaVersion": 2, "layers": [], "layers": []}"#,
    ]) func `what is no image's document is refused`(text: String) {
        #expect(throws: Failure.self) { try ImageDocument(Array(text.utf8)) }
    }

    @Test(arguments: 0..<1500) func `no damage of a manifest, index or config stops a parser`(seed: UInt64)
        throws
    {
        var random = SeededGenerator(seed: seed)
        let config = OCIConfig(
            config: ImageConfig(
                architecture: .amd64, user: "0:0", command: ["a"], environment: ["A": "b"],
                workingDirectory: "/"),
            diffIDs: [.sha256([1])]
        ).bytes
        for text in [Array(ImageDocumentTests.docker.utf8), Array(ImageDocumentTests.index.utf8), config] {
            let bytes = Mutation.of(text, &random)
            if let document = try? ImageDocument(bytes) {
                #expect(document.bytes == bytes)
                if case .index(let entries) = document.content {
                    _ = try? PlatformChoice.best(.native, in: entries)
                }
            }
            if let manifest = try? OCIManifest(parsing: bytes) {
                _ = try? OCIImage.image(manifest: bytes, config: config).size
                #expect(manifest.layers.count <= OCIManifest.Limit.layers)
            }
            _ = try? OCIConfig(parsing: bytes)
        }
    }

    @Test func `a referrer is listed once`() throws {
        let one = OCIDescriptor(mediaType: OCIDescriptor.manifestType, digest: .sha256([1]), size: 1)
        let two = OCIDescriptor(mediaType: OCIDescriptor.manifestType, digest: .sha256([2]), size: 2)
        let first = try #require(try ReferrersIndex.adding(one, to: OCIIndex(manifests: [])))
        let both = try #require(try ReferrersIndex.adding(two, to: first))
        #expect(both.manifests == [one, two])
        #expect(try ReferrersIndex.adding(two, to: both) == nil)
        var annotated = one
        annotated.annotations = ["a": "b"]
        #expect(try ReferrersIndex.adding(annotated, to: both)?.manifests == [two, annotated])
    }
}
