import Foundation
import Glibc
import Logging
import Model
import Ports
import Testing

@testable import HostPlatform

/// Images for tests: a static busybox and a page. The digest's first digit says what it does.
struct TestImages: ImageReader {
    static func digest(_ kind: Kind, version: Int = 1) -> Digest {
        try! Digest(hex: kind.rawValue + String(repeating: "0", count: 62) + String(version))
    }

    enum Kind: String {
        /// busybox httpd on port 8080 as user 33, with a page that says the version.
        case server = "a"
        /// A shell that ends at once with status 3, after a line on each stream.
        case failing = "b"
        /// Its command does not exist.
        case broken = "c"
        /// A shell that sleeps, and hears SIGTERM.
        case sleeper = "d"
        /// As `server`, without the folder /run.
        case bare = "e"
        /// Begins to listen when there is a file /run/go.
        case late = "f"
        /// As `server`, run by root with the few rights that root has.
        case rooted = "1"
        /// A program that, when there is a file /run/go, has children execute a copy of itself in /run, again and again.
        case shifty = "8"
        /// The test server as user 33, and a copy of it that would be root's.
        case intruder = "7"
        /// The same as root.
        case rootIntruder = "6"
        /// Unpacking it fails for want of space.
        case tooLarge = "9"
    }

    func image(_ digest: Digest) throws -> Image {
        let shell = ["/bin/busybox", "sh", "-c"]
        let server = ["/bin/busybox", "httpd", "-f", "-p", "8080", "-h", "/www"]
        let command: [String] =
            switch Kind(rawValue: String(digest.hex.prefix(1)))! {
            case .server, .bare, .tooLarge, .rooted: server
            case .shifty: ["/bin/shifty"]
            case .intruder, .rootIntruder: ["/bin/testserver"]
            case .failing: shell + ["echo going down; echo badly >&2; exit 3"]
            case .broken: ["/bin/nothing"]
            case .sleeper: shell + ["trap 'exit 7' TERM; while true; do /bin/busybox sleep 0.05; done"]
            case .late:
                shell + [
                    "while ! /bin/busybox test -e /run/go; do /bin/busybox sleep 0.05; done; "
                        + "exec /bin/busybox httpd -f -p 8080 -h /www"
                ]
            }
        return Image(
            digest: digest,
            config: ImageConfig(
                architecture: .amd64,
                user: [Kind.rooted, .rootIntruder].contains { digest.hex.hasPrefix($0.rawValue) }
                    ? "0:0" : "33:33",
                command: command,
                environment: ["FROM": "image", "KEPT": "yes"],
                workingDirectory: "/"), layers: [])
    }

    /// Beside this very program.
    private static let testServer =
        (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe"))
        .map { URL(fileURLWithPath: $0).deletingLastPathComponent().path + "/testserver" } ?? ""

    func unpack(_ digest: Digest, into folder: String) async throws {
        if digest.hex.hasPrefix(Kind.tooLarge.rawValue) { throw Failure(.diskFull, "no space") }
        let files = FileManager.default
        var folders = ["bin", "proc", "sys", "dev", "etc", "www", "tmp", "var/lib/app/body"]
        if !digest.hex.hasPrefix(Kind.bare.rawValue) { folders.append("run") }
        for name in folders {
            try files.createDirectory(atPath: "\(folder)/\(name)", withIntermediateDirectories: true)
        }
        chown("\(folder)/var/lib/app/body", 33, 33)
        chmod("\(folder)/tmp", 0o1777)
        try files.copyItem(atPath: "/usr/bin/busybox", toPath: "\(folder)/bin/busybox")
        if digest.hex.hasPrefix(Kind.shifty.rawValue) {
            try await ProcessRunner().check(
                Command("cc", ["-x", "c", "-static", "-o", "\(folder)/bin/shifty", "-"]),
                input: TestImages.shifty,
                limit: .seconds(600))
        }
        for name in ["testserver", "setuid"] {
            try files.copyItem(atPath: TestImages.testServer, toPath: "\(folder)/bin/\(name)")
        }
        chmod("\(folder)/bin/setuid", 0o4755)
        for name in ["etc/hosts", "etc/resolv.conf"] {
            try Data().write(to: URL(fileURLWithPath: "\(folder)/\(name)"))
        }
        try Data("version \(digest.hex.last!)\n".utf8).write(
            to: URL(fileURLWithPath: "\(folder)/www/index.html"))
        try Data("fine\n".utf8).write(to: URL(fileURLWithPath: "\(folder)/www/health"))
    }
}

extension TestImages {
    static let shifty = """
        #define _GNU_SOURCE
        #include <fcntl.h>
        #include <sys/sendfile.h>
        #include <sys/wait.h>
        #include <unistd.h>

        int main(int count, char **arguments) {
            if (count > 1) for (;;) pause();
            while (access("/run/go", F_OK) != 0) usleep(20000);
            int own = open("/proc/self/exe", O_RDONLY), copy = open("/run/copy", O_WRONLY | O_CREAT, 0755);
            while (sendfile(copy, own, 0, 1 << 20) > 0) {}
            close(copy);
            for (;;) {
                if (fork() == 0) {
                    char *again[] = {"copy", "2", 0};
                    execv("/run/copy", again);
                    _exit(1);
                }
                wait(0);
                usleep(20000);
            }
        }

        """
}

/// One private root with its platform and router. Everything in it ends with `close`.
final class TestHost: Sendable {
    let root: HostRoot
    let platform: HostPlatform
    let router: HAProxyRouter
    let key = ServiceKey(try! ServiceName("web"))

    init(
        _ folder: String? = nil, runtimes: [String] = ["crun", "runc"], wantsUserNamespaces: Bool = true,
        afterStage: @escaping @Sendable (LaunchStage) throws -> Void = { _ in }
    ) async throws {
        root = try HostRoot(folder ?? TestHost.freshFolder())
        platform = try await HostPlatform(
            root: root, reader: TestImages(),
            log: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }),
            runtimes: runtimes, owner: { _, path in path.hasPrefix("/bin/") ? "busybox-static" : nil },
            wantsUserNamespaces: wantsUserNamespaces, afterStage: afterStage)
        router = HAProxyRouter(root: root, watch: platform.watch)
    }

    static func freshFolder() -> String {
        NSTemporaryDirectory() + "/kiln-test-" + UUID().uuidString.lowercased()
    }

    /// Runs a body on a fresh host, then removes everything and states that nothing is left.
    static func run(
        runtimes: [String] = ["crun", "runc"], wantsUserNamespaces: Bool = true,
        _ body: (TestHost) async throws -> Void
    ) async throws {
        let host = try await TestHost(runtimes: runtimes, wantsUserNamespaces: wantsUserNamespaces)
        do { try await body(host) } catch {
            try? await host.close()
            throw error
        }
        try await host.close()
        #expect(try host.remains() == [])
    }

    func close() async throws {
        for key in try await router.observe().routes.keys { try await router.remove(key) }
        try await router.remove(key)
        for instance in try await platform.observe() { try await platform.remove(instance.id, grace: .zero) }
        try await platform.forgetImages(except: [])
        try await platform.tearDown()
        try Files.removeTree(root.path)
    }

    /// What of this root is still on the host, besides the root folder.
    func remains() throws -> [String] {
        var found = LiveProcess.all().filter { process in
            process.pid != getpid()
                && process.arguments.contains { $0.contains(root.path) || $0.contains(root.runFolder) }
        }.map { "process \($0.pid): \($0.arguments.joined(separator: " "))" }
        found += ControlGroups.detect().folders(of: root.cgroup).map { "cgroup \($0)" }
        if try Netlink().index(of: root.bridge) != nil { found.append("bridge") }
        found += Files.names(in: "/sys/class/net").filter { $0.hasPrefix("kv" + root.tag) }.map {
            "cable \($0)"
        }
        if Files.exists(root.runFolder) { found.append(root.runFolder) }
        found += (Files.text("/proc/self/mounts") ?? "").split(separator: "\n").filter {
            $0.contains(root.path)
        }
        .map { "mount \($0)" }
        // A runtime that takes a covered hierarchy for a plain folder would leave its files under the mount.
        let unified = ControlGroups.detect().unified
        let hidden = try ProcessRunner().runNow(
            Command("find", unified.map { "\($0)/\(root.cgroup)" }),
            mounts: try PrivateMounts(covered: [], unmounted: unified), limit: .seconds(600))
        found += hidden.output.split(separator: "\n").map { "hidden \($0)" }
        return found
    }

    // MARK: Orders

    func id(_ ordinal: Int, release: Int = 1) -> InstanceID {
        InstanceID(key, release: ReleaseNumber(release), ordinal: ordinal)
    }

    func order(
        _ ordinal: Int, _ image: Digest = TestImages.digest(.server), release: Int = 1,
        scratch: [ScratchMount] = [], limits: Limits = Limits(), config: [String: String] = [:],
        allow: [Allowance] = [], task: [String]? = nil
    ) -> LaunchOrder {
        let run = RunSettings(
            port: 8080, health: TestHost.health, scratch: scratch, limits: limits, config: config,
            allow: allow)
        return LaunchOrder(
            id: id(ordinal, release: release),
            release: Release(
                key: key, number: ReleaseNumber(release),
                content: Release.Content(image: image, run: run, rollout: RolloutSettings(), listen: nil),
                digest: image, createdAt: Instant(milliseconds: 0), by: "test", message: ""), task: task)
    }

    /// Slow is not sick: all tests share few processors.
    static let health = HealthCheck(.http(path: "/health"), timeout: .seconds(60))

    /// Prepares, launches, and gives what is observed of the instance.
    @discardableResult
    func launch(_ order: LaunchOrder) async throws -> ObservedInstance {
        try await platform.prepare(order.release.content.image)
        try await platform.launch(order)
        return try #require(try await instance(order.id))
    }

    func instance(_ id: InstanceID) async throws -> ObservedInstance? {
        try await platform.observe().first { $0.id == id }
    }

    func server(
        _ instance: ObservedInstance, _ state: RouteServer.State, health: HealthCheck = TestHost.health,
        port: Int = 8080
    ) -> RouteServer {
        RouteServer(id: instance.id, address: instance.address, port: port, health: health, state: state)
    }

    func route(_ port: Int?, _ servers: [RouteServer], traffic: Listener.TrafficProtocol = .http) -> Route {
        Route(
            key: key,
            listener: port.map {
                Listener(address: SocketAddress(host: "127.0.0.1", port: $0), trafficProtocol: traffic)
            },
            servers: servers)
    }

    func observed(_ id: InstanceID) async throws -> ObservedServer? {
        try await router.observe().routes[key]?.servers[id]
    }
}

extension ObservedInstance {
    /// Whether it is the same one, whatever it has done since.
    func isSame(as other: ObservedInstance) -> Bool {
        var (one, two) = (self, other)
        (one.cpuMicroseconds, two.cpuMicroseconds) = (nil, nil)
        return one == two
    }
}

/// Waits for something that happens soon.
func eventually(
    _ limit: Span = .seconds(300), sourceLocation: SourceLocation = #_sourceLocation,
    _ condition: () async throws -> Bool
) async throws {
    let deadline = Monotonic.now + limit.milliseconds
    while true {
        let isLast = Monotonic.now >= deadline
        if try await condition() { return }
        guard !isLast else {
            Issue.record("it did not happen within \(limit)", sourceLocation: sourceLocation)
            return
        }
        try await Task.sleep(for: .milliseconds(10))
    }
}
