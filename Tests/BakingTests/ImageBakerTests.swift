import Glibc
import ImageFormat
import Model
import Testing
import TestKit

@testable import Baking

/// One image of three packages made here, baked in many circumstances.
@Suite struct ImageBakerTests {

    /// User mask, time zone and locale belong to a whole process: Tests/Integration varies them.
    @Test func `the same inputs give the same bytes, whatever the folder and the store`() async throws {
        let first = try await BakeBench().bake()
        let second = try await BakeBench().bake()
        #expect(first.image == second.image)
        #expect(!second.wasCached)
    }

    @Test func `users, modes and times are those of the packages and scripts`() async throws {
        let bench = try BakeBench()
        let result = try await bench.bake()
        #expect(result.warnings.isEmpty)
        #expect(result.image.config.user == "100:100")
        #expect(result.image.config.environment["PATH"]?.contains("/usr/bin") == true)
        let entries = try bench.entries(result.image)
        #expect(entries["bin"]?.link == "usr/bin")
        #expect(entries["lib"]?.link == "usr/lib")
        #expect(entries["usr/bin/server"]?.mode == 0o755)
        #expect(entries["usr/bin/server"]?.modifiedAt == PackageMaker.date)
        #expect(entries["var/lib/server"]?.mode == 0o2750)
        #expect(entries["var/lib/server"]?.uid == 100)
        #expect(entries["var/lib/server"]?.gid == 4)
        #expect(entries["etc/key"]?.mode == 0o640)
        #expect(entries["etc/key"]?.uid == 100)
        #expect(entries["etc/key"]?.gid == 4)
        #expect(entries["etc/shadow"]?.mode == 0o640)
        #expect(entries["etc/shadow"]?.gid == 42)
        #expect(entries["var/lib/dpkg/status.d/server"]?.kind == .file)
        #expect(entries["etc/machine-id"] == nil)
        #expect(entries.values.filter { $0.kind == .directory }.allSatisfy { $0.modifiedAt == 0 })
    }

    @Test func `the files that runtimes mount those of an instance over are there`() async throws {
        let bench = try BakeBench()
        let entries = try bench.entries(try await bench.bake().image)
        for path in ["etc/hosts", "etc/hostname", "etc/resolv.conf"] {
            #expect(entries[path]?.kind == .file, "\(path)")
            #expect(entries[path]?.mode == 0o644, "\(path)")
        }
    }

    /// é as one character and as two: Unicode calls them the same, file systems do not.
    @Test func `names that differ in their bytes only are two files, of packages and of the recipe`()
        async throws
    {
        let (one, two) = ("caf\u{e9}", "cafe\u{301}")
        var packages = PackageMaker.small
        packages[0].file("usr/share/\(one)", "composed")
        packages[0].file("usr/share/\(two)", "apart")
        let bench = try BakeBench(packages)
        for name in [one, two] { try bench.folder.write("spec/names/\(name)", name) }
        let recipe = try bench.recipe(files: [FileRule(from: "names/", to: "/srv")])
        let image = try await bench.bake(recipe, packages: packages).image
        let tree = try ImageContents(image.digest, store: bench.store).tree
        for (path, text) in [
            ("usr/share/\(one)", "composed"), ("usr/share/\(two)", "apart"), ("srv/\(one)", one),
            ("srv/\(two)", two),
        ] {
            let file = try tree.file(at: path)
            #expect(file.map { Array($0.content) } == Array(text.utf8), "\(path)")
        }
        #expect(
            try ImageContents(image.digest, store: bench.store).files.keys.count { $0.hasPrefix("srv/") } == 2
        )
    }

    @Test
    func `a certificate of the recipe is trusted as those of packages are, and only where it is asked for`()
        async throws
    {
        let bench = try BakeBench()
        func make(_ name: String) async throws -> String {
            let (key, file) = (bench.folder.path + "/key.pem", bench.folder.path + "/\(name).crt")
            let made = try await CommandRunner.run(
                Command(
                    "openssl",
                    [
                        "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-subj",
                        "/CN=\(name)", "-keyout", key, "-out", file,
                    ]), package: "openssl", timeout: .seconds(60))
            #expect(made.status == 0)
            return String(decoding: try HostFiles.read(file, limit: 1 << 16), as: UTF8.self)
        }
        let (vendor, company) = (try await make("vendor"), try await make("company"))
        var trust = PackageMaker("ca-certificates")
        trust.file("usr/share/ca-certificates/vendor.crt", vendor)
        let packages = PackageMaker.small + [trust]
        try bench.folder.write("debian/pool/ca-certificates.deb", trust.bytes)
        try bench.folder.write("spec/company.pem", company)
        let before = try await bench.bake(packages: packages)
        let rule = FileRule(from: "company.pem", to: "/usr/local/share/ca-certificates/company.crt")
        let result = try await bench.bake(try bench.recipe(files: [rule]), packages: packages)
        #expect(result.notes.isEmpty)
        let tree = try ImageContents(result.image.digest, store: bench.store).tree
        let bundle = try #require(try tree.file(at: "etc/ssl/certs/ca-certificates.crt"))
        #expect(Array(bundle.content) == Array((vendor + company).utf8))
        let link = try tree.file(at: "etc/ssl/certs/company.pem")?.entry.link
        #expect(link == "/usr/local/share/ca-certificates/company.crt")
        let hash = try CertificateName.hash(pem: Array(company.utf8))
        #expect(try tree.file(at: "etc/ssl/certs/\(hash).0")?.entry.link == "company.pem")
        // Others than such recipes get the image that they always got.
        #expect(try await bench.bake(packages: packages).image == before.image)
        // Without the package that makes it trusted, it is said.
        #expect(try await bench.bake(try bench.recipe(files: [rule])).notes.count == 1)
        try bench.folder.write("spec/company.pem", "no certificate")
        let found = await failures {
            _ = try await bench.bake(try bench.recipe(files: [rule]), packages: packages)
        }
        #expect(found.first?.place == "image.files[0]" && found.first?.suggestion != nil)
    }

    @Test func `an unchanged bake answers from the store, one changed file makes one new layer`() async throws
    {
        let bench = try BakeBench()
        let first = try await bench.bake()
        let again = try await bench.bake(at: 2)
        #expect(again.wasCached)
        #expect(again.image == first.image)
        // Dated anew, so that a collection sees that it is wanted.
        #expect(try bench.store.images().map(\.bakedAt) == [Instant(milliseconds: 2)])
        try bench.folder.write("spec/site/index.html", "<h1>two</h1>")
        // What is in the store already needs no mirror.
        try bench.folder.write("debian/pool/server.deb", "gone")
        let second = try await bench.bake()
        #expect(!second.wasCached)
        #expect(second.image.layers.dropLast() == first.image.layers.dropLast())
        #expect(second.image.layers.last != first.image.layers.last)
        try bench.folder.write("spec/site/index.html", "<h1>one</h1>")
        #expect(try await bench.bake().image == first.image)
    }

    @Test func `what vanished from the store is made again, to the same digest`() async throws {
        let bench = try BakeBench()
        let first = try await bench.bake()
        for layer in first.image.layers.prefix(2) { unlink(try #require(bench.store.path(of: layer.digest))) }
        let second = try await bench.bake()
        #expect(second.image == first.image)
        #expect(first.image.layers.allSatisfy { bench.store.path(of: $0.digest) != nil })
    }

    @Test func `a damaged memory of the store is made again`() async throws {
        let bench = try BakeBench()
        let first = try await bench.bake()
        for name in HostFiles.names(in: bench.folder.path + "/store/cache") {
            try HostFiles.put(bench.folder.path + "/store/cache/" + name, [1, 2, 3])
        }
        #expect(try await bench.bake().image == first.image)
    }

    @Test func `an unknown user, a missing program and a missing folder are found together`() async throws {
        let bench = try BakeBench()
        let found = await failures {
            _ = try await bench.bake(try bench.recipe(user: "sever", command: ["srver"]))
        }
        #expect(found.map(\.place) == ["image.user", "image.command"])
        #expect(found.map(\.suggestion) == ["did you mean server?", "did you mean server?"])
        #expect(try bench.store.images().isEmpty)
    }

    @Test(arguments: ["server", "/usr/bin/server", "/bin/server", "/srv/run", "/sbin/linked"])
    func `a program is found by the path and through the links of the image`(program: String) async throws {
        let bench = try BakeBench()
        try bench.folder.write("spec/tools/run", "#!/bin/server\n", mode: 0o755)
        try bench.folder.link("spec/tools/linked", to: "run")
        let files = [FileRule(from: "tools/", to: "/srv"), FileRule(from: "tools", to: "/usr/sbin")]
        _ = try await bench.bake(try bench.recipe(command: [program], files: files))
    }

    @Test(arguments: ["/etc/server.conf", "/usr/bin", "absent", "./server", "/srv/www/index.html"])
    func `what is no program is no command`(program: String) async throws {
        let bench = try BakeBench()
        let found = await failures { _ = try await bench.bake(try bench.recipe(command: [program])) }
        #expect(found.map(\.place) == ["image.command"])
    }

    @Test func `two bakes at once on one store give the same image`() async throws {
        let bench = try BakeBench()
        let digests = try await withThrowingTaskGroup(of: Digest.self) { group in
            for _ in 0..<4 { group.addTask { try await bench.bake().image.digest } }
            return try await group.reduce(into: Set<Digest>()) { $0.insert($1) }
        }
        #expect(digests.count == 1)
        #expect(HostFiles.names(in: bench.folder.path + "/store/tmp").isEmpty)
    }

    @Test func `every step of a script that matters and is not understood is named`() async throws {
        var packages = PackageMaker.small
        packages[2].scripts["postinst"]? += "\nfrobnicate --all\nfrobnicate --more\n"
        let bench = try BakeBench(packages)
        let result = try await bench.bake(nil, packages: packages)
        #expect(result.warnings.count == 2)
        #expect(result.warnings.allSatisfy { $0.hasPrefix("server: ") })
        #expect(result.warnings.first?.contains("line 7: frobnicate --all") == true)
    }

    @Test func `two packages may hold one path only where they agree or one replaces the other`() async throws
    {
        var packages = PackageMaker.small
        var other = PackageMaker("other")
        other.file("etc/server.conf", "port 81\n")
        packages.append(other)
        let clashing = packages
        let found = await failures {
            let bench = try BakeBench(clashing)
            _ = try await bench.bake(nil, packages: clashing)
        }
        #expect(found.map(\.code) == [.conflict])
        #expect(found.first?.message.contains("other and server both hold /etc/server.conf") == true)
        // `other` comes first in the layers, and still its file counts.
        packages[3].fields = ["Replaces: server"]
        let bench = try BakeBench(packages)
        let result = try await bench.bake(nil, packages: packages)
        #expect(try content("etc/server.conf", bench, result.image) == "port 81\n")
        packages[3].fields = []
        packages[2].fields = ["Replaces: other (<< 2)"]
        let third = try BakeBench(packages)
        #expect(
            try content("etc/server.conf", third, try await third.bake(nil, packages: packages).image)
                == "port 80\n")
    }

    private func content(_ path: String, _ bench: BakeBench, _ image: Image) throws -> String {
        var tree = FileTree()
        for layer in image.layers {
            let blob = try MappedBytes(file: try #require(bench.store.path(of: layer.digest)))
            try tree.add(
                try Decompressor.decompress(blob.bytes, limit: 1 << 24, spoolFolder: bench.folder.path))
        }
        return String(decoding: try #require(try tree.file(at: path)).content, as: UTF8.self)
    }

    @Test func `where nobody says otherwise, it is UTC`() async throws {
        var zones = PackageMaker("tzdata")
        zones.file("usr/share/zoneinfo/Etc/UTC", "TZif2")
        zones.scripts["templates"] = "Template: tzdata/Areas\nType: select\nChoices: Africa, Etc\n"
        zones.scripts["postinst"] = """
            #!/bin/sh
            set -e
            . /usr/share/debconf/confmodule
            AREA=Etc
            ZONE=UTC
            db_get tzdata/Areas && AREA="$RET"
            db_get "tzdata/Zones/$AREA" && ZONE="$RET"
            ln -nsf "/usr/share/zoneinfo/$AREA/$ZONE" "$DPKG_ROOT/etc/localtime"
            echo "$AREA/$ZONE" > "$DPKG_ROOT/etc/timezone"
            """
        let packages = PackageMaker.small + [zones]
        let bench = try BakeBench(packages)
        let image = try await bench.bake(nil, packages: packages).image
        #expect(try bench.entries(image)["etc/localtime"]?.link == "/usr/share/zoneinfo/Etc/UTC")
        #expect(try content("etc/timezone", bench, image) == "Etc/UTC\n")
    }

    @Test func `many packages fit into the layers that engines take, always the same way`() async throws {
        var packages = PackageMaker.small
        for number in 0..<140 {
            var package = PackageMaker("extra\(number)")
            package.file("usr/share/extra/\(number)", String(repeating: "x", count: number))
            packages.append(package)
        }
        let bench = try BakeBench(packages)
        let first = try await bench.bake(nil, packages: packages)
        #expect(first.image.layers.count == Recipe.defaultLayerBudget)
        let entries = try bench.entries(first.image)
        for number in 0..<140 { #expect(entries["usr/share/extra/\(number)"]?.size == number) }
        let second = try await BakeBench(packages).bake(try bench.recipe(), packages: packages)
        #expect(first.image == second.image)
    }

    @Test func `an image reads back, unpacks and goes out again`() async throws {
        let bench = try BakeBench()
        let result = try await bench.bake()
        let reader = LayeredImageReader(store: bench.store)
        #expect(try reader.image(result.image.digest) == result.image)
        #expect(await failures { _ = try reader.image(.sha256([9])) }.map(\.code) == [.notFound])
        if geteuid() == 0 {
            let root = bench.folder.path + "/root"
            mkdir(root, 0o755)
            try await reader.unpack(result.image.digest, into: root)
            #expect(try HostFiles.read(root + "/usr/bin/server", limit: 100) == Array("#!/bin/true\n".utf8))
        }
        let target = bench.folder.path + "/layout"
        try ImageExporter(store: bench.store).export(
            result.image.digest, name: "test:latest", format: .ociDirectory, to: target)
        #expect(HostFiles.exists(target + "/index.json"))
    }

    @Test func `a lock that belongs to another recipe is not baked`() async throws {
        let bench = try BakeBench()
        var recipe = try bench.recipe()
        recipe.packages = [try .init(parsing: "curl")]
        let found = await failures { _ = try await bench.bake(recipe) }
        #expect(found.map(\.code) == [.lockStale])
    }
}
