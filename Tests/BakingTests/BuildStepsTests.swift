import Glibc
import ImageFormat
import Model
import Testing
import TestKit

@testable import Baking

/// Build steps over packages made here. Needs root, crun and busybox.
@Suite(.serialized, .enabled(if: geteuid() == 0)) struct BuildStepsTests {

    /// Two packages beside the small image: a shell with its tools, for the roots of steps.
    private static func tools() throws -> [PackageMaker] {
        let tools = try PackageMaker.tools([
            "cat", "chmod", "cp", "date", "dd", "env", "grep", "head", "hostname", "id", "ip", "ln", "ls",
            "mkdir", "mkfifo", "mv", "pwd", "rm", "sed", "sh", "sleep", "stat", "tail", "test", "touch",
            "true", "wget", "yes",
        ])
        return PackageMaker.small + [tools]
    }

    private struct Bench {
        let base: BakeBench
        let roots: [PackageMaker]

        init() throws {
            roots = try BuildStepsTests.tools()
            base = try BakeBench(roots)
            try base.folder.write("spec/src/main", "source\n", mode: 0o755)
            try base.folder.write("spec/token", "a-secret-word\n", mode: 0o600)
        }

        func recipe(_ steps: [BuildStep], files: [FileRule] = []) throws -> Recipe {
            var recipe = try base.recipe(files: files)
            recipe.builds = steps
            return recipe
        }

        func lock(_ recipe: Recipe) throws -> Lock {
            var lock = try PackageMaker.lock(PackageMaker.small)
            lock.builds = try recipe.builds.map { step in
                var own = try PackageMaker.lock(roots)
                own.base = .essential
                own.requested = Lock.sorted(step.packages)
                return own
            }
            return lock
        }

        func bake(_ steps: [BuildStep], files: [FileRule] = [], store: FolderStore? = nil) async throws
            -> BakeResult
        {
            let recipe = try recipe(steps, files: files)
            let baker = ImageBaker(
                store: store ?? base.store, host: HostApt(root: base.folder.path + "/host"),
                clock: { Instant(milliseconds: 1) })
            let result = try await baker.bake(
                recipe, specFolder: base.folder.path + "/spec", lock: try lock(recipe),
                service: try ServiceName("test"))
            #expect(leftovers.isEmpty, "\(leftovers)")
            return result
        }

        var leftovers: [String] { HostFiles.names(in: base.store.root + "/tmp") }

        func contents(_ result: BakeResult) throws -> ImageContents {
            try ImageContents(result.image.digest, store: base.store)
        }

        func text(_ path: String, of result: BakeResult) throws -> String? {
            let contents = try contents(result)
            return try contents.tree.file(at: path).map { String(decoding: $0.content, as: UTF8.self) }
        }

        /// Everything that the store holds, blobs unpacked, that contains a text.
        func holders(of text: String) throws -> [String] {
            var found: [String] = []
            let wanted = Array(text.utf8)
            func look(_ folder: String) throws {
                for name in HostFiles.names(in: folder) {
                    let path = folder + "/" + name
                    if HostFiles.isFolder(path) {
                        try look(path)
                        continue
                    }
                    let blob = try MappedBytes(file: path)
                    let plain = try? blob.withBytes {
                        try Decompressor.decompress($0, limit: 1 << 28, spoolFolder: base.folder.path)
                    }
                    for bytes in [blob, plain].compactMap(\.self) {
                        let all = bytes.withBytes { Array($0) }
                        if String(decoding: all, as: UTF8.self).contains(text) || all.starts(with: wanted) {
                            found.append(path)
                        }
                    }
                }
            }
            try look(base.store.root)
            return found
        }
    }

    private static func step(
        _ script: String, copies: [BuildStep.Copy] = [.init(from: "/out/a", to: "/srv/a")]
    ) -> BuildStep {
        BuildStep(name: "app", command: ["/bin/sh", "-ec", script], copies: copies)
    }

    private static func refusal(_ step: BuildStep) async throws -> [Failure] {
        let bench = try Bench()
        let found = await failures { _ = try await bench.bake([step]) }
        #expect(bench.leftovers.isEmpty)
        #expect(try bench.base.store.images().isEmpty)
        return found
    }

    @Test func `results are in the image with their mode and owner, and nothing else of the step is`()
        async throws
    {
        let bench = try Bench()
        var step = BuildStepsTests.step(
            """
            cp main /out/a; chmod 4755 /out/a; mkdir -p /out/d/e; echo x > /out/d/e/f; ln -s e/f /out/d/link
            echo "$KEY" > /out/d/key
            """,
            copies: [
                .init(from: "/out/a", to: "/usr/bin/a"),
                .init(from: "/out/d", to: "/srv/d", mode: 0o640, owner: "server:adm"),
            ])
        step.files = [FileRule(from: "src/", to: "/src")]
        step.workingDirectory = "/src"
        step.environment = ["KEY": "value"]
        let result = try await bench.bake([step])
        let entries = try bench.base.entries(result.image)
        #expect(entries["usr/bin/a"]?.mode == 0o755)
        #expect(
            entries["usr/bin/a"]?.modifiedAt == FilesLayer.modificationTime(.sha256(Array("source\n".utf8))))
        #expect(entries["srv/d/e/f"]?.mode == 0o640)
        #expect(entries["srv/d/e"]?.mode == 0o750)
        #expect(entries["srv/d/e/f"]?.gid == 4)
        #expect(entries["srv/d/link"]?.link == "e/f")
        #expect(try bench.text("srv/d/key", of: result) == "value\n")
        for path in ["bin/busybox", "src/main", "out", "out/a"] { #expect(entries[path] == nil, "\(path)") }
        let why = try bench.contents(result).why("/srv/d/e/f")
        #expect(why.origin == .built(["build step app"]))
        #expect(try bench.contents(result).why("/usr/bin/server").origin != .built(["build step app"]))
    }

    @Test func `the world of a command is the same everywhere, and it has no network`() async throws {
        let bench = try Bench()
        let result = try await bench.bake([
            BuildStepsTests.step(
                """
                { id -u; hostname; pwd; umask; date +%Z; cat /etc/hosts; env | grep -v -e SHLVL -e PWD | LC_ALL=C sort
                  ip -o link | grep -c -v LOOPBACK || true; wget -q -T 2 -O - http://192.0.2.1/ || echo none; } > /out/a
                """)
        ])
        let text = try bench.text("srv/a", of: result)?.split(separator: "\n").map(String.init) ?? []
        #expect(
            Array(text.prefix(7)) == [
                "0", "kiln", "/", "0022", "UTC", "127.0.0.1 localhost kiln", "::1 localhost",
            ])
        #expect(text.contains("SOURCE_DATE_EPOCH=946684800") && text.contains("LC_ALL=C.UTF-8"))
        #expect(text.contains("HOME=/root"))
        #expect(text.last == "none")
        #expect(result.notes.isEmpty)
        // Those of this process are not there.
        #expect(!text.contains { $0.hasPrefix("LD_") || $0.hasPrefix("SWIFT") })
    }

    @Test func `the network is there for a step that asks, and a note says so`() async throws {
        let bench = try Bench()
        var step = BuildStepsTests.step(
            "cat /proc/net/dev > /out/a")
        step.hasNetwork = true
        // Other tests make and remove interfaces of their own.
        let before = Set(HostFiles.names(in: "/sys/class/net"))
        let result = try await bench.bake([step])
        let own = before.intersection(HostFiles.names(in: "/sys/class/net"))
        let seen = try bench.text("srv/a", of: result) ?? ""
        #expect(own.allSatisfy { seen.contains("\($0):") }, "\(seen)")
        #expect(
            result.notes == ["build step app has the network: another store may get other results from it"])
    }

    @Test func `a later step takes results of an earlier one, and files win over results`() async throws {
        let bench = try Bench()
        let first = BuildStep(name: "one", command: ["/bin/sh", "-ec", "mkdir /out/d; echo 1 > /out/d/f"])
        var second = BuildStepsTests.step("cat /in/d/f /in/g > /out/a; ls -ln /in/g >> /out/a")
        second.taken = [
            .init(step: 0, copy: .init(from: "/out/d", to: "/in/d")),
            .init(step: 0, copy: .init(from: "/out/d/f", to: "/in/g", mode: 0o600)),
        ]
        second.copies.append(.init(from: "/out/a", to: "/srv/www/index.html"))
        let result = try await bench.bake(
            [first, second], files: [FileRule(from: "site/", to: "/srv/www")])
        let text = try bench.text("srv/a", of: result) ?? ""
        #expect(text.hasPrefix("1\n1\n-rw-------"), "\(text)")
        #expect(try bench.text("srv/www/index.html", of: result) == "<h1>one</h1>")
        #expect(try bench.contents(result).why("/srv/www/index.html").origin == .recipe)
    }

    @Test func `a result is made once for what decides about it, and the same in every store`() async throws {
        let bench = try Bench()
        let random = BuildStepsTests.step("head -c 16 /dev/urandom > /out/a")
        let first = try await bench.bake([random])
        func forget() {
            let cache = bench.base.store.root + "/cache"
            for name in HostFiles.names(in: cache) where name.hasPrefix("bake") { unlink(cache + "/" + name) }
        }
        forget()
        #expect(try await bench.bake([random]).image == first.image)
        // A limit and another place in the image decide nothing.
        var moved = random
        moved.limits.time = .seconds(60)
        moved.copies[0].to = "/srv/b"
        let second = try await bench.bake([moved])
        #expect(try bench.text("srv/b", of: second) == bench.text("srv/a", of: first))
        var changed = random
        changed.environment = ["X": "1"]
        let third = try await bench.bake([changed])
        #expect(try bench.text("srv/a", of: third) != bench.text("srv/a", of: first))
        try bench.base.folder.write("spec/src/main", "other\n", mode: 0o755)
        var fed = random
        fed.files = [FileRule(from: "src/", to: "/src")]
        let before = try await bench.bake([fed])
        try bench.base.folder.write("spec/src/main", "another\n", mode: 0o755)
        #expect(try await bench.bake([fed]).image != before.image)
        let plain = BuildStepsTests.step("for n in 1 2 3; do echo $n > /out/a$n; done; cp /out/a2 /out/a")
        #expect(try await Bench().bake([plain]).image == bench.bake([plain]).image)
    }

    @Test func `verification runs steps again, and names the file that came out otherwise`() async throws {
        let bench = try Bench()
        let random = BuildStepsTests.step("head -c 16 /dev/urandom > /out/a")
        let recipe = try bench.recipe([random])
        let result = try await bench.bake([random])
        let finding = try await ImageVerification(
            store: bench.base.store, empty: try FolderStore(bench.base.folder.path + "/empty"),
            host: HostApt(root: bench.base.folder.path + "/host")
        ).verify(
            result.image.digest, recipe, specFolder: bench.base.folder.path + "/spec",
            lock: try bench.lock(recipe), service: try ServiceName("test"))
        guard case .other(let difference) = finding else {
            Issue.record("16 random bytes came out the same")
            return
        }
        #expect(difference.files.map(\.path) == ["srv/a"])
    }

    @Test func `a secret is seen by the command and kept nowhere`() async throws {
        let bench = try Bench()
        var step = BuildStepsTests.step(
            "stat -c '%a %u' /run/secrets/token > /out/a; tail -c 5 /run/secrets/token >> /out/a; ! echo x > /run/secrets/token"
        )
        step.secrets = [BuildStep.Secret(from: "token", to: "/run/secrets/token")]
        let result = try await bench.bake([step])
        #expect(try bench.text("srv/a", of: result) == "400 0\nword\n")
        #expect(try bench.holders(of: "a-secret-word").isEmpty)
        #expect(Set(try bench.holders(of: "400 0\nword")).count >= 2)
        // Another secret in the same place is no other step.
        try bench.base.folder.write("spec/token", "another-word\n", mode: 0o600)
        #expect(try await bench.bake([step]).image == result.image)
    }

    @Test func `a result that holds a secret is refused, and a failing command does not show it`()
        async throws
    {
        var step = BuildStepsTests.step("cat /run/token /run/token > /out/a")
        step.secrets = [BuildStep.Secret(from: "token", to: "/run/token")]
        var found = try await BuildStepsTests.refusal(step)
        #expect(found.map(\.message) == ["build step app: its result /out/a holds the secret /run/token"])
        step.command = ["/bin/sh", "-ec", "cat /run/token; exit 3"]
        found = try await BuildStepsTests.refusal(step)
        #expect(
            found.first?.message.hasSuffix("its command ended with 3; it said last:\n    ***") == true,
            "\(found)")
        step.secrets = [BuildStep.Secret(from: "tokn", to: "/run/token")]
        found = try await BuildStepsTests.refusal(step)
        #expect(found.map(\.place) == ["image.build[0].secrets[0]"])
        #expect(found.first?.suggestion?.contains("token") == true)
    }

    @Test(arguments: [
        ("echo one; echo two >&2; exit 7", "its command ended with 7; it said last:\n    one\n    two"),
        ("exit 7", "its command ended with 7 and said nothing"),
        ("true", "the command left no /out/a"),
        (
            "ln -s /etc/passwd /out/b; ln -s b /out/c; mkdir /out/a; ln -s /etc/passwd /out/a/x",
            "a link to /etc/passwd, outside of /out/a"
        ),
        (
            "mkdir /out/a; ln -s ../../../etc/shadow /out/a/x",
            "a link to ../../../etc/shadow, outside of /out/a"
        ),
        ("ln -s a /out/a", "a circle of links"),
        ("mkfifo /out/a", "neither a file nor a folder"),
        ("mkdir /out/a; mkfifo /out/a/p", "neither a file, a folder nor a link"),
        ("mkdir /out/a; touch /out/a/.wh.x", "whiteout"),
        ("mkdir /out/a; touch \"/out/a/$(printf '\\377')\"", "not UTF-8"),
        ("ln -s /proc/1/root/etc/shadow /out/a", "the command left no /out/a"),
        (
            "n=0; mkdir /out/a; cd /out/a; while [ $n -lt 300 ]; do mkdir d; cd d; n=$((n+1)); done",
            "folders deep"
        ),
    ])
    func `a command that fails or leaves something else stops the bake, and leaves nothing`(
        script: String, words: String
    ) async throws {
        let found = try await BuildStepsTests.refusal(BuildStepsTests.step(script))
        #expect(found.count == 1)
        #expect(found.first?.message.hasPrefix("build step app: ") == true)
        #expect(found.first?.message.contains(words) == true, "\(found)")
        #expect(found.first?.place == "image.build[0]")
    }

    @Test func `a link to a result is followed inside the root of the step, never outside`() async throws {
        let bench = try Bench()
        let result = try await bench.bake([
            BuildStepsTests.step(
                "mkdir /real; echo inside > /real/passwd; rm -r /out; ln -s /real /out; ln -s /real/passwd /real/a"
            )
        ])
        #expect(try bench.text("srv/a", of: result) == "inside\n")
    }

    @Test func `who takes too long is ended, and told the limit`() async throws {
        var step = BuildStepsTests.step("sleep 1000 & sleep 1000")
        step.limits.time = .seconds(1)
        let found = try await BuildStepsTests.refusal(step)
        #expect(found.map(\.code) == [.timedOut])
        #expect(found.first?.message == "build step app: it did not end within 1s")
    }

    @Test func `files of a step belong to users of its own, whom no other sandbox has`() async throws {
        var step = BuildStepsTests.step("stat -c %u /a/main > /out/a")
        step.files = [FileRule(from: "src/", to: "/a", owner: "65536")]
        let found = try await BuildStepsTests.refusal(step)
        #expect(found.map(\.code) == [.unsafePath])
        #expect(found.first?.message.contains("beyond 65535: /a") == true)
        step.files[0].owner = "65535"
        let bench = try Bench()
        #expect(try bench.text("srv/a", of: await bench.bake([step])) == "65535\n")
    }

    @Test func `a problem of a step is named by its own key`() async throws {
        var step = BuildStepsTests.step("true")
        step.files = [FileRule(from: "src/", to: "/a"), FileRule(from: "none", to: "/b")]
        #expect(try await BuildStepsTests.refusal(step).map(\.place) == ["image.build[0].files[1]"])
        step.files = []
        step.command = ["sch"]
        let found = try await BuildStepsTests.refusal(step)
        #expect(found.map(\.place) == ["image.build[0].run"])
        #expect(found.first?.message == "its root has no program sch")
        step = BuildStepsTests.step("touch /out/a")
        step.copies[0].owner = "nobody-there"
        #expect(try await BuildStepsTests.refusal(step).map(\.place) == ["image.build[0].copy[0]"])
    }

    @Test func `results go onto an image below, whose packages and those of the step are kept apart`()
        async throws
    {
        let bench = try Bench()
        let image = try ForeignImage(in: bench.base.folder)
        var recipe = Recipe(
            distribution: nil, from: try .init(parsing: "registry.example/base:v1"),
            sources: try bench.base.recipe().sources, command: ["made"])
        var step = BuildStepsTests.step("cp /bin/busybox /out/a")
        step.distribution = try .init(parsing: "debian/bookworm")
        step.copies[0].to = "/usr/bin/made"
        recipe.builds = [step]
        let baker = ImageBaker(
            store: bench.base.store, host: HostApt(root: bench.base.folder.path + "/host"),
            puller: ForeignPuller(image: image, store: bench.base.store), clock: { Instant(milliseconds: 1) })
        var lock = Lock.withoutPackages(recipe)
        try await baker.lockSources(&lock, recipe)
        try await baker.settle(&lock, recipe)
        lock.builds = try bench.lock(recipe).builds
        #expect(lock.staleness(for: recipe) == nil)
        #expect(try LockFile.parse(Array(LockFile.text(lock).utf8), place: "kiln.lock") == lock)
        let result = try await baker.bake(
            recipe, specFolder: bench.base.folder.path + "/spec", lock: lock,
            service: try ServiceName("test"))
        #expect(result.image.layers[0].digest == image.layers[0].digest)
        let contents = try bench.contents(result)
        #expect(try contents.why("/usr/bin/made").origin == .built(["build step app"]))
        #expect(contents.files["bin/busybox"] == nil)
    }

    @Test func `a step for another machine type says so`() async throws {
        let bench = try Bench()
        var recipe = try bench.recipe([BuildStepsTests.step("true")])
        recipe.architecture = Architecture.allCases.first { $0 != .native } ?? .native
        let steps = try BuildSteps(
            recipe, try bench.lock(recipe), specFolder: bench.base.folder.path + "/spec",
            store: bench.base.store)
        var files = try SiteFiles([], folder: bench.base.folder.path + "/spec")
        let found = await failures {
            _ = try await steps.add(to: &files, progress: { _ in }) { _, _ in
                throw Failure(.internalError, "a root was made")
            }
        }
        #expect(found.map(\.code) == [.notPermitted])
        #expect(found.first?.message.contains("runs on \(recipe.architecture.rawValue) only") == true)
    }
}
