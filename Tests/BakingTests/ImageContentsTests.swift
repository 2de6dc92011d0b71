import Foundation
import ImageFormat
import Model
import Testing
import TestKit

@testable import Baking

@Suite struct ImageContentsTests {
    private static func packages(_ version: String, config: String = "port 80\n") -> [PackageMaker] {
        var packages = PackageMaker.small
        packages[0].file("usr/lib/os-release", "ID=debian\nVERSION_ID=\"12\"\n")
        packages[2].version = version
        packages[2].fields = ["Source: server-src (\(version)+src)"]
        packages[2].entries.removeAll { $0.entry.path == "etc/server.conf" }
        packages[2].file("etc/server.conf", config)
        return packages
    }

    private static func contents(_ packages: [PackageMaker], files: [FileRule]? = nil, _ bench: BakeBench)
        async throws -> ImageContents
    {
        let result = try await bench.bake(try bench.recipe(files: files), packages: packages)
        return try ImageContents(result.image.digest, store: bench.store)
    }

    @Test func `an image says of which packages and layers it is made`() async throws {
        let packages = Self.packages("1.0")
        let contents = try await Self.contents(packages, try BakeBench(packages))
        #expect(contents.packages.map(\.name) == ["base-files", "base-passwd", "server"])
        #expect(contents.packages.last?.source == .init(name: "server-src", version: "1.0+src"))
        #expect(contents.distribution == ImageDistribution(id: "debian", version: "12"))
        #expect(
            contents.origins == [
                .packages(["base-files"]), .packages(["base-passwd"]), .packages(["server"]), .effects(),
                .recipe,
            ])
    }

    @Test(arguments: [
        ("/etc/server.conf", ImageContents.Origin.packages(["server"]), ["server"]),
        ("bin/server", .packages(["server"]), ["server"]), ("/etc/passwd", .effects(), []),
        ("/var/lib/server", .effects(maker: "server postinst"), []), ("/srv/www/index.html", .recipe, []),
        ("/bin", .effects(), []),
    ])
    func `what put a file into an image is told`(
        path: String, origin: ImageContents.Origin, names: [String]
    ) async throws {
        let packages = Self.packages("1.0")
        let why = try await Self.contents(packages, try BakeBench(packages)).why(path)
        #expect(why.origin == origin && why.packages == names)
    }

    @Test func `a file that is not there is not explained`() async throws {
        let packages = Self.packages("1.0")
        let contents = try await Self.contents(packages, try BakeBench(packages))
        let found = await failures { _ = try contents.why("/etc/servr.conf") }
        #expect(found.map(\.code) == [.notFound])
        #expect(found.first?.suggestion == "did you mean server.conf?")
        #expect(await failures { _ = try contents.why("/../..") }.map(\.code) == [.unsafePath])
    }

    @Test func `two images differ by what they hold and do, and not by when it was made`() async throws {
        let (before, after) = (Self.packages("1.0"), Self.packages("1.1", config: "port 81\n"))
        let first = try await Self.contents(before, try BakeBench(before))
        let second = try await Self.contents(
            after, files: [FileRule(from: "site/", to: "/srv/www")], try BakeBench(after))
        let difference = first.difference(to: second)
        #expect(
            difference.packages == [.init(name: "server", kind: .changed, from: "1.0", to: "1.1")])
        let files = difference.files.filter { !$0.path.hasPrefix("var/lib/dpkg/") }
        #expect(
            files == [
                .init(path: "etc/key", kind: .removed),
                .init(path: "etc/server.conf", kind: .changed, what: ["content"]),
            ])
        #expect(difference.config == [] && difference.layers == 5)
        // The package's layer and the recipe's; those of the other packages and of the effects are held.
        let missing = second.image.layers.filter { !first.image.layers.map(\.digest).contains($0.digest) }
        #expect(difference.layersToFetch == missing.count && missing.count == 2)
        #expect(difference.bytesToFetch == missing.reduce(0) { $0 + $1.size })
        let none = first.difference(to: first)
        #expect(none.packages == [] && none.files == [] && none.bytesToFetch == 0)
    }

    @Test func `changes of mode, owner, kind and settings are named`() async throws {
        let packages = Self.packages("1.0")
        let bench = try BakeBench(packages)
        let first = try await Self.contents(
            packages, files: [FileRule(from: "key", to: "/etc/key", mode: 0o640, owner: "server:adm")], bench)
        var recipe = try bench.recipe(
            user: nil, files: [FileRule(from: "key", to: "/etc/key", mode: 0o600, owner: "0:0")])
        recipe.environment = [:]
        let second = try ImageContents(
            try await bench.bake(recipe, packages: packages).image.digest, store: bench.store)
        let difference = first.difference(to: second)
        #expect(difference.files.map(\.path) == ["etc/key"])
        #expect(difference.files.first?.what.count == 2)
        #expect(difference.files.first?.what.first == "mode 0640 → 0600")
        #expect(difference.config.count == 2 && difference.config.last == "LANG C.UTF-8 → –")
    }

    private static func status(_ state: String, _ name: String = "libssl3") -> String {
        "Package: \(name)\nStatus: install ok \(state)\nArchitecture: amd64\nVersion: 3.0.11-1\n"
    }

    /// An image that has this at this place.
    private static func contents(_ text: String, at path: String) async throws -> ImageContents {
        let bench = try BakeBench()
        try bench.folder.write("spec/record", text)
        return try await contents(
            PackageMaker.small, files: [FileRule(from: "record", to: path)], bench)
    }

    @Test(arguments: [
        ("installed", true), ("triggers-pending", true), ("triggers-awaited", true),
        ("half-configured", true), ("unpacked", true), ("half-installed", true), ("config-files", false),
        ("not-installed", false),
    ])
    func `a package counts for as long as more of it is there than its settings`(
        state: String, counts: Bool
    ) async throws {
        let contents = try await Self.contents(Self.status(state), at: "/var/lib/dpkg/status")
        #expect(contents.packages.contains { $0.name == "libssl3" } == counts)
    }

    @Test(arguments: [
        ("/var/lib/dpkg/status", "\nno field\n", "the line is not a field", "/var/lib/dpkg/status:6"),
        ("/var/lib/dpkg/status.d/x", "\nno field\n", "the line is not a field", "/var/lib/dpkg/status.d/x:6"),
        (
            "/var/lib/dpkg/status", "\nPackage: openssl\nStatus: install ok installed\n",
            "a package lacks its name or version", "/var/lib/dpkg/status:6"
        ),
        (
            "/var/lib/dpkg/status.d/x", "#" + String(repeating: "x", count: 1 << 20),
            "it has more than 1048576 bytes", "/var/lib/dpkg/status.d/x"
        ),
    ])
    func `one record that cannot be read hides no other: nothing is told of such an image`(
        path: String, more: String, why: String, place: String
    ) async throws {
        let found = await failures { _ = try await Self.contents(Self.status("installed") + more, at: path) }
        #expect(found.map(\.code) == [.corruptArchive] && found.first?.place == place)
        #expect(found.first?.message == "the image's record of its packages cannot be read: \(why)")
    }

    @Test func `bytes that are not the image's are not told of`() async throws {
        let bench = try BakeBench()
        let image = try await bench.bake().image
        let paths = try image.layers.map { try #require(bench.store.path(of: $0.digest)) }
        // A whole layer, and another one than the image names.
        try FileManager.default.removeItem(atPath: paths[0])
        try FileManager.default.copyItem(atPath: paths[1], toPath: paths[0])
        let found = await failures { _ = try ImageContents(image.digest, store: bench.store) }
        #expect(found.map(\.code) == [.storeDamaged] && found.first?.place == paths[0])
    }
}
