import Model
import Testing

@testable import SpecFile

/// `image.build`: commands whose results go into the image.
@Suite struct BuildKeysTests {
    private static func text(_ build: String) -> String {
        SoundSpec.with(line: 6, "  build:\n" + build)
    }

    private func steps(_ build: String) throws -> [BuildStep] {
        try SpecFile.parse(BuildKeysTests.text(build), file: "kiln.yaml").image.builds
    }

    @Test func `a step is read with all that it says, and a text is for a shell`() throws {
        let steps = try steps(
            """
                - name: app
                  packages: [golang-go, ca-certificates=20230311]
                  files: [{from: src/, to: /src}, {url: https://x.example/a, sha256: \(String(repeating: "a", count: 64)), to: /src/a}]
                  run: [go, build, -o, /out/app, ./...]
                  working-directory: /src
                  environment: {CGO_ENABLED: 0}
                  network: true
                  secrets: [{from: ~/.netrc, to: /root/.netrc}, {from: key, to: /run/key}]
                  copy: [{from: /out/app, to: /usr/bin/, mode: 0750, owner: app}, {from: /out/data/, to: /srv/data/}]
                  timeout: 1h
                  memory: 8G
                  disk: 1G
                - {files: [{step: app, from: /out/app, to: /tmp/}], run: "test -x /tmp/app\\n", copy: [{from: /x, to: /x}]}
            """)
        let first = steps[0]
        #expect(first.name == "app")
        #expect(first.packages.map(\.description) == ["golang-go", "ca-certificates=20230311"])
        #expect(first.files.map(\.to) == ["/src", "/src/a"])
        #expect(first.command == ["go", "build", "-o", "/out/app", "./..."])
        #expect(first.workingDirectory == "/src")
        #expect(first.environment == ["CGO_ENABLED": "0"])
        #expect(first.hasNetwork)
        #expect(
            first.secrets == [
                BuildStep.Secret(from: "~/.netrc", to: "/root/.netrc"),
                BuildStep.Secret(from: "key", to: "/run/key"),
            ])
        #expect(
            first.copies == [
                BuildStep.Copy(from: "/out/app", to: "/usr/bin/app", mode: 0o750, owner: "app"),
                BuildStep.Copy(from: "/out/data", to: "/srv/data"),
            ])
        #expect(
            first.limits
                == BuildStep.Limits(
                    time: .seconds(3600), memory: ByteCount(bytes: 8 << 30), disk: ByteCount(bytes: 1 << 30)))
        let second = steps[1]
        #expect(second.command == ["/bin/sh", "-ec", "test -x /tmp/app\n"])
        #expect(
            second.taken == [
                BuildStep.Taken(step: 0, copy: BuildStep.Copy(from: "/out/app", to: "/tmp/app"))
            ])
        #expect(!second.hasNetwork && second.secrets.isEmpty && second.workingDirectory == "/")
        #expect(second.limits == BuildStep.Limits())
    }

    @Test(arguments: [
        ("- {copy: [{from: /a, to: /b}]}", "7: an entry of build has no run"),
        ("- {run: [], copy: [{from: /a, to: /b}]}", "7: run is an empty list"),
        ("- {run: \" \", copy: [{from: /a, to: /b}]}", "7: run is \" \"; a command is needed"),
        ("- {run: [true]}", "7: nothing of this step is used"),
        ("- {run: [true], copy: [{from: /a}]}", "7: an entry of copy has no to"),
        (
            "- {run: [true], copy: [{from: a, to: /b}]}",
            "7: from is \"a\"; a path that begins with / is needed"
        ),
        ("- {run: [true], copy: [{from: /, to: /b}]}", "7: from is the whole root of the step"),
        (
            "- {run: [true], copy: [{from: /../a, to: /b}]}",
            "7: from is \"/../a\"; `..` is not allowed in a path"
        ),
        (
            "- {run: [true], copy: [{from: /a, to: /b}, {from: /c, to: /b}]}",
            "7: two files go to \"/b\", the first on line 7"
        ),
        (
            "- {run: [true], copy: [{from: /a, to: /b}], files: [{step: x, from: /a, to: /b}]}",
            "7: no step before this one is named \"x\""
        ),
        (
            "- {name: a, run: [true], copy: [{from: /a, to: /b}]}\n    - {name: a, run: [true], copy: [{from: /a, to: /c}]}",
            "8: two steps are named \"a\", the first on line 7"
        ),
        (
            "- {name: A b, run: [true], copy: [{from: /a, to: /b}]}",
            "7: name is \"A b\"; a-z, 0-9 and - are allowed, at most 40"
        ),
        (
            "- {run: [true], copy: [{from: /a, to: /b}], secrets: [{from: ../x, to: /x}]}",
            "7: from is \"../x\"; it leads out of the folder of this file; begin with / or ~/"
        ),
        (
            "- {run: [true], copy: [{from: /a, to: /b}], secrets: [{from: ~you/x, to: /x}]}",
            "7: from is \"~you/x\"; only ~/ is understood, your own home"
        ),
        (
            "- {run: [true], copy: [{from: /a, to: /b}], network: maybe}",
            "7: network is \"maybe\"; true or false is needed"
        ),
        ("- {run: [true], copy: [{from: /a, to: /b}], timeout: 2d}", "7: timeout is 2d; 1s…1d are allowed"),
        (
            "- {run: [true], copy: [{from: /a, to: /b}], packages: [a, gcc, gcc]}",
            "7: packages is wrong: \"a\" is not a package"
        ),
        (
            "- {run: [true], copy: [{from: /a, to: /run/x}]}",
            "14: scratch \"/run\" would hide \"/run/x\" of line 7"
        ),
    ])
    func `each slip is named with its line`(build: String, said: String) {
        let found = problems(BuildKeysTests.text("    " + build + "\n"))
        #expect(found.count == 1, "\(found)")
        let words = found.first?.replacing("an entry of packages", with: "packages") ?? ""
        #expect(words.hasPrefix(said), "\(words)")
    }

    @Test func `a step that others take from need not give anything to the image`() throws {
        let steps = try steps(
            """
                - {name: one, run: [true], copy: [{from: /a, to: /a}]}
                - {name: two, run: [true], files: [{step: one, from: /a, to: /b, mode: 0600}]}
                - {run: [true], files: [{step: two, from: /b, to: /c}], copy: [{from: /c, to: /c}]}
            """)
        #expect(steps.map { $0.taken.map(\.step) } == [[], [0], [1]])
        #expect(steps[1].taken[0].copy.mode == 0o600)
    }

    @Test func `steps beside an image below need a distribution, which is theirs alone`() throws {
        let start = "kiln: 1\nservice: hello\nrun: {port: 80}\nimage:\n  from: a:v1\n"
        let step = "  build: [{run: [true], copy: [{from: /a, to: /b}]}]\n"
        #expect(
            problems(start + step) == ["4: image has no distribution → add distribution: debian/bookworm"])
        let recipe = try SpecFile.parse(start + "  distribution: debian/bookworm\n" + step, file: "k").image
        #expect(recipe.distribution == nil)
        #expect(recipe.builds.first?.distribution?.suite == "bookworm")
    }

    @Test func `steps of an included file come first, and their secrets lie beside it`() throws {
        let text = BuildKeysTests.text("    - {run: [true], copy: [{from: /b, to: /b}]}\n").replacing(
            "  distribution: debian/bookworm\n", with: "  include: [../shared/a.yaml]\n")
        let spec = try SpecFile.parse(text, file: "kiln.yaml") { _ in
            "distribution: debian/bookworm\nbuild: [{run: [true], secrets: [{from: key, to: /k}], copy: [{from: /a, to: /a}]}]\n"
        }
        #expect(spec.image.builds.map { $0.copies[0].to } == ["/a", "/b"])
        #expect(spec.image.builds[0].secrets[0].folder == "../shared")
    }
}
