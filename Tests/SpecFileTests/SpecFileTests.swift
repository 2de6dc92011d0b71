import Foundation
import Model
import Testing

@testable import SpecFile

@Suite struct SpecFileTests {
    @Test func `the example of the README is read to the last key`() throws {
        let spec = try SpecFile.parse(Repository.text("examples/hello/kiln.yaml"), file: "kiln.yaml")
        let recipe = Recipe(
            distribution: try .init(parsing: "debian/bookworm"),
            packages: [try .init(parsing: "nginx-light"), try .init(parsing: "ca-certificates")],
            files: [
                FileRule(from: "site/", to: "/srv/www"),
                FileRule(from: "nginx.conf", to: "/etc/nginx/nginx.conf"),
            ],
            user: "www-data", command: ["nginx", "-g", "daemon off;"], environment: ["LANG": "C.UTF-8"])
        let run = RunSettings(
            replicas: 3, port: 8080, health: HealthCheck(.http(path: "/")),
            scratch: ["/tmp", "/run", "/var/lib/nginx", "/var/log/nginx"].map { ScratchMount(path: $0) },
            limits: Limits(memory: ByteCount(bytes: 64 << 20), milliCPU: 500, pids: 64),
            config: ["GREETING": "hello"])
        #expect(
            spec
                == Spec(
                    service: try ServiceName("hello"), image: recipe, run: run,
                    rollout: RolloutSettings(watch: .seconds(5)),
                    listen: Listener(address: try SocketAddress(parsing: "127.0.0.1:8000"))))
    }

    @Test(arguments: ["hello", "hello-v2", "redis", "python", "canary", "rolling", "build"])
    func `every example is sound, and what it names is there`(_ example: String) throws {
        let spec = try SpecFile.parse(Repository.text("examples/\(example)/kiln.yaml"), file: "kiln.yaml")
        for rule in spec.image.files + spec.image.builds.flatMap(\.files) {
            let isThere = try Repository.root.appending(path: "examples/\(example)/\(rule.from ?? "")")
                .checkResourceIsReachable()
            #expect(isThere)
        }
    }

    @Test func `what is left out has its default`() throws {
        let text = """
            kiln: 1
            service: hello
            image: {distribution: ubuntu/noble, command: [/bin/true]}
            run: {port: 80}
            """
        let spec = try SpecFile.parse(text, file: "kiln.yaml")
        #expect(spec.rollout == RolloutSettings())
        #expect(spec.run == RunSettings(port: 80, health: HealthCheck(.tcp)))
        #expect(spec.listen == nil)
        #expect(spec.image.architecture == .native)
        #expect(spec.image.base == .minimal)
    }

    @Test(
        arguments: [
            ("listen: 127.0.0.1:1", HealthCheck.Kind.http(path: "/"), Listener.TrafficProtocol.http),
            ("listen: 127.0.0.1:1\nprotocol: http", .http(path: "/"), .http),
            ("listen: 127.0.0.1:1\nprotocol: tcp", .tcp, .tcp),
            ("listen: {address: 127.0.0.1:1, protocol: tcp}", .tcp, .tcp),
            ("listen: {address: 127.0.0.1:1}\nprotocol: tcp", .tcp, .tcp),
        ])
    func `a service is probed by what it speaks`(
        _ listen: String, _ kind: HealthCheck.Kind, _ trafficProtocol: Listener.TrafficProtocol
    ) throws {
        let text = SoundSpec.with(line: 17, listen).replacing("  health: {path: /}\n", with: "")
        let spec = try SpecFile.parse(text, file: "kiln.yaml")
        #expect(spec.run.health.kind == kind)
        #expect(spec.listen?.trafficProtocol == trafficProtocol)
    }

    /// YAML readers differ on octal numbers; the text as written does not.
    @Test(arguments: [("0644", 0o644), ("644", 0o644), ("\"0755\"", 0o755), ("0o600", 0o600), ("0000", 0)])
    func `a mode is octal however it is written`(_ written: String, _ mode: Int) throws {
        let text = SoundSpec.with(line: 6, "  files: [{from: a, to: /a, mode: \(written)}]")
        #expect(try SpecFile.parse(text, file: "kiln.yaml").image.files[0].mode == mode)
    }

    @Test(
        arguments: [
            ("site/", "/srv/www", "/srv/www"), ("site/", "/srv/www/", "/srv/www"), ("a", "/srv/", "/srv/a"),
            ("a/b", "/srv/", "/srv/b"), ("./a/./b", "//srv//x/.", "/srv/x"), ("root/", "/", "/"),
        ])
    func `a target with a slash at its end is a folder to go into`(
        _ from: String, _ to: String, _ target: String
    ) throws {
        let text = SoundSpec.with(line: 6, "  files: [{from: \(from), to: \(to)}]")
            .replacing("  scratch: [/run]\n", with: "")
        #expect(try SpecFile.parse(text, file: "kiln.yaml").image.files[0].to == target)
    }

    @Test func `values of variables are the text that was written`() throws {
        let text = SoundSpec.with(
            line: 14, "  config: {A: 010, B: yes, C: 1.50, D: \"\", E: 'null', F: 1e3, G: 12:30:45}")
        #expect(
            try SpecFile.parse(text, file: "kiln.yaml").run.config == [
                "A": "010", "B": "yes", "C": "1.50", "D": "", "E": "null", "F": "1e3", "G": "12:30:45",
            ])
    }

    @Test(arguments: [
        ("0.5", 500), ("1", 1000), ("2.25", 2250), ("0.125", 125), ("0.01", 10), ("1024", 1_024_000),
    ])
    func `cores are exact to a thousandth`(_ written: String, _ milliCPU: Int) throws {
        let text = SoundSpec.with(line: 13, "  limits: {cpu: \(written)}")
        #expect(try SpecFile.parse(text, file: "kiln.yaml").run.limits.milliCPU == milliCPU)
    }

    @Test func `scripts are a mode for all and modes by name, a word or settings`() throws {
        let text = """
            kiln: 1
            service: hello
            image:
              distribution: debian/bookworm
              command: [/bin/true]
              scripts:
                default: refused
                squid: traced
                chrony: {mode: traced, allow: [/etc/x/, /var/lib/y], reason: a test}
            run: {port: 80}
            """
        let spec = try SpecFile.parse(text, file: "kiln.yaml")
        let chrony = ScriptRule(.traced, allow: ["/etc/x", "/var/lib/y"], reason: "a test")
        #expect(
            spec.image.scripts
                == ScriptRules(others: .refused, packages: ["squid": ScriptRule(.traced), "chrony": chrony]))
        #expect(spec.image.scripts.decisive.packages["chrony"]?.reason == nil)
    }

    @Test(arguments: [
        ("traced", "scripts is a single value; packages with modes are needed"),
        ("{squid: run}", "squid is \"run\"; the choices are"),
        ("{squid: {allow: [/x]}}", "squid has no mode"),
        ("{squid: {mode: effects, allow: [/x]}}", "allow is for mode: traced"),
        ("{squid=5: traced}", "is not the name of a package"), ("{default: {mode: traced}}", "default is"),
        ("{squid: {mode: traced, allow: [x]}}", "a path that begins with /"),
    ])
    func `a wrong rule for scripts is told`(written: String, said: String) {
        let text =
            "kiln: 1\nservice: hello\nimage: {distribution: debian/bookworm, command: [/bin/true], scripts: \(written)}\n"
            + "run: {port: 80}\n"
        do {
            _ = try SpecFile.parse(text, file: "kiln.yaml")
            Issue.record("it was read")
        } catch {
            let messages = Failure.list(error).map(\.message)
            #expect(messages.contains { $0.contains(said) }, "\(messages)")
        }
    }

    @Test func `sources are written as in deb822 files`() throws {
        let text = SoundSpec.with(
            line: 5,
            """
              sources:
                - uris: [http://one.example/debian/, http://two.example/debian]
                  suites: bookworm bookworm-updates
                  components: [main, contrib]
                  signed-by: /usr/share/keyrings/a.gpg
                - {uri: https://three.example/x, suites: [bookworm-security]}
            """)
        let suites = ["bookworm", "bookworm-updates"]
        let (components, key) = (["main", "contrib"], "/usr/share/keyrings/a.gpg")
        #expect(
            try SpecFile.parse(text, file: "kiln.yaml").image.sources == [
                ArchiveSource(
                    uri: "http://one.example/debian", suites: suites, components: components, signedBy: key),
                ArchiveSource(
                    uri: "http://two.example/debian", suites: suites, components: components, signedBy: key),
                ArchiveSource(
                    uri: "https://three.example/x", suites: ["bookworm-security"], components: ["main"]),
            ])
    }

    @Test(
        arguments: [
            ("debian/bookworm", ["bookworm", "bookworm-updates"]), ("debian/sid", ["sid"]),
            ("ubuntu/noble", ["noble", "noble-updates", "noble-security"]),
        ])
    func `a mirror has the suites of its distribution`(_ distribution: String, _ suites: [String]) throws {
        let text = SoundSpec.with(
            line: 4, "  distribution: \(distribution)\n  mirror: http://mirror.example/archive")
        #expect(try SpecFile.parse(text, file: "kiln.yaml").image.sources.map(\.suites) == [suites])
    }

    @Test func `every problem is told at once, in the order of the file`() {
        let said = problems(
            """
            kiln: 1
            service: Hello
            image:
              distribution: debian
              packages: [nginx]
              packages: [redis]
              comand: [x]
            run:
              replicas: 0
              prot: 80
            protocol: tcp
            """)
        #expect(
            said.map { $0.prefix { $0 != ":" } } == ["2", "3", "4", "6", "7", "8", "9", "10", "11"], "\(said)"
        )
    }

    @Test func `a failure is the request's, and names the file`() throws {
        let failures = #expect(throws: Failures.self) {
            try SpecFile.parse("kiln: 1", file: "elsewhere/kiln.yaml")
        }
        #expect(failures?.all.allSatisfy { $0.exitCode == 2 && $0.place == "elsewhere/kiln.yaml:1" } == true)
    }
}

extension SpecFileTests {
    @Test(arguments: [
        ("arm64", [Architecture.arm64]), ("[arm64, amd64]", [.arm64, .amd64]), ("[amd64]", [.amd64]),
    ])
    func `a machine type or several may be asked for`(text: String, architectures: [Architecture]) throws {
        let image = try SpecFile.parse(
            SoundSpec.with(line: 5, "  architecture: \(text)"), file: "kiln.yaml"
        ).image
        #expect(image.architectures == architectures)
        #expect(architectures.contains(image.architecture))
        #expect(
            image.byArchitecture.map(\.architecture).sorted { $0.rawValue < $1.rawValue }
                == architectures.sorted { $0.rawValue < $1.rawValue })
        #expect(architectures.count == 1 || image.byArchitecture.last?.architecture == .native)
    }

    @Test(arguments: [
        ("[arm64, arm64]", "5: architecture has arm64 twice → keep one of the two"),
        ("[]", "5: architecture is an empty list → write architecture: [amd64, arm64]"),
        ("[mips]", "5: an entry of architecture is \"mips\"; the choices are amd64 and arm64 → write amd64"),
    ])
    func `slips in a list of machine types are named`(text: String, said: String) {
        #expect(problems(SoundSpec.with(line: 5, "  architecture: \(text)")) == [said])
    }
}
