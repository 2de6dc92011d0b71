import Glibc
import ImageFormat
import Model
import Testing
import TestKit

@testable import Baking

/// Recipes that build on an image of somebody else's.
@Suite struct FromImageTests {
    private struct Bench {
        let folder: TemporaryFolder
        let store: FolderStore
        let image: ForeignImage

        init(_ make: (TemporaryFolder) throws -> ForeignImage = { try ForeignImage(in: $0) }) throws {
            folder = try TemporaryFolder()
            store = try FolderStore(folder.path + "/store")
            image = try make(folder)
            try folder.write("spec/page", "one")
        }

        static func recipe(
            user: String? = nil, command: [String] = [],
            files: [FileRule] = [FileRule(from: "page", to: "/srv/page")],
            environment: [String: String] = [:], workingDirectory: String? = nil
        ) throws -> Recipe {
            Recipe(
                distribution: nil, from: try .init(parsing: "registry.example/base:v1"), files: files,
                user: user,
                command: command, workingDirectory: workingDirectory, environment: environment)
        }

        func baker(_ store: FolderStore? = nil) -> ImageBaker {
            let store = store ?? self.store
            return ImageBaker(
                store: store, puller: ForeignPuller(image: image, store: store),
                clock: { Instant(milliseconds: 1) })
        }

        func lock(_ recipe: Recipe) async throws -> Lock {
            var lock = Lock.withoutPackages(recipe)
            try await baker().lockSources(&lock, recipe)
            try await baker().settle(&lock, recipe)
            return lock
        }

        func bake(_ recipe: Recipe? = nil, into store: FolderStore? = nil) async throws -> Image {
            let recipe = try recipe ?? Bench.recipe()
            return try await baker(store).bake(
                recipe, specFolder: folder.path + "/spec", lock: try await lock(recipe),
                service: try ServiceName("test")
            ).image
        }
    }

    @Test func `the layers below come first and are those of the image, byte for byte`() async throws {
        let bench = try Bench()
        let image = try await bench.bake()
        #expect(image.layers.count == 2)
        #expect(image.layers[0].digest == bench.image.layers[0].digest)
        #expect(image.layers[0].mediaType == OCIDescriptor.plainLayerType)
        #expect(try LayeredImageReader(store: bench.store).image(image.digest) == image)
        let manifest = try OCIManifest(parsing: try bench.store.read(image.digest, limit: 1 << 20))
        #expect(manifest.layers[0] == bench.image.layers[0])
        #expect(manifest.annotations["org.opencontainers.image.base.digest"] == "\(bench.image.digest)")
        // Nobody asked to run the image below: only ours is listed.
        #expect(try bench.store.images().map(\.digest) == [image.digest])
    }

    @Test func `what every instance needs is added where the image below lacks it`() async throws {
        let rows =
            ForeignImage.base + [
                (TarEntry(path: "tmp", kind: .directory, mode: 0o700), ""),
                (TarEntry(path: "etc/hosts", kind: .file), "own"),
            ]
        let bench = try Bench { try ForeignImage(rows, in: $0) }
        let contents = try ImageContents(
            try await bench.bake(try Bench.recipe(files: [])).digest, store: bench.store)
        #expect(contents.image.layers.count == 2)
        #expect(
            ["dev", "proc", "run", "sys", "tmp"].map { contents.files[$0]?.entry.mode } == [
                0o755, 0o555, 0o755, 0o555, 0o700,
            ])
        #expect(contents.text("etc/hosts") == "own")
        #expect(contents.text("etc/resolv.conf") == "")
        // A file of the recipe goes before ours.
        let own = try await bench.bake(
            try Bench.recipe(files: [FileRule(from: "page", to: "/etc/resolv.conf")]))
        #expect(try ImageContents(own.digest, store: bench.store).text("etc/resolv.conf") == "one")
    }

    @Test func `the same lock gives the same image in another store, and a second bake is remembered`()
        async throws
    {
        let bench = try Bench()
        let first = try await bench.bake()
        let other = try FolderStore(bench.folder.path + "/other")
        #expect(try await bench.bake(into: other) == first)
        #expect(try await bench.bake() == first)
    }

    @Test func `what the recipe does not say of the start is as below, and a name is looked up there`()
        async throws
    {
        let bench = try Bench()
        let config = try await bench.bake().config
        #expect(config.user == "1000:1001")
        #expect(config.command == ["app", "serve"])
        #expect(config.workingDirectory == "/etc")
        #expect(config.environment == ["PATH": "/usr/bin", "A": "below", "B": "below"])
        let own = try await bench.bake(
            try Bench.recipe(
                user: "app:staff", command: ["/bin/old", "-v"], environment: ["B": "own"],
                workingDirectory: "/srv")
        ).config
        #expect(own.user == "1000:50")
        #expect(own.command == ["/bin/old", "-v"])
        #expect(own.workingDirectory == "/srv")
        #expect(own.environment == ["PATH": "/usr/bin", "A": "below", "B": "own"])
    }

    @Test func `an empty image below gives what an image needs, and asks for a command`() async throws {
        let bench = try Bench {
            try ForeignImage([(TarEntry(path: "app", kind: .file, mode: 0o755), "x")], in: $0, config: "{}")
        }
        let found = await failures { _ = try await bench.bake() }
        #expect(found.map(\.place) == ["image.command"])
        let config = try await bench.bake(try Bench.recipe(command: ["/app"])).config
        #expect(config.user == "0:0")
        #expect(config.workingDirectory == "/")
        #expect(config.environment["PATH"]?.contains("/usr/bin") == true)
    }

    @Test func `files follow the links of the image below, and whiteouts hide what lower layers hold`()
        async throws
    {
        let upper = ForeignImage.tar([
            (TarEntry(path: "usr/bin/.wh.old", kind: .file), ""),
            (TarEntry(path: "srv", kind: .symlink, link: "usr"), ""),
        ])
        let bench = try Bench {
            try ForeignImage(
                [
                    (ForeignImage.tar(ForeignImage.base), OCIDescriptor.plainLayerType, nil),
                    (upper, OCIDescriptor.plainLayerType, nil),
                ], in: $0)
        }
        let contents = try ImageContents(try await bench.bake().digest, store: bench.store)
        #expect(contents.text("usr/page") == "one")
        #expect(contents.files["usr/bin/old"] == nil)
        let found = await failures { _ = try await bench.bake(try Bench.recipe(command: ["old"])) }
        #expect(found.map(\.place) == ["image.command"])
    }

    @Test(arguments: ["gzip", "zstd", "plain", "docker"])
    func `layers stay in the form that they are in`(kind: String) async throws {
        let tar = ForeignImage.tar(ForeignImage.base)
        let folder = try TemporaryFolder()
        let path = try folder.write("layer", tar)
        var packed: [UInt8]?
        let type: String
        switch kind {
        case "gzip", "docker":
            type =
                kind == "gzip" ? OCIDescriptor.layerType : "application/vnd.docker.image.rootfs.diff.tar.gzip"
            _ = try await CommandRunner.run(
                Command("gzip", ["-9", path]), package: "gzip", timeout: .seconds(60))
            packed = try HostFiles.read(path + ".gz", limit: 1 << 20)
        case "zstd":
            type = OCIDescriptor.zstdLayerType
            _ = try await CommandRunner.run(
                Command("zstd", ["-q", path]), package: "zstd", timeout: .seconds(60))
            packed = try HostFiles.read(path + ".zst", limit: 1 << 20)
        default: type = OCIDescriptor.plainLayerType
        }
        let bench = try Bench {
            try ForeignImage(
                [(tar, type, packed)], in: $0,
                manifestType: kind == "docker"
                    ? "application/vnd.docker.distribution.manifest.v2+json" : OCIDescriptor.manifestType)
        }
        let image = try await bench.bake()
        let layer = try OCIManifest(parsing: try bench.store.read(image.digest, limit: 1 << 20)).layers[0]
        #expect(layer.digest == .sha256(packed ?? tar))
        #expect(layer.mediaType == (kind == "docker" ? OCIDescriptor.layerType : type))
        #expect(try bench.store.read(layer.digest, limit: 1 << 20) == packed ?? tar)
    }

    @Test func `an image can be verified, compared and listed`() async throws {
        let bench = try Bench()
        let recipe = try Bench.recipe()
        let before = try await bench.bake(recipe)
        let empty = try FolderStore(bench.folder.path + "/empty")
        let finding = try await ImageVerification(store: bench.store, empty: empty).verify(
            before.digest, recipe, specFolder: bench.folder.path + "/spec",
            lock: try await bench.lock(recipe),
            service: try ServiceName("test"))
        guard case .same = finding else {
            Issue.record("\(finding)")
            return
        }
        try bench.folder.write("spec/page", "two")
        let contents = try ImageContents(before.digest, store: bench.store)
        let after = try ImageContents(try await bench.bake(recipe).digest, store: bench.store)
        #expect(contents.packages.map(\.name) == ["libc6"])
        #expect(contents.origins == [.unknown, .recipe])
        #expect(try contents.why("/srv/page").origin == .recipe)
        let difference = contents.difference(to: after)
        #expect(difference.files.map(\.path) == ["srv/page"])
        #expect(difference.packages.isEmpty)
    }

    @Test func `a lock keeps the digest, and is stale where the recipe names another image`() async throws {
        let bench = try Bench()
        let recipe = try Bench.recipe()
        let lock = try await bench.lock(recipe)
        #expect(
            LockFile.text(lock) == """
                {
                  "architecture": "\(Architecture.native.rawValue)",
                  "from": {"digest": "\(bench.image.digest)", "name": "registry.example/base:v1"},
                  "tools": {},
                  "version": 2
                }

                """)
        #expect(try LockFile.parse(Array(LockFile.text(lock).utf8), place: "x") == lock)
        #expect(lock.staleness(for: recipe) == nil)
        var other = recipe
        other.from = try .init(parsing: "registry.example/base:v2")
        #expect(lock.staleness(for: other)?.contains("base:v2") == true)
        let pinned = "registry.example/base:v1@\(bench.image.digest)"
        other.from = try .init(parsing: pinned)
        #expect(lock.staleness(for: other)?.contains(pinned) == true)
    }

    @Test func `an image of another machine type is refused`() async throws {
        let other: Architecture = Architecture.native == .amd64 ? .arm64 : .amd64
        let bench = try Bench {
            try ForeignImage(
                [(ForeignImage.tar(ForeignImage.base), OCIDescriptor.plainLayerType, nil)], in: $0,
                architecture: other)
        }
        let found = await failures { _ = try await bench.bake() }
        #expect(found.map(\.code) == [.invalidArgument])
        #expect(found.first?.message.contains("is for \(other.rawValue)") == true)
        #expect(found.first?.place == "image.from registry.example/base:v1")
    }

    @Test func `an image with as many layers as there may be takes no files, and settings still`()
        async throws
    {
        let folders =
            ["dev", "proc", "run", "sys", "tmp"].map {
                (entry: TarEntry(path: $0, kind: .directory, mode: 0o755), text: "")
            } + MountPoints.files.map { (entry: TarEntry(path: $0.0, kind: .file), text: "") }
        let layers = (0..<127).map { number in
            (
                ForeignImage.tar(
                    (number == 0 ? ForeignImage.base + folders : []) + [
                        (TarEntry(path: "f\(number)", kind: .file), "\(number)")
                    ]),
                OCIDescriptor.plainLayerType, [UInt8]?.none
            )
        }
        let bench = try Bench { try ForeignImage(layers, in: $0) }
        let found = await failures { _ = try await bench.bake() }
        #expect(found.map(\.code) == [.conflict])
        #expect(found.first?.message.contains("127") == true)
        let image = try await bench.bake(try Bench.recipe(files: [], environment: ["C": "own"]))
        #expect(image.layers.count == 127)
        #expect(image.config.environment["C"] == "own")
    }

    @Test(arguments: [
        [(TarEntry(path: "../up", kind: .file), "x")],
        [(TarEntry(path: "l", kind: .hardLink, link: "etc/shadow"), "")],
        [(TarEntry(path: "x", kind: .file, attributes: ["trusted.overlay.opaque": [0x79]]), "")],
        [(TarEntry(path: "f", kind: .file), ""), (TarEntry(path: "f/g", kind: .file), "")],
    ])
    func `layers that reach out of the image or contradict each other are refused`(rows: [ForeignImage.Row])
        async throws
    {
        let bench = try Bench { try ForeignImage(rows, in: $0) }
        let found = await failures { _ = try await bench.bake() }
        #expect(found.map(\.code) == [.unsafePath])
        #expect(try bench.store.images().isEmpty)
    }

    @Test func `a link that leads to the top stays inside`() async throws {
        let bench = try Bench {
            try ForeignImage(
                ForeignImage.base + [(TarEntry(path: "srv", kind: .symlink, link: "../../../../tmp"), "")],
                in: $0)
        }
        let contents = try ImageContents(try await bench.bake().digest, store: bench.store)
        #expect(contents.text("tmp/page") == "one")
    }

    @Test func `a layer that is not what the config says is refused`() async throws {
        let (tar, other) = (ForeignImage.tar(ForeignImage.base), ForeignImage.tar([]))
        let bench = try Bench { try ForeignImage([(tar, OCIDescriptor.plainLayerType, other)], in: $0) }
        let found = await failures { _ = try await bench.bake() }
        #expect(found.map(\.code) == [.corruptArchive])
    }

    @Test func `an unknown user of the image below is blamed on it`() async throws {
        let bench = try Bench {
            try ForeignImage(
                in: $0, config: #"{"User": "nobody9", "Cmd": ["app"], "Env": ["PATH=/usr/bin"]}"#)
        }
        let found = await failures { _ = try await bench.bake() }
        #expect(found.map(\.place) == ["image.from"])
        #expect(try await bench.bake(try Bench.recipe(user: "1000")).config.user == "1000:1001")
    }
}

extension ImageContents {
    /// A file as text; nil where there is none. The bytes live only as long as the contents.
    func text(_ path: String) -> String? {
        withExtendedLifetime(self) { files[path].map { String(decoding: $0.content, as: UTF8.self) } }
    }
}
