import Glibc
import ImageFormat
import Model
import Testing
import TestKit

@testable import Baking

/// Scripts of packages made here, run in sandboxes and baked. Needs root, crun and busybox.
@Suite(.serialized, .enabled(if: geteuid() == 0)) struct TracingTests {

    /// An Essential set of one program, and a service whose postinst is `script`.
    private static func packages(_ script: String, preinst: String? = nil) throws -> [PackageMaker] {
        var packages = PackageMaker.small
        var tools = try PackageMaker.tools([
            "cat", "chmod", "chown", "cp", "date", "dd", "env", "grep", "head", "id", "ln", "ls", "mkdir",
            "mkfifo", "mknod", "mv", "rm", "sed", "sh", "sleep", "tail", "touch", "wget", "true",
        ])
        // As the real ones, but for what no script here asks of them.
        tools.file(
            "usr/sbin/useradd",
            """
            #!/bin/sh
            for word do name=$word; done
            echo "$name:x:777:778::/var/lib/$name:/usr/sbin/nologin" >> /etc/passwd
            echo "$name:x:778:" >> /etc/group
            """, mode: 0o755)
        tools.file("usr/bin/ssh-keygen", "#!/bin/sh\ntouch /etc/ssh-keygen-ran\n", mode: 0o755)
        tools.file("usr/bin/systemctl", "#!/bin/sh\ntouch /etc/systemctl-ran\n", mode: 0o755)
        packages[2].scripts = ["postinst": "#!/bin/sh\nset -e\n" + script + "\n"]
        if let preinst { packages[2].scripts["preinst"] = "#!/bin/sh\nset -e\n" + preinst + "\n" }
        packages[2].fields = ["Depends: tools"]
        packages[2].file("usr/share/server/big", String(repeating: "x", count: 5 << 20))
        packages.append(tools)
        return packages
    }

    private struct Baked {
        let bench: BakeBench
        let result: BakeResult
        let entries: [String: TarEntry]

        func text(_ path: String) throws -> String? {
            var tree = FileTree()
            for layer in result.image.layers {
                let blob = try MappedBytes(file: try #require(bench.store.path(of: layer.digest)))
                try tree.add(
                    try Decompressor.decompress(blob.bytes, limit: 1 << 26, spoolFolder: bench.folder.path))
            }
            return try tree.file(at: path).map { String(decoding: $0.content, as: UTF8.self) }
        }
    }

    private static func bake(
        _ script: String, preinst: String? = nil, rules: ScriptRules? = nil, base: Recipe.Base = .essential,
        bench: BakeBench? = nil
    ) async throws -> Baked {
        let packages = try packages(script, preinst: preinst)
        return try await bake(
            packages, rules: rules ?? ScriptRules(packages: ["server": ScriptRule(.traced)]), base: base,
            bench: try bench ?? BakeBench(packages))
    }

    private static func bake(
        _ packages: [PackageMaker], rules: ScriptRules, base: Recipe.Base = .essential, bench: BakeBench
    ) async throws -> Baked {
        var recipe = try bench.recipe(user: "root", files: [])
        recipe.base = base
        recipe.scripts = rules
        var lock = try PackageMaker.lock(packages)
        lock.base = base
        lock.scripts = recipe.scripts.decisive
        let baker = ImageBaker(
            store: bench.store, host: HostApt(root: bench.folder.path + "/host"),
            clock: { Instant(milliseconds: 1) })
        let result = try await baker.bake(
            recipe, specFolder: bench.folder.path + "/spec", lock: lock, service: try ServiceName("test"))
        var entries: [String: TarEntry] = [:]
        for layer in result.image.layers {
            let blob = try MappedBytes(file: try #require(bench.store.path(of: layer.digest)))
            let tar = try Decompressor.decompress(blob.bytes, limit: 1 << 26, spoolFolder: bench.folder.path)
            var reader = TarReader(tar.bytes)
            while let (entry, _) = try reader.next() { entries[entry.path] = entry }
        }
        #expect(HostFiles.names(in: bench.folder.path + "/store/tmp").isEmpty)
        return Baked(bench: bench, result: result, entries: entries)
    }

    private static func refusal(_ script: String, rules: ScriptRules? = nil) async -> [Failure] {
        await failures { _ = try await bake(script, rules: rules) }
    }

    @Test func `a cache of what all packages bring is made by a traced package, and spoken of elsewhere`()
        async throws
    {
        var packages = PackageMaker.small
        var tools = try PackageMaker.tools(["cat", "env", "ls", "sh"])
        tools.file(
            "usr/bin/fc-cache",
            "#!/bin/sh\nls /usr/share/fonts/truetype > /var/cache/fontconfig/list\n", mode: 0o755)
        packages[2].scripts = ["postinst": "#!/bin/sh\nset -e\nfc-cache -s\n"]
        packages[2].folder("var/cache/fontconfig")
        packages[2].fields = ["Depends: tools"]
        var font = PackageMaker("zz-font")
        font.file("usr/share/fonts/truetype/one.ttf", "font")
        packages += [tools, font]
        let bench = try BakeBench(packages)
        let read = try await TracingTests.bake(packages, rules: ScriptRules(), bench: bench)
        #expect(read.entries["var/cache/fontconfig/list"] == nil)
        let note = try #require(read.result.notes.first { $0.contains("fc-cache") })
        #expect(note.hasPrefix("server: the list of fonts of zz-font, by fc-cache, is not made: "))
        #expect(note.hasSuffix("write `base: essential` and `scripts: {server: traced}`"))
        let traced = try await TracingTests.bake(
            packages, rules: ScriptRules(packages: ["server": ScriptRule(.traced)]), bench: bench)
        #expect(try traced.text("var/cache/fontconfig/list") == "one.ttf\n")
        #expect(!traced.result.notes.contains { $0.contains("fc-cache") })
        // Nobody brings a font: nothing lacks.
        let without = Array(packages.dropLast())
        let plain = try await TracingTests.bake(without, rules: ScriptRules(), bench: BakeBench(without))
        #expect(!plain.result.notes.contains { $0.contains("fc-cache") })
    }

    @Test func `what scripts changed is in the image, by names, with the package's time`() async throws {
        let baked = try await TracingTests.bake(
            """
            [ "$1" = configure ]; [ -z "$2" ]
            useradd --system --user-group svc
            mkdir -m 2750 /var/lib/svc; chown svc:adm /var/lib/svc
            printf 'made %s' "$(cat /etc/preinst)" > /etc/svc.conf; chmod 640 /etc/svc.conf; chown :svc /etc/svc.conf
            ln -s /etc/svc.conf /etc/svc.link
            sed -i s/80/81/ /etc/server.conf
            chmod 700 /usr/share/server/big
            rm /etc/debian_version
            touch /var/log/svc.log /tmp/gone /run/gone /var/tmp/gone
            date +%z%Z > /etc/zone; umask > /etc/umask; id -u > /etc/id
            """, preinst: "[ \"$1\" = install ]; echo early > /etc/preinst")
        let (entries, result) = (baked.entries, baked.result)
        #expect(result.warnings.isEmpty)
        #expect(result.traced == ["server"])
        let user = try #require(entries["var/lib/svc"]).uid
        #expect(try baked.text("etc/passwd")?.contains("svc:x:\(user):") == true)
        #expect((100...999).contains(user) && user != 777)
        #expect(entries["var/lib/svc"]?.gid == 4)
        #expect(entries["var/lib/svc"]?.mode == 0o2750)
        #expect(try baked.text("etc/svc.conf") == "made early")
        #expect(entries["etc/svc.conf"]?.mode == 0o640)
        #expect(entries["etc/svc.conf"]?.uid == 0)
        #expect(entries["etc/svc.conf"]?.gid == user)
        #expect(entries["etc/svc.conf"]?.modifiedAt == PackageMaker.date)
        #expect(entries["etc/svc.link"]?.link == "/etc/svc.conf")
        #expect(try baked.text("etc/server.conf") == "port 81\n")
        #expect(entries["usr/share/server/big"]?.mode == 0o700)
        #expect(entries["usr/share/server/big"]?.size == 5 << 20)
        #expect(entries["etc/.wh.debian_version"] != nil)
        #expect(entries["var/log/svc.log"]?.size == 0)
        #expect(try baked.text("etc/zone") == "+0000UTC\n")
        #expect(try baked.text("etc/umask") == "0022\n")
        #expect(try baked.text("etc/id") == "0\n")
        for path in [
            "tmp/gone", "run/gone", "var/tmp/gone", "var/lib/dpkg/status", "run/kiln", "etc/passwd-",
        ] {
            #expect(entries[path] == nil, "\(path)")
        }
    }

    @Test
    func `recorded programs answer as scripts expect, and what they asked for is made for the whole image`()
        async throws
    {
        let baked = try await TracingTests.bake(
            """
            update-alternatives --install /usr/bin/editor editor /usr/bin/server 50
            deb-systemd-helper unmask server.service
            if deb-systemd-helper debian-installed server.service; then exit 4; fi
            deb-systemd-helper enable server.service
            systemctl daemon-reload; /usr/bin/systemctl restart server
            if systemctl is-active server; then exit 5; fi
            invoke-rc.d server start; update-rc.d server defaults; ldconfig
            echo "$DEBIAN_FRONTEND $DPKG_MAINTSCRIPT_NAME $DPKG_MAINTSCRIPT_PACKAGE" > /etc/said
            ssh-keygen -A; /usr/bin/ssh-keygen -A
            if command -v ucf; then exit 6; fi
            grep -q '^Package: tools' /var/lib/dpkg/status
            """)
        #expect(baked.entries["etc/alternatives/editor"]?.link == "/usr/bin/server")
        #expect(baked.entries["usr/bin/editor"]?.link == "/etc/alternatives/editor")
        #expect(baked.entries["etc/systemctl-ran"] == nil)
        #expect(baked.entries["etc/ssh-keygen-ran"] == nil)
        #expect(try baked.text("etc/said") == "noninteractive postinst server\n")
        #expect(baked.result.notes.contains { $0.hasPrefix("server: the SSH host keys is not made") })
    }

    @Test func `the same scripts give the same image in every store, and are run once for it`() async throws {
        let script = "mkdir /etc/d; for n in 1 2 3; do echo $n $$ > /etc/d/$n; done; useradd zed"
        let first = try await TracingTests.bake(script)
        let second = try await TracingTests.bake(script)
        #expect(first.result.image == second.result.image)
        // Without the images and the base, the record alone is left: it is taken, though the package could not be run.
        let cache = first.bench.folder.path + "/store/cache"
        for name in HostFiles.names(in: cache) where !name.hasPrefix("trace") { unlink(cache + "/" + name) }
        let record = try #require(HostFiles.names(in: cache).first)
        let bytes = try HostFiles.read(cache + "/" + record, limit: 1 << 20)
        var changed = try TraceRecord(decoding: bytes)
        changed.items.removeAll { $0.entry.path == "etc/d/3" }
        try HostFiles.put(cache + "/" + record, changed.encoded())
        let third = try await TracingTests.bake(script, bench: first.bench)
        #expect(third.entries["etc/d/2"] != nil)
        #expect(third.entries["etc/d/3"] == nil)
    }

    @Test(arguments: [
        "head -c 8 /dev/urandom > /etc/x", "echo $(cat /proc/uptime; sleep 1) > /etc/x",
        "cat /proc/sys/kernel/random/uuid > /etc/x",
    ])
    func `a result that is not the same twice is refused with its path`(script: String) async {
        let found = await TracingTests.refusal(script)
        #expect(found.map(\.code) == [.conflict])
        #expect(found.first?.message == "server: the result of its scripts is not the same twice: /etc/x")
        #expect(found.first?.suggestion?.contains("scripts: {server: effects}") == true)
        #expect(found.first?.suggestion?.contains("allow: [/etc/x]") == true)
    }

    @Test func `what no image should hold is refused, all of it at once, unless the recipe allows it`()
        async throws
    {
        let script = """
            echo 0123456789abcdef0123456789abcdef > /etc/machine-id
            printf -- '-----BEGIN PRIVATE KEY-----\\n%s\\n' "$(head -c 9 /dev/urandom | cat -v)" > /etc/key.pem
            cp /bin/busybox /usr/bin/root; chmod 4755 /usr/bin/root
            """
        let found = await TracingTests.refusal(script)
        #expect(found.map(\.code) == [.notPermitted, .notPermitted, .notPermitted])
        #expect(Set(found.map(\.place)) == ["image.scripts.server"])
        for (failure, path) in zip(found, ["/etc/key.pem", "/etc/machine-id", "/usr/bin/root"]) {
            #expect(failure.message.contains(path))
            #expect(
                failure.suggestion?.contains("scripts: {server: {mode: traced, allow: [\(path)]}}") == true)
        }
        let rules = ScriptRules(packages: [
            "server": ScriptRule(.traced, allow: ["/etc/machine-id", "/etc/key.pem", "/usr/bin/root"])
        ])
        let baked = try await TracingTests.bake(script, rules: rules)
        #expect(try baked.text("etc/key.pem")?.hasPrefix("-----BEGIN PRIVATE KEY-----") == true)
        #expect(baked.entries["usr/bin/root"]?.mode == 0o4755)
        #expect(
            baked.result.notes.map { $0.prefix(52) } == [
                "server: /etc/key.pem is not the same twice and kept,"
            ])
    }

    @Test(arguments: [
        ("echo what is wrong >&2; exit 7", "postinst script ended with 7: what is wrong"),
        ("wget -q -T 2 -O /etc/page http://192.0.2.1/", "postinst script ended with"),
        ("mknod /etc/disk b 254 0", "postinst script ended with"),
        ("nc -l -U /etc/socket & sleep 1; exit 9", "ended with"),
        ("n=0; while [ $n -lt 300 ]; do mkdir d; cd d; n=$((n+1)); done", "folders deep"),
        ("touch /etc/.wh.passwd", "whiteout"), ("touch \"/etc/$(printf '\\377')\"", "not UTF-8"),
        (
            "f() { f | f & }; while :; do f; sleep 0.1; done",
            "postinst script was stopped: it started 256 processes"
        ),
        ("cat /dev/zero", "postinst script was stopped: it wrote more than 16M of output"),
    ])
    func `a script that fails or misbehaves stops the bake, with its words, and leaves nothing`(
        script: String, words: String
    ) async throws {
        let packages = try TracingTests.packages(script)
        let bench = try BakeBench(packages)
        let found = await failures { _ = try await TracingTests.bake(script, bench: bench) }
        #expect(found.count == 1)
        #expect(found.first?.message.contains(words) == true, "\(found)")
        #expect(found.first?.place == "image.scripts.server")
        #expect(HostFiles.names(in: bench.folder.path + "/store/tmp").isEmpty)
        #expect(try bench.store.images().isEmpty)
    }

    @Test
    func `the default decides about scripts with steps that are not understood, and a name overrides it`()
        async throws
    {
        let script = "frobnicate=1; cat /proc/1/comm > /etc/first; env frob 2>/dev/null || echo no > /etc/no"
        let warned = try await TracingTests.bake(script, rules: ScriptRules())
        #expect(!warned.result.warnings.isEmpty)
        #expect(warned.result.traced.isEmpty)
        let refused = await TracingTests.refusal(script, rules: ScriptRules(others: .refused))
        #expect(refused.map(\.code) == [.notPermitted])
        #expect(
            refused.first?.message.contains(
                "server: steps of its scripts are not understood: postinst line 3") == true)
        #expect(refused.first?.suggestion?.contains("`scripts: {server: traced}`") == true)
        let traced = try await TracingTests.bake(script, rules: ScriptRules(others: .traced))
        #expect(traced.result.traced == ["server"])
        #expect(traced.result.warnings.isEmpty)
        #expect(try traced.text("etc/no") == "no\n")
        let named = try await TracingTests.bake(
            script, rules: ScriptRules(others: .refused, packages: ["server": ScriptRule(.effects)]))
        #expect(named.result.warnings == warned.result.warnings)
        // A script that is understood is neither run nor refused.
        for mode in ScriptMode.allCases {
            let plain = try await TracingTests.bake(
                "mkdir -p /var/lib/plain", rules: ScriptRules(others: mode))
            #expect(plain.result.traced.isEmpty && plain.result.warnings.isEmpty)
            #expect(plain.entries["var/lib/plain"] != nil)
        }
    }

    @Test func `an image without the Essential set says what to write`() async {
        let found = await failures { _ = try await TracingTests.bake("true", base: .minimal) }
        #expect(found.map(\.place) == ["image.scripts.server"])
        #expect(found.first?.suggestion?.contains("base: essential") == true)
    }

    @Test func `a package that is not in the image has no scripts to treat`() async {
        let found = await TracingTests.refusal(
            "true", rules: ScriptRules(packages: ["sever": ScriptRule(.traced)]))
        #expect(found.map(\.code) == [.packageUnknown])
        #expect(found.first?.suggestion == "did you mean server?")
    }
}
