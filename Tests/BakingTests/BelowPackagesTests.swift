import Foundation
import Glibc
import ImageFormat
import Model
import Testing
import TestKit

@testable import Baking

/// Debian packages put on an image of somebody else's.
@Suite struct BelowPackagesTests {
    private struct Bench {
        let bench: BakeBench
        let image: ForeignImage

        init(_ packages: [PackageMaker], _ rows: [ForeignImage.Row] = BelowPackagesTests.debian) throws {
            bench = try BakeBench(packages)
            image = try ForeignImage(rows, in: bench.folder, config: #"{"Env": ["PATH=/usr/bin"]}"#)
        }

        var baker: ImageBaker {
            ImageBaker(
                store: bench.store, host: HostApt(root: bench.folder.path + "/host"),
                puller: ForeignPuller(image: image, store: bench.store), clock: { Instant(milliseconds: 1) })
        }

        func recipe(user: String? = nil, command: [String] = ["server"]) throws -> Recipe {
            var recipe = try bench.recipe(user: user, command: command, files: [])
            recipe.from = try .init(parsing: "registry.example/debian:12")
            return recipe
        }

        func bake(_ packages: [PackageMaker], _ recipe: Recipe? = nil) async throws -> BakeResult {
            let recipe = try recipe ?? self.recipe()
            var lock = try PackageMaker.lock(packages)
            try await baker.lockSources(&lock, recipe)
            try await baker.settle(&lock, recipe)
            #expect(try LockFile.parse(Array(LockFile.text(lock).utf8), place: "x") == lock)
            return try await baker.bake(
                recipe, specFolder: bench.folder.path + "/spec", lock: lock, service: try ServiceName("test"))
        }

        func contents(_ result: BakeResult) throws -> ImageContents {
            try ImageContents(result.image.digest, store: bench.store)
        }
    }

    private static let debian: [ForeignImage.Row] = [
        (TarEntry(path: "bin", kind: .symlink, link: "usr/bin"), ""),
        (TarEntry(path: "sbin", kind: .symlink, link: "usr/sbin"), ""),
        (TarEntry(path: "lib", kind: .symlink, link: "usr/lib"), ""),
        (TarEntry(path: "etc", kind: .directory, mode: 0o751), ""),
        (
            TarEntry(path: "etc/passwd", kind: .file),
            "root:x:0:0:root:/root:/bin/bash\ndaemon:x:1:1::/:/bin/sh\n_apt:x:100:65534::/:/bin/false\n"
        ),
        (TarEntry(path: "etc/group", kind: .file), "root:x:0:\nadm:x:4:\nshadow:x:42:\nmine:x:101:\n"),
        (TarEntry(path: "etc/server.conf", kind: .file), "left behind"),
        (TarEntry(path: "usr/bin/awk", kind: .symlink, link: "/etc/alternatives/awk"), ""),
        (TarEntry(path: "etc/alternatives/awk", kind: .symlink, link: "/usr/bin/mawk"), ""),
        (TarEntry(path: "usr/bin/mawk", kind: .file, mode: 0o755), "mawk"),
        (
            TarEntry(path: "var/lib/dpkg/alternatives/awk", kind: .file),
            "auto\n/usr/bin/awk\n\n/usr/bin/mawk\n5\n\n"
        ),
        (
            TarEntry(path: "var/lib/dpkg/status", kind: .file),
            """
            Package: libc6
            Status: install ok installed
            Architecture: all
            Version: 2.36-9

            Package: gone
            Status: deinstall ok config-files
            Architecture: all
            Version: 1

            """
        ),
    ]

    private static var server: PackageMaker { PackageMaker.small[2] }

    @Test func `accounts go on from those of the image, and files lie over it`() async throws {
        let bench = try Bench([BelowPackagesTests.server])
        let result = try await bench.bake([BelowPackagesTests.server], try bench.recipe(user: "server"))
        #expect(result.warnings.isEmpty)
        let contents = try bench.contents(result)
        func text(_ path: String) -> String { contents.text(path) ?? "" }
        // 100 is a user of the image, 101 a group.
        #expect(result.image.config.user == "102:102")
        #expect(text("etc/passwd").contains("_apt:x:100:65534"))
        #expect(text("etc/passwd").contains("server:x:102:102"))
        #expect(text("etc/group").contains("mine:x:101"))
        #expect(contents.files["var/lib/server"]?.entry.uid == 102)
        #expect(text("etc/server.conf") == "port 80\n")
        #expect(contents.files["etc"]?.entry.mode == 0o751)
        #expect(contents.files["usr/bin/server"]?.entry.mode == 0o755)
        #expect(result.image.layers[0].digest == bench.image.layers[0].digest)
        #expect(result.image.layers[0].mediaType == OCIDescriptor.plainLayerType)
    }

    @Test func `the packages of both are listed, and layers are told apart`() async throws {
        let bench = try Bench([BelowPackagesTests.server])
        let contents = try bench.contents(try await bench.bake([BelowPackagesTests.server]))
        #expect(contents.packages.map(\.name) == ["libc6", "server"])
        #expect(contents.origins == [.unknown, .packages(["server"]), .effects()])
    }

    @Test func `the same lock gives the same image, also from what is remembered`() async throws {
        let bench = try Bench([BelowPackagesTests.server])
        let first = try await bench.bake([BelowPackagesTests.server])
        #expect(
            try await Bench([BelowPackagesTests.server]).bake([BelowPackagesTests.server]).image
                == first.image)
        // The base is remembered, the image is not: another command.
        let other = try await bench.bake(
            [BelowPackagesTests.server], try bench.recipe(command: ["server", "--more"]))
        #expect(other.image.layers == first.image.layers)
        let empty = try FolderStore(bench.bench.folder.path + "/empty")
        var lock = try PackageMaker.lock([BelowPackagesTests.server])
        try await bench.baker.lockSources(&lock, try bench.recipe())
        try await bench.baker.settle(&lock, try bench.recipe())
        let finding = try await ImageVerification(
            store: bench.bench.store, empty: empty, host: HostApt(root: bench.bench.folder.path + "/host")
        ).verify(
            first.image.digest, try bench.recipe(), specFolder: bench.bench.folder.path + "/spec", lock: lock,
            service: try ServiceName("test"))
        guard case .same = finding else {
            Issue.record("\(finding)")
            return
        }
    }

    @Test(arguments: [(4, "/usr/bin/mawk"), (6, "/usr/bin/other")])
    func `an alternative of the image stays unless a new one goes before it`(priority: Int, target: String)
        async throws
    {
        var other = PackageMaker("other")
        other.file("usr/bin/other", "x", mode: 0o755)
        other.scripts["postinst"] =
            "#!/bin/sh\nupdate-alternatives --install /usr/bin/awk awk /usr/bin/other \(priority)\n"
        let bench = try Bench([other])
        let contents = try bench.contents(try await bench.bake([other], try bench.recipe(command: ["awk"])))
        #expect(contents.files["etc/alternatives/awk"]?.entry.link == target)
    }

    @Test func `what the image records of alternatives is read`() {
        let text =
            "manual\n/usr/bin/awk\nawk.1.gz\n/usr/share/man/awk.1.gz\n\n/usr/bin/gawk\n10\n/usr/share/man/gawk.1.gz\n/usr/bin/mawk\n5\n\n\n"
        let record = AlternativeRecord(text)
        #expect(record?.isManual == true)
        #expect(record?.priority == 10)
        #expect(AlternativeRecord("") == nil)
        #expect(AlternativeRecord("auto\n/usr/bin/awk\n\n\n") == nil)
    }

    @Test func `an image that cannot take packages is refused with a reason`() async throws {
        let parted =
            BelowPackagesTests.debian.filter { $0.entry.path != "bin" } + [
                (TarEntry(path: "bin/sh", kind: .file, mode: 0o755), "x")
            ]
        let silent = BelowPackagesTests.debian.filter { !$0.entry.path.hasPrefix("var/lib/dpkg") }
        for (rows, word) in [(parted, "/bin"), (silent, "which packages")] {
            let bench = try Bench([], rows)
            var lock = Lock.withoutPackages(try bench.recipe())
            try await bench.baker.lockSources(&lock, try bench.recipe())
            let found = await failures { _ = try await bench.baker.statusBelow(lock, try bench.recipe()) }
            #expect(found.map(\.code) == [.conflict])
            #expect(found.first?.message.contains(word) == true, "\(found)")
        }
    }

    @Test func `apt chooses what the image lacks, and leaves what it has`() async throws {
        let folder = try TemporaryFolder()
        let keyring = try await LocalArchive.makeKey(in: folder.path)
        let archive = LocalArchive(folder: folder.path + "/archive", suite: "bookworm", keyring: keyring)
        var libc = PackageMaker("libc6")
        libc.version = "2.36-10"
        var server = BelowPackagesTests.server
        server.fields = ["Depends: libc6 (>= 2.36), library"]
        try await archive.publish([libc, server, PackageMaker("library")])
        let bench = try Bench([])
        var recipe = try bench.recipe()
        recipe.packages = [try .init(parsing: "server")]
        recipe.sources = [archive.source]
        var sources = Lock.withoutPackages(recipe)
        try await bench.baker.lockSources(&sources, recipe)
        let status = try await bench.baker.statusBelow(sources, recipe)
        #expect(status?.contains("gone") == false)
        let solver = PackageSolver(store: bench.bench.store)
        let lock = try await solver.lock(recipe, installed: status)
        #expect(lock.packages.map(\.name) == ["library", "server"])
        // What needs a newer package than the image has cannot be: nothing of the image is replaced.
        server.fields = ["Depends: libc6 (>= 2.36-10)"]
        try await archive.publish([libc, server])
        #expect(await failures { _ = try await solver.lock(recipe, installed: status) }.count == 1)
        try await LocalArchive.forgetKey(in: folder.path)
    }
}
