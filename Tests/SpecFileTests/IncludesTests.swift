import Model
import Testing

@testable import SpecFile

@Suite struct IncludesTests {
    private static let head = "kiln: 1\nservice: hello\nrun: {port: 80}\nimage:\n"

    private func parse(_ image: String, _ files: [String: String], file: String = "kiln.yaml") throws
        -> Recipe
    {
        try SpecFile.parse(IncludesTests.head + image, file: file) { path in
            guard let text = files[path] else { throw Failure(.fileMissing, "there is no such file") }
            return text
        }.image
    }

    /// Each problem as `place: message`.
    private func problems(_ image: String, _ files: [String: String], file: String = "kiln.yaml") -> [String]
    {
        do {
            _ = try parse(image, files, file: file)
            return []
        } catch {
            return Failure.list(error).map { "\($0.place ?? "?"): \($0.message)" }
        }
    }

    @Test func `lists are joined, variables merged, and of single values the nearer counts`() throws {
        let recipe = try parse(
            """
              include: [../shared/base.yaml, local.yaml]
              packages: [nginx-light]
              files: [{from: site/, to: /srv/www}]
              environment: {B: own, C: own}
              user: www-data
            """,
            [
                "../shared/base.yaml": """
                distribution: debian/bookworm
                packages: [ca-certificates]
                files: [{from: certs/, to: /etc/certs}]
                environment: {A: base, B: base}
                user: nobody
                command: [nginx]
                """,
                "local.yaml": "packages: [tzdata]\ncommand: [nginx, -g, daemon off;]\n",
            ])
        #expect(recipe.packages.map(\.name) == ["ca-certificates", "tzdata", "nginx-light"])
        #expect(
            recipe.files == [
                FileRule(.local(path: "certs/", folder: "../shared"), to: "/etc/certs"),
                FileRule(from: "site/", to: "/srv/www"),
            ])
        #expect(recipe.environment == ["A": "base", "B": "own", "C": "own"])
        #expect(recipe.user == "www-data")
        #expect(recipe.command == ["nginx", "-g", "daemon off;"])
        #expect(recipe.distribution?.description == "debian/bookworm")
    }

    @Test func `of two entries for one thing in two files, that of the nearer file counts`() throws {
        let recipe = try parse(
            "  include: [a.yaml]\n  packages: [curl=2]\n  files: [{from: own, to: /x}]\n  mirror: https://own.example/debian\n",
            [
                "a.yaml": "distribution: debian/sid\ncommand: [x]\npackages: [wget, curl=1]\n"
                    + "files: [{from: far, to: /x}]\nsources: [{uri: https://far.example/debian, suites: [sid]}]\n"
            ])
        #expect(recipe.packages.map(\.description) == ["wget", "curl=2"])
        #expect(recipe.files == [FileRule(from: "own", to: "/x")])
        #expect(recipe.sources.map(\.uri) == ["https://own.example/debian"])
    }

    @Test func `a file that is included on two ways counts once`() throws {
        let recipe = try parse(
            "  include: [a/a.yaml, b/b.yaml]\n  command: [x]\n",
            [
                "a/a.yaml": "include: [../base.yaml]\npackages: [aa]\n",
                "b/b.yaml": "include: [../base.yaml]\npackages: [bb]\n",
                "base.yaml": "distribution: debian/bookworm\npackages: [base-files]\n",
            ])
        #expect(recipe.packages.map(\.name) == ["base-files", "aa", "bb"])
    }

    @Test func `every problem is named with its own file and line, those of the spec first`() {
        let found = problems(
            "  include: [../shared/base.yaml]\n  pakages: [x]\n  user: W W\n  packages: [curl, curl]\n",
            [
                "../shared/base.yaml":
                    "distribution: debian/bookworm\n\ncommand: nginx\nuser: [a]\npackages:\n  - UPPER\n  - a b\nlayer: 3\n"
            ], file: "services/web/kiln.yaml")
        #expect(
            found == [
                "services/web/kiln.yaml:6: \"pakages\" is not a key of image",
                "services/web/kiln.yaml:7: user is \"W W\"; a user name or number of the image is needed",
                "services/shared/base.yaml:3: command is one text; a list of words is needed",
                "services/shared/base.yaml:4: user is a list; a text is needed",
                "services/shared/base.yaml:6: an entry of packages is wrong: \"UPPER\" is not a package",
                "services/shared/base.yaml:7: an entry of packages is wrong: \"a b\" is not a package",
                "services/shared/base.yaml:8: \"layer\" is not a key of image",
            ])
    }

    @Test func `a scratch mount that hides an included file says where that one stands`() {
        let text = IncludesTests.head.replacing("{port: 80}", with: "{port: 80, scratch: [/srv]}")
        let found = #expect(throws: Failures.self) {
            try SpecFile.parse(text + "  include: [a.yaml]\n", file: "kiln.yaml") { _ in
                "distribution: debian/sid\ncommand: [x]\nfiles:\n  - {from: a, to: /srv/a}\n"
            }
        }
        #expect(found?.all.map(\.message) == ["scratch \"/srv\" would hide \"/srv/a\" of line 4 of a.yaml"])
    }

    @Test(arguments: [
        (
            "a.yaml", ["a.yaml": "include: [a.yaml]"],
            "a.yaml:1: files include each other in a circle: a.yaml → a.yaml"
        ),
        (
            "a.yaml", ["a.yaml": "include: [x/b.yaml]", "x/b.yaml": "\ninclude: [../a.yaml]"],
            "x/b.yaml:2: files include each other in a circle: a.yaml → x/b.yaml → a.yaml"
        ),
        (
            "a.yaml", ["a.yaml": "include: [kiln.yaml]"],
            "a.yaml:1: files include each other in a circle: kiln.yaml → a.yaml → kiln.yaml"
        ),
        ("a.yaml", [:], "kiln.yaml:5: \"a.yaml\" cannot be included: there is no such file"),
        ("a.yaml", ["a.yaml": "- x\n"], "a.yaml:1: the file is a list; settings are needed"),
        (
            "a.yaml", ["a.yaml": "\n\n@x: 1\n"],
            "a.yaml:3: a text begins with a character that means something else in YAML"
        ),
        (
            "/etc/a.yaml", [:],
            "kiln.yaml:5: an entry of include is \"/etc/a.yaml\"; a file relative to the folder of this one is needed"
        ),
    ])
    func `what cannot be included is named once, and nothing else is said`(
        path: String, files: [String: String], problem: String
    ) {
        #expect(problems("  include: [\(path)]\n  command: [x]\n", files) == [problem])
    }

    @Test func `files within files come to an end`() {
        let files = Dictionary(
            uniqueKeysWithValues: (0..<20).map { ("f\($0).yaml", "include: [f\($0 + 1).yaml]\n") })
        #expect(
            problems("  include: [f0.yaml]\n", files) == [
                "f7.yaml:1: files include each other 9 deep; 8 is the most"
            ])
    }

    @Test func `a path of an include cannot leave its folder by files`() {
        #expect(
            problems(
                "  include: [../shared/a.yaml]\n",
                [
                    "../shared/a.yaml":
                        "distribution: debian/sid\ncommand: [x]\nfiles: [{from: ../../etc/passwd, to: /x}]"
                ])
                == [
                    "../shared/a.yaml:3: from is \"../../etc/passwd\"; it leads out of the folder of this file"
                ])
    }

    @Test(arguments: 1...4)
    func `a mutated file that is included is read or refused with a line of its own`(seed: Int) throws {
        let whole = """
            include: [b.yaml]
            distribution: debian/bookworm
            packages: [ca-certificates, tzdata=2024a-0]
            files:
              - {from: site/, to: /srv/www}
              - {url: https://x.example/a.tgz, sha256: \(String(repeating: "a", count: 64)), to: /a, extract: true}
              - {git: https://x.example/a.git, ref: v1, path: p, to: /b}
            environment: {A: b}
            command: [x]

            """
        var state = UInt64(seed)
        func next(_ bound: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % bound
        }
        for _ in 0..<300 {
            var bytes = Array(whole.utf8)
            for _ in 0...next(3) {
                let place = next(bytes.count)
                switch next(3) {
                case 0: bytes.removeSubrange(place..<min(bytes.count, place + next(9)))
                case 1: bytes.insert(contentsOf: Array("[]{}:,-\n *&\"'#".utf8).shuffledPart(next), at: place)
                default: bytes[place] = UInt8(0x20 + next(0x5f))
                }
            }
            let text = String(decoding: bytes, as: UTF8.self)
            do {
                _ = try parse("  include: [a.yaml]\n", ["a.yaml": text, "b.yaml": "user: www-data\n"])
            } catch {
                for failure in Failure.list(error) {
                    let place = try #require(failure.place)
                    let parts = place.split(separator: ":")
                    let line = try #require(Int(parts[1]))
                    #expect(
                        ["kiln.yaml", "a.yaml", "b.yaml"].contains(parts[0]) || parts[0].hasSuffix(".yaml"))
                    #expect(
                        (1...text.split(separator: "\n", omittingEmptySubsequences: false).count + 6)
                            .contains(line), "\(failure)")
                    #expect(failure.code == .invalidSpec)
                }
            }
        }
    }
}

extension [UInt8] {
    /// A few of the elements, picked by a generator.
    fileprivate func shuffledPart(_ next: (Int) -> Int) -> [UInt8] {
        (0...next(3)).map { _ in self[next(count)] }
    }
}
