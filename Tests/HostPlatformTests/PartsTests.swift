import Glibc
import Model
import Testing

@testable import HostPlatform

@Suite(.timeLimit(.minutes(60))) struct PartsTests {
    @Test func `names outside the root folder are short and its own`() throws {
        let tags = ["/var/lib/kiln", "/var/lib/kiln2", "/srv/kiln"].map(HostRoot.hashTag)
        #expect(Set(tags).count == 3)
        #expect(tags.allSatisfy { $0.utf8.count == 8 })
        #expect(HostRoot.hashTag("/var/lib/kiln") == tags[0])
    }

    @Test func `a network is chosen beside those that exist`() throws {
        let first = try HostNetwork.choose(seed: "abc", avoiding: [])
        let second = try HostNetwork.choose(seed: "abc", avoiding: [first])
        #expect(first.prefix == 22)
        #expect(!first.overlaps(second))
        #expect(try #require(IPv4Network("10.128.0.0/9")).overlaps(second))
        let most = try #require(IPv4Network("10.128.0.0/10"))
        #expect(!(try HostNetwork.choose(seed: "abc", avoiding: [most])).overlaps(most))
        #expect(throws: Failure.self) {
            try HostNetwork.choose(seed: "abc", avoiding: [try #require(IPv4Network("10.0.0.0/8"))])
        }
    }

    @Test func `the firewall's script is one that nft takes`() async throws {
        let script = HostNetwork.firewallScript(
            table: "kiln-test", bridge: "kiln-test", network: try #require(IPv4Network("10.128.0.0/22")))
        // In a namespace of its own: the host's tables stay as they are.
        let result = try await ProcessRunner().run(
            Command("unshare", ["-n", "nft", "-f", "-"]), input: script, limit: .seconds(300))
        #expect(result.status == 0, "\(result.errors)")
    }

    @Test func `a command's output is captured, its status kept, its time bounded`() async throws {
        let runner = ProcessRunner()
        let result = try await runner.run(
            Command("sh", ["-c", "echo out; echo err >&2; cat; exit 4"]), input: "in", limit: .seconds(300))
        #expect(result.status == 4)
        #expect(result.output == "out\nin")
        #expect(result.errors == "err\n")
        let late = await #expect(throws: Failure.self) {
            try await runner.run(Command("sleep", ["600"]), limit: .milliseconds(100))
        }
        #expect(late?.code == .timedOut)
        let missing = await #expect(throws: Failure.self) {
            try await runner.run(Command("no-such-program", []), limit: .seconds(1))
        }
        #expect(missing?.code == .toolMissing)
    }

    @Test func `what a command leaves in the background does not hold up its caller`() async throws {
        let result = try await ProcessRunner().run(
            Command("sh", ["-c", "sleep 3000 & echo $!"]), limit: .seconds(300))
        let left = try #require(Int32(result.output.filter(\.isNumber)))
        #expect(kill(left, 0) == 0, "the caller came back before what it left had ended")
        kill(left, SIGKILL)
    }

    @Test func `much output is bounded and does not block`() async throws {
        let result = try await ProcessRunner().run(
            Command("sh", ["-c", "head -c 3000000 /dev/zero | tr '\\0' x"]), limit: .seconds(300))
        #expect(result.status == 0)
        #expect(result.output.utf8.count == ProcessRunner.captureLimit)
    }

    @Test func `running commands leaks no file and no process`() async throws {
        func files() -> Int { Files.names(in: "/proc/self/fd").count }
        _ = try await ProcessRunner().run(Command("true", []), limit: .seconds(300))
        let before = files()
        for _ in 1...100 { _ = try await ProcessRunner().run(Command("true", []), limit: .seconds(300)) }
        // Others of this process open files and close them again.
        try await eventually { files() < before + 150 }
    }

    @Test func `a log is read back with its partial lines joined and its times in UTC`() {
        let text = """
            2026-01-31T23:59:59.123456789+01:00 stdout F hello world
            2026-01-31T23:59:59.223456789+01:00 stderr P bro
            2026-01-31T23:59:59.323456789+01:00 stdout F between
            2026-01-31T23:59:59.423456789+01:00 stderr F ken
            no line of a log
            """
        let lines = LogFile.parse(Array(text.utf8).split(separator: UInt8(ascii: "\n")))
        #expect(lines.map(\.text) == ["hello world", "between", "broken"])
        #expect(lines.map(\.stream) == [.out, .out, .err])
        #expect(lines[0].at.description == "2026-01-31T22:59:59.123Z")
    }

    @Test func `links inside an image are followed inside it only`() async throws {
        let folder = TestHost.freshFolder()
        try Files.makeFolder(folder + "/var")
        try Files.makeFolder(folder + "/run/app")
        defer { try? Files.removeTree(folder) }
        symlink("/run", folder + "/var/run")
        symlink("../../../..", folder + "/up")
        symlink("loop", folder + "/loop")
        let tree = ImageTree(root: folder)
        #expect(tree.entry("/var/run/app")?.path == "/run/app")
        #expect(tree.entry("/up")?.path == "/")
        #expect(tree.entry("/loop") == nil)
        #expect(tree.entry("/etc/passwd") == nil)
    }

    @Test func `words of a proxy command keep their separators`() {
        #expect(ProxySocket.word("/a b;c") == "/a\\ b\\;c")
    }

    @Test func `the doctor finds this host fit`() async {
        let checks = await HostDoctor().checks()
        for check in checks { #expect(check.isFine, "\(check.name): \(check.found)") }
        #expect(checks.allSatisfy { $0.suggestion == nil })
    }
}
