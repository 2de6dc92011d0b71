import Foundation
import ImageFormat
import Model
import Testing
import TestKit

@Suite struct ImageTests {
    static let config = ImageConfig(
        architecture: .amd64, user: "1000:1000", command: ["/bin/hello", "a \"b\"\n"],
        environment: ["PATH": "/bin", "A": "1=2", "B": "ü/\\"], workingDirectory: "/srv")

    static func layer(_ path: String) throws -> ImageLayer {
        let writer = try LayerWriter(path: path)
        try writer.append(TarEntry(path: "bin", kind: .directory, mode: 0o755))
        let text = Array(repeating: "hello world ", count: 50_000).joined()
        try writer.append(
            TarEntry(path: "bin/hello", kind: .file, mode: 0o755, size: text.utf8.count, modifiedAt: 5),
            content: Array(text.utf8))
        try writer.append(TarEntry(path: "bin/hi", kind: .symlink, link: "hello"))
        return try writer.finish()
    }

    @Test func `a layer's digests are those of its bytes, and always the same`() throws {
        let folder = try TemporaryFolder()
        let layer = try ImageTests.layer(folder("a"))
        let bytes = try contents(folder("a"))
        #expect(
            layer
                == ImageLayer(
                    digest: .sha256(bytes), size: bytes.count, diffID: .sha256(try decompress(bytes))))
        #expect(try ImageTests.layer(folder("b")) == layer)
        #expect(code { _ = try LayerWriter(path: folder("a")) } == .conflict)
        do {
            let unfinished = try LayerWriter(path: folder("c"))
            try unfinished.append(TarEntry(path: "x", kind: .directory))
        }
        #expect(!FileManager.default.fileExists(atPath: folder("c")))
    }

    @Test func `documents come back as the same image, and their bytes never change`() throws {
        let layer = ImageLayer(digest: .sha256([1]), size: 7, diffID: .sha256([2]))
        let made = OCIImage.documents(
            config: ImageTests.config, layers: [layer], annotations: ["b": "1", "a": "2"])
        #expect(try OCIImage.image(manifest: made.manifest, config: made.config) == made.image)
        #expect(made.image.digest == .sha256(made.manifest))
        let text = String(decoding: made.config, as: UTF8.self)
        #expect(
            text.hasPrefix(
                #"{"architecture":"amd64","config":{"Cmd":["/bin/hello","a \"b\"\u000a"],"#
                    + #""Env":["A=1=2","B=ü/\\","PATH=/bin"],"User":"1000:1000","WorkingDir":"/srv"},"#
                    + #""created":"1970-"#
            ))
        var other = made.config
        other[other.count - 3] ^= 1
        #expect(code { _ = try OCIImage.image(manifest: made.manifest, config: other) } == .hashMismatch)
    }

    @Test(arguments: [
        "", "{", "[]", "{\"a\":1,\"a\":2}", "nul", "{\"a\" 1}", "\"\\ud800\"", "01", "1.", "[1,]", "{}x",
        "\"\u{1}\"",
        String(repeating: "[", count: 100_000),
    ])
    func `broken JSON is refused`(_ text: String) {
        #expect(code { _ = try OCIManifest(parsing: Array(text.utf8)) } == .corruptArchive)
    }

    @Test func `skopeo and umoci take every format`() throws {
        let folder = try TemporaryFolder()
        let layer = try ImageTests.layer(folder("layer"))
        let made = OCIImage.documents(config: ImageTests.config, layers: [layer])
        for format in ImageExport.Format.allCases {
            for _ in 0..<(format == .ociDirectory ? 1 : 2) {
                try ImageExport.export(
                    manifest: made.manifest, config: made.config, layers: [(layer, folder("layer"))],
                    name: "hello:v1", format: format, to: folder(format.rawValue))
            }
        }
        #expect(
            code {
                try ImageExport.export(
                    manifest: made.manifest, config: made.config, layers: [(layer, folder("layer"))],
                    name: "hello:v1", format: .ociDirectory, to: folder("oci-dir"))
            } == .conflict)
        if try run("skopeo", "--version") != nil {
            let directory = try #require(try run("skopeo", "inspect", "oci:\(folder("oci-dir")):v1"))
            #expect(directory.contains(made.image.digest.description))
            let archive = try #require(
                try run("skopeo", "inspect", "oci-archive:\(folder("oci-archive")):v1"))
            #expect(archive.contains(made.image.digest.description))
            let docker = try #require(
                try run("skopeo", "inspect", "docker-archive:\(folder("docker-archive"))"))
            #expect(docker.contains(layer.diffID.hex))
            let copied = try run(
                "skopeo", "--insecure-policy", "copy", "docker-archive:\(folder("docker-archive"))",
                "oci:\(folder("copy")):v1")
            #expect(copied != nil)
        }
        if try run("umoci", "--version") != nil {
            _ = try #require(
                try run(
                    "umoci", "unpack", "--rootless", "--image", "\(folder("oci-dir")):v1", folder("bundle")))
            #expect(try contents(folder("bundle/rootfs/bin/hello")).count == 600_000)
        }
        try write([1, 2, 3], folder("layer"))
        #expect(
            code {
                try ImageExport.export(
                    manifest: made.manifest, config: made.config, layers: [(layer, folder("layer"))],
                    name: "hello", format: .ociArchive, to: folder("broken"))
            } == .storeDamaged)
        #expect(
            try FileManager.default.contentsOfDirectory(atPath: folder.path).allSatisfy {
                !$0.contains("partial")
            })
    }
}
