import Foundation
import Model
import TestKit
import Testing
import Trust

@testable import CommandLineTool

/// What is said of where an image comes from: nothing is called clean that no commit has.
@Suite final class GitSourceTests {
    private let folder = NSTemporaryDirectory() + "kiln-git-\(UUID().uuidString)"

    private static let spec = """
        kiln: 1
        service: hello
        image:
          include: [parts/base.yaml]
          distribution: debian/bookworm
          files: [{from: "site[1]/", to: /srv/www}]
          build:
            - {packages: [make], files: [{from: src/, to: /src}], run: [make], copy: [{from: /out, to: /out}]}
          command: [/out/server]
        run: {port: 8080, health: {path: /}}
        listen: 127.0.0.1:8000

        """

    init() throws {
        for (name, text) in [
            ("kiln.yaml", Self.spec), ("parts/base.yaml", "packages: [libc6]\n"), ("kiln.lock", "{}"),
            ("site[1]/index.html", "one"), ("src/main.c", "int main;"), ("notes", "nobody's"),
        ] {
            try write(name, text)
        }
        git("init -q -b main")
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    private func write(_ name: String, _ text: String) throws {
        let file = URL(fileURLWithPath: "\(folder)/\(name)")
        try FileManager.default.createDirectory(
            at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data(text.utf8).write(to: file)
    }

    private func git(_ arguments: String) {
        shell(
            "cd '\(folder)' && export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b.example GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b.example && git \(arguments)"
        )
    }

    private var isDirty: Bool? {
        get throws { try GitSource(SpecReading(folder + "/kiln.yaml")).source()?.isDirty }
    }

    @Test func `what makes the image is all that the reading names`() throws {
        let reading = try SpecReading(folder + "/kiln.yaml")
        #expect(
            reading.inputs == ["kiln.yaml", "parts/base.yaml", "kiln.lock", "site[1]/", "src/"])
        #expect(
            reading.texts.map(\.sha256) == [
                Digest.sha256(of: Array(Self.spec.utf8)), .sha256(of: Array("packages: [libc6]\n".utf8)),
            ])
    }

    @Test(.enabled(if: shell("command -v git").status == 0, "skipped: no git"))
    func `what is committed is clean, and an ignored file that the image does not need changes nothing`()
        throws
    {
        try write(".gitignore", "notes\n")
        git("add -A && git commit -q -m first")
        #expect(try isDirty == false)
    }

    @Test(
        .enabled(if: shell("command -v git").status == 0, "skipped: no git"),
        arguments: ["kiln.yaml", "kiln.lock", "parts/", "site[[]1]", "src/"])
    func `an input that Git ignores is in no commit`(input: String) throws {
        try write(".gitignore", "notes\n\(input)\n")
        git("add -A && git commit -q -m first")
        #expect(try isDirty == true)
    }

    @Test(arguments: [
        (
            "registry.example/library/base:v1",
            "pkg:oci/base@sha256:D?repository_url=registry.example/library/base&tag=v1"
        ),
        ("registry.example:5000/Team/base", "pkg:oci/base@sha256:D"),
        ("oci:../layouts/Base:v1", "pkg:oci/base@sha256:D"),
        ("docker-archive:base.tar", "pkg:oci/base.tar@sha256:D"),
        ("dockerfile:Dockerfile", "pkg:oci/dockerfile@sha256:D"),
    ])
    func `the image below is named by a URI`(name: String, uri: String) throws {
        let digest = Digest.sha256(of: Array("below".utf8))
        #expect(
            ProvenanceRecord.uri(of: Lock.BaseImage(name: name, digest: digest))
                == uri.replacing("sha256:D", with: "\(digest)"))
    }

    @Test func `packages of build steps are among what went into an image, each once`() throws {
        func package(_ name: String, _ version: String = "1") -> Lock.Package {
            Lock.Package(
                name: name, version: version, architecture: "amd64", archive: "debian",
                path: "pool/\(name).deb", size: 1, sha256: .sha256(of: Array((name + version).utf8)))
        }
        func lock(_ suite: String, _ packages: [Lock.Package], builds: [Lock] = []) throws -> Lock {
            Lock(
                distribution: try .init(parsing: suite), architecture: .amd64, base: .minimal, requested: [],
                archives: [], packages: packages, layers: [], builds: builds)
        }
        let whole = try lock(
            "debian/bookworm", [package("libc6"), package("server")],
            builds: [
                try lock("debian/bookworm", [package("libc6"), package("make"), package("server", "2")]),
                try lock("ubuntu/noble", [package("gcc")]),
            ])
        let found = ProvenanceRecord.packages(
            whole,
            installed: [
                "server": InstalledPackage(
                    name: "server", version: "1", architecture: "amd64",
                    source: .init(name: "src", version: "1"))
            ], ImageDistribution(id: "debian", version: "12"))
        #expect(
            found.map(\.uri) == [
                "pkg:deb/debian/libc6@1?arch=amd64&distro=debian-12",
                "pkg:deb/debian/server@1?arch=amd64&distro=debian-12&upstream=src",
                "pkg:deb/debian/make@1?arch=amd64&distro=debian-12",
                "pkg:deb/debian/server@2?arch=amd64&distro=debian-12",
                "pkg:deb/ubuntu/gcc@1?arch=amd64&distro=ubuntu-noble",
            ])
    }

    @Test(arguments: [
        ("https://ci.example/runner", true), ("urn:ci", true), ("ci", false), (":x", false), ("x:", false),
        ("1a:b", false), ("https://ci example", false),
    ])
    func `a builder is a URI, or nothing is signed`(text: String, isURI: Bool) throws {
        #expect(BuilderOptions.isURI(text) == isURI)
        var options = BuilderOptions()
        options.builder = text
        if isURI {
            #expect(try options.stated == text)
        } else {
            let refused = #expect(throws: Failure.self) { try options.stated }
            #expect(refused?.code == .invalidArgument && refused?.place == "--builder")
        }
    }

    @Test func `a builder without anything that is signed is refused`() async throws {
        for arguments in [["bake"], ["deploy"], ["image", "sign", "hello", "--key", "k"]] {
            let adapters = Adapters(
                openStore: { throw Failure(.notFound, "no store", at: $0) }, imagesInUse: { _ in [] },
                openLedger: { root, _ in throw Failure(.notFound, "no ledger", at: root) }, serve: { _ in },
                examineHost: { [] })
            #expect(
                await KilnCommand.run(arguments + ["--builder", "https://ci.example"], with: adapters) == 2)
        }
    }
}
