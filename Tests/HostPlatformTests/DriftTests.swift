import Foundation
import Glibc
import Model
import Ports
import Testing

@testable import HostPlatform

/// Attacks on instances of this host are found and named, and nothing else is.
@Suite(.serialized, .timeLimit(.minutes(60))) struct DriftTests {
    /// Runs a script of somebody else, to its end.
    @discardableResult
    func attack(_ script: String) throws -> ProcessRunner.Result {
        try ProcessRunner().runNow(Command("/bin/sh", ["-c", script]), limit: .seconds(300))
    }

    /// Runs a script of somebody else for as long as the body takes.
    private func meanwhile(_ script: String, _ body: () async throws -> Void) async throws {
        let null = Descriptor(open("/dev/null", O_RDWR | O_CLOEXEC))
        let child = try Child.start(
            Command("/bin/sh", ["-c", script + "; true"]), input: null.number, output: null.number,
            errors: null.number, newSession: true)
        defer {
            kill(-child.pid, SIGKILL)
            _ = child.wait()
        }
        try await body()
    }

    /// Launches a server and waits until the sentinel knows what it looks like.
    func watched(_ host: TestHost, _ order: LaunchOrder) async throws -> Int32 {
        let instance = try await host.launch(order)
        try await settled(host, order.id)
        return Int32(try #require(instance.processID))
    }

    private func settled(_ host: TestHost, _ id: InstanceID) async throws {
        try await eventually { host.platform.sentinel.baseline(of: id) != nil }
    }

    func found(
        _ host: TestHost, _ kind: Drift.Kind, _ subject: String, _ id: InstanceID,
        sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        let deadline = Monotonic.now + 300_000
        while true {
            host.platform.sentinel.look()
            let drifts = try await host.instance(id)?.drifts ?? []
            if drifts.contains(where: { $0.kind == kind && $0.subject.hasPrefix(subject) }) { return }
            guard Monotonic.now < deadline else {
                let all = drifts.map { "\($0.kind) \($0.subject)" }
                Issue.record("no drift \(kind) \(subject) in \(all)", sourceLocation: sourceLocation)
                return
            }
            try await Task.sleep(for: .milliseconds(20))
        }
    }

    /// In an instance's namespaces, with everything else of the host, without executing anything there.
    private func inside(_ pid: Int32, _ namespaces: [String], _ act: String) -> String {
        let joins = namespaces.map { "c.setns(os.open('/proc/\(pid)/ns/\($0)', os.O_RDONLY), 0)" }
        let lines = ["import ctypes, os, time", "c = ctypes.CDLL(None, use_errno=True)"] + joins + [act]
        return "python3 -c \"\(lines.joined(separator: "\n"))\""
    }

    // MARK: Processes and programs

    @Test func `a process that came from outside is drift, and stays known when it is over`() async throws {
        try await TestHost.run { host in
            let order = host.order(1)
            let pid = try await watched(host, order)
            try await meanwhile("nsenter -t \(pid) -n sleep 600") {
                try await found(host, .process, Tool.find("sleep")!, order.id)
            }
            #expect(try await host.instance(order.id)?.drifts.isEmpty == false)
        }
    }

    @Test(arguments: ["pid", "mnt", "net", "ipc", "uts"])
    func `whoever joins one namespace is found`(_ namespace: String) async throws {
        try await TestHost.run { host in
            let order = host.order(1)
            let pid = try await watched(host, order)
            // Whoever joins a pid namespace is in it with its children only.
            let act = "if os.fork() == 0: time.sleep(600)\nos.wait()"
            try await meanwhile(inside(pid, [namespace], act)) {
                try await eventually {
                    host.platform.sentinel.look()
                    return try await host.instance(order.id)?.drifts.contains {
                        $0.kind == .process && $0.subject.contains("python")
                    } == true
                }
            }
        }
    }

    @Test func `whoever is moved into the control group is found`() async throws {
        try await TestHost.run { host in
            let order = host.order(1)
            _ = try await watched(host, order)
            let group = try #require(
                ControlGroups.detect().folders(of: "\(host.root.cgroup)/\(order.id)").first)
            try await meanwhile("sh -c 'echo $$ > \(group)/cgroup.procs; exec sleep 600'") {
                try await found(host, .process, Tool.find("sleep")!, order.id)
            }
        }
    }

    @Test func `a program of the image is denied to whoever comes from outside, and told at once`()
        async throws
    {
        try await TestHost.run { host in
            let order = host.order(1)
            let pid = try await watched(host, order)
            try await eventually { try attack("nsenter -t \(pid) -a /bin/busybox true").status != 0 }
            // A look that came in between knows the same visitor already.
            try await eventually {
                try await host.instance(order.id)?.drifts.contains { $0.kind == .process } == true
            }
            // Its own programs go on, and so do ours.
            let status = try await host.platform.execute(
                ["/bin/busybox", "sh", "-c", "/bin/busybox true"], in: order.id, timeout: .seconds(300))
            #expect(status == 0)
        }
    }

    @Test func `a command by the runtime itself is drift where the daemon did not give it`() async throws {
        for runtime in ContainerRuntime.all {
            try await TestHost.run(runtimes: [runtime]) { host in
                let order = host.order(1)
                _ = try await watched(host, order)
                let command = host.platform.runtime.command(
                    ["exec", order.id.text, "/bin/busybox", "sleep", "3000"])
                let null = host.platform.runtime.mounts.null.number
                let child = try Child.start(
                    command, input: null, output: null, errors: null, mounts: host.platform.runtime.mounts)
                try await eventually {
                    try await host.instance(order.id)?.drifts.contains { $0.kind == .process } == true
                }
                child.signal(SIGKILL)
                _ = child.wait()
            }
        }
    }

    /// It cannot, until somebody takes from its folder that nothing there may be executed.
    @Test func `a program that an instance wrote is found, though the instance itself ran it`() async throws {
        try await TestHost.run { host in
            let order = host.order(
                1, TestImages.digest(.shifty), scratch: [ScratchMount(path: "/run")])
            let pid = try await watched(host, order)
            host.platform.sentinel.look()
            #expect(try await host.instance(order.id)?.drifts == [])
            let go = ["/bin/busybox", "sh", "-c", "> /run/go"]
            #expect(try await host.platform.execute(go, in: order.id, timeout: .seconds(300)) == 0)
            // MS_REMOUNT | MS_BIND, without MS_NOEXEC.
            let result = try attack(
                inside(pid, ["mnt"], "assert c.mount(None, b'/run', None, 32 | 4096, None) == 0"))
            #expect(result.status == 0, "\(result.errors)")
            try await found(host, .program, "/run/copy", order.id)
        }
    }

    // MARK: What holds it

    @Test func `a mount over a folder is found, by its path`() async throws {
        try await TestHost.run { host in
            let order = host.order(1)
            let pid = try await watched(host, order)
            let result = try attack(
                inside(pid, ["mnt"], "assert c.mount(b'x', b'/www', b'tmpfs', 0, None) == 0"))
            #expect(result.status == 0, "\(result.errors)")
            try await found(host, .confinement, "mount /www", order.id)
        }
    }

    @Test func `a configuration that was changed on disk is found`() async throws {
        try await TestHost.run { host in
            let order = host.order(1)
            _ = try await watched(host, order)
            _ = try attack("echo >> \(host.root.instance(order.id).bundle)/config.json")
            try await found(host, .confinement, "config.json", order.id)
        }
    }

    @Test(arguments: [
        ("prlimit --pid PID --nofile=900000:900000", "RLIMIT_NOFILE"),
        ("prlimit --pid PID --core=unlimited:unlimited", "RLIMIT_CORE"),
    ]) func `rights that a process got from outside are found`(_ act: String, _ subject: String) async throws
    {
        try await TestHost.run { host in
            let order = host.order(1)
            let pid = try await watched(host, order)
            // A root without CAP_SYS_RESOURCE, as in many containers, raises nobody's limits.
            guard try attack(act.replacing("PID", with: "\(pid)")).status == 0 else { return }
            try await found(host, .confinement, subject, order.id)
        }
    }

    @Test func `limits are found, put back, and found again`() async throws {
        try await TestHost.run { host in
            let order = host.order(
                1, limits: Limits(memory: ByteCount(bytes: 48 << 20), milliCPU: 250, pids: 17))
            _ = try await watched(host, order)
            let groups = ControlGroups.detect().folders(of: "\(host.root.cgroup)/\(order.id)")
            let pids = try #require(groups.map { $0 + "/pids.max" }.first { Files.exists($0) })
            for _ in 1...2 {
                _ = try attack("echo 1000 > \(pids)")
                try await found(host, .limits, "pids.max", order.id)
                try await host.platform.restoreLimits(of: order.id)
                #expect(Files.text(pids) == "17\n")
                #expect(try await host.instance(order.id)?.drifts == [])
            }
        }
    }

    @Test(arguments: [
        ("ip route add 10.9.0.0/16 dev lo", "route 10.9.0.0/16"),
        ("ip address add 10.9.0.1/32 dev lo", "address 10.9.0.1/32"),
        ("ip link set eth0 down", "interface eth0"),
        ("ip link add x0 type bridge && ip link set x0 up", "interface x0"),
        ("nft add table ip x", "firewall"),
    ]) func `a changed network is found`(_ change: String, _ subject: String) async throws {
        try await TestHost.run { host in
            let order = host.order(1)
            let pid = try await watched(host, order)
            let result = try attack("nsenter -t \(pid) -n sh -c '\(change)'")
            #expect(result.status == 0, "\(result.errors)")
            try await found(host, .network, subject, order.id)
        }
    }

    @Test func `a port that somebody else opened in the instance's network is found`() async throws {
        try await TestHost.run { host in
            let order = host.order(1)
            let pid = try await watched(host, order)
            // It goes back to its own network, and keeps the socket.
            let act = """
                import socket
                home = os.open('/proc/self/ns/net', os.O_RDONLY)
                c.setns(os.open('/proc/\(pid)/ns/net', os.O_RDONLY), 0)
                s = socket.create_server(('', 9999))
                c.setns(home, 0)
                time.sleep(600)
                """
            try await meanwhile(inside(pid, [], act)) {
                try await found(host, .network, "port 9999", order.id)
            }
        }
    }

    // MARK: The host

    @Test func `what an instance calls itself makes it no part of another`() async throws {
        try await TestHost.run { host in
            // Its arguments are those of a monitor of the second one.
            let words = [
                host.root.runtimeState, host.id(2).text, host.root.instance(host.id(2)).bundle,
            ]
            let order = host.order(
                1, task: ["/bin/busybox", "sh", "-c", "while true; do /bin/busybox sleep 1; done"] + words)
            let pid = try await watched(host, order)
            _ = try await watched(host, host.order(2))
            try await host.platform.remove(host.id(2), grace: .zero)
            let group = "\(host.root.cgroup)/\(host.id(1))"
            try Leftovers(
                runtime: host.platform.runtime, id: host.id(2), folder: host.root.instance(host.id(2))
            ).remove(isHalfMade: true)
            #expect(ControlGroups.detect().processes(in: group).contains(pid))
            #expect(LiveProcess(pid) != nil)
        }
    }

    @Test func `a control group that no instance owns is found and removed with its processes`() async throws
    {
        try await TestHost.run { host in
            let order = host.order(1)
            _ = try await watched(host, order)
            #expect(try await host.platform.hostDrifts() == [])
            let folder =
                try #require(ControlGroups.detect().folders(of: host.root.cgroup).first) + "/intruder"
            try Files.makeFolder(folder)
            try await meanwhile("sh -c 'echo $$ > \(folder)/cgroup.procs; exec sleep 600'") {
                try await eventually { Files.text(folder + "/cgroup.procs")?.isEmpty == false }
                let drift = try #require(try await host.platform.hostDrifts().first)
                #expect(drift.kind == .stranger && drift.subject == "intruder")
                let kept = try #require(try await host.platform.setRight(drift))
                #expect(!Files.exists(folder))
                let json = try JSONValue(parsing: try #require(Files.read(kept.path)))
                #expect(json["stranger"]?.text == "intruder")
                #expect(json["processes"]?.elements?.isEmpty == false)
            }
            #expect(try await host.platform.hostDrifts() == [])
        }
    }

    @Test(arguments: ["down", "del"])
    func `a bridge that was taken away is found and put back, and instances are reached again`(
        _ act: String
    ) async throws {
        try await TestHost.run { host in
            let instance = try await host.launch(host.order(1))
            try await eventually { WebClient.get(instance.address, 8080)?.status == 200 }
            let bridge = host.root.bridge
            _ = try attack(act == "del" ? "ip link del \(bridge)" : "ip link set \(bridge) down")
            let drift = try #require(try await host.platform.hostDrifts().first)
            #expect(drift.kind == .host && drift.subject == "bridge \(bridge)")
            try await host.platform.setRight(drift)
            #expect(try await host.platform.hostDrifts() == [])
            try await eventually { WebClient.get(instance.address, 8080)?.status == 200 }
        }
    }

    @Test func `a firewall table that was changed is found and put back`() async throws {
        try await TestHost.run { host in
            // Where the host does not forward, there is no table.
            guard Files.text("/proc/sys/net/ipv4/ip_forward") == "1\n", Tool.find("nft") != nil else {
                return
            }
            _ = try attack("nft flush table ip \(host.root.firewallTable)")
            let drift = try #require(try await host.platform.hostDrifts().first)
            #expect(drift.subject == "firewall \(host.root.firewallTable)")
            try await host.platform.setRight(drift)
            #expect(try await host.platform.hostDrifts() == [])
        }
    }

    // MARK: What is no drift

    @Test func `servers, commands of ours, orphans and servers that give up rights are no drift`()
        async throws
    {
        try await TestHost.run { host in
            let shell = "while true; do (/bin/busybox sleep 0.2 & ); /bin/busybox sleep 0.1; done"
            let dropping =
                "/bin/busybox setuidgid 33:33 /bin/busybox sleep 60 & /bin/busybox nc -l -p 99 & wait"
            let orders = [
                host.order(1), host.order(2, TestImages.digest(.sleeper)),
                host.order(3, task: ["/bin/busybox", "sh", "-c", shell]),
                host.order(4, TestImages.digest(.rooted), task: ["/bin/busybox", "sh", "-c", dropping]),
                // An entry point that gives its server another environment than it got.
                host.order(
                    5, task: ["/bin/busybox", "env", "FROM=other", "/bin/busybox", "sleep", "60"]),
            ]
            for order in orders { _ = try await watched(host, order) }
            for _ in 1...5 {
                host.platform.sentinel.look()
                _ = try await host.platform.execute(
                    ["/bin/busybox", "sh", "-c", "/bin/busybox sleep 0.3 & /bin/busybox sleep 0.2"],
                    in: orders[0].id, timeout: .seconds(300))
            }
            _ = try? await host.platform.execute(
                ["/bin/busybox", "sleep", "60"], in: orders[0].id, timeout: .milliseconds(300))
            let seen = try await host.platform.observe()
            #expect(seen.count == orders.count)
            #expect(seen.flatMap(\.drifts) == [])
        }
    }

    @Test func `many commands of ours at once are no drift, whichever runtime gives them`() async throws {
        for runtime in ContainerRuntime.all {
            try await TestHost.run(runtimes: [runtime]) { host in
                let order = host.order(1)
                _ = try await watched(host, order)
                try await withThrowingTaskGroup { group in
                    for _ in 1...4 {
                        group.addTask {
                            for _ in 1...20 {
                                host.platform.sentinel.look()
                                let script = "/bin/busybox true & (/bin/busybox true; /bin/busybox true)"
                                let status = try await host.platform.execute(
                                    ["/bin/busybox", "sh", "-c", script], in: order.id, timeout: .seconds(300)
                                )
                                #expect(status == 0)
                            }
                        }
                    }
                    try await group.waitForAll()
                }
                #expect(try await host.instance(order.id)?.drifts == [])
            }
        }
    }

    @Test func `a later daemon compares with the launch, and knows the commands of the one before`()
        async throws
    {
        let folder = TestHost.freshFolder()
        let order: LaunchOrder
        let pid: Int32
        do {
            let host = try await TestHost(folder)
            order = host.order(1)
            pid = try await watched(host, order)
            try await host.platform.prepare(TestImages.digest(.server))
        }
        let next = try await TestHost(folder)
        try await settled(next, order.id)
        let null = Descriptor(open("/dev/null", O_RDWR | O_CLOEXEC))
        let process = "\(next.root.temporary)/exec.json"
        try Files.replace(
            process,
            with: RuntimeBundle.process(
                ["/bin/busybox", "sleep", "60"], folder: next.root.instance(order.id).bundle),
            durably: false)
        let left = try Child.start(
            next.platform.execution(["exec", "--process", process, order.id.text], in: order.id),
            input: null.number,
            output: null.number, errors: null.number, mounts: next.platform.runtime.mounts)
        let group = "\(next.root.cgroup)/\(order.id)"
        try await eventually { ControlGroups.detect().processes(in: group).count == 2 }
        next.platform.sentinel.look()
        let command = try #require(ControlGroups.detect().processes(in: group).first { $0 != pid })
        let environment = try #require(ProcessFile.read(command, "environ"))
        #expect(String(decoding: environment, as: UTF8.self).contains(Lineage.variable + "="))
        _ = try attack(inside(pid, ["mnt"], "assert c.mount(b'x', b'/www', b'tmpfs', 0, None) == 0"))
        let last = try await TestHost(folder)
        try await found(last, .confinement, "mount /www", order.id)
        #expect(
            try await last.instance(order.id)?.drifts.contains {
                $0.kind == .process && $0.subject.contains("busybox")
            } == false)
        left.signal(SIGKILL)
        _ = left.wait()
        // What it began is ours now, and keeps the instance's processes from ending for as long as nobody reaps it.
        for orphan in ControlGroups.detect().processes(in: group) where orphan != pid {
            kill(orphan, SIGKILL)
            waitpid(orphan, nil, 0)
        }
        try await last.close()
        _ = next
        #expect(try last.remains() == [])
    }

    // MARK: Evidence

    @Test func `evidence says what ran and what it wrote, whole or not at all`() async throws {
        try await TestHost.run { host in
            let order = host.order(1, scratch: [ScratchMount(path: "/run")])
            _ = try await watched(host, order)
            _ = try await host.platform.execute(
                ["/bin/busybox", "sh", "-c", "echo hi > /run/x; /bin/busybox ln -s /etc/shadow /run/y"],
                in: order.id,
                timeout: .seconds(300))
            let drift = Drift(.process, "/bin/x", "it was", source: .event, at: HostPlatform.now)
            let kept = try await host.platform.keepEvidence(of: order.id, about: [drift])
            let bytes = try #require(Files.read(kept.path))
            let json = try JSONValue(parsing: bytes)
            #expect(json["processes"]?.elements?.first?["program"]?.text == "/bin/busybox")
            #expect(json["drifts"]?.elements?.first?["subject"]?.text == "/bin/x")
            let files = json["scratch"]?.elements ?? []
            // SHA-256 of "hi\n".
            let sum = "98ea6e4f216f2fb4b69fff9b3a44842c38686ca685f3f55dc48c5d3fb1107be4"
            #expect(files.contains { $0["path"]?.text == "/run/x" && $0["sha256"]?.text == sum })
            #expect(files.contains { $0["path"]?.text == "/run/y" && $0["link"]?.text == "/etc/shadow" })
            let again = try await host.platform.keepEvidence(of: order.id, about: [])
            #expect(again.path != kept.path)

            let evidence = host.root.evidence
            _ = try attack(
                "mount -t tmpfs -o size=16k x \(evidence); head -c 99999 /dev/zero > \(evidence)/full")
            defer { umount2(evidence, Int32(MNT_DETACH)) }
            let failure = await #expect(throws: Failure.self) {
                try await host.platform.keepEvidence(of: order.id, about: [])
            }
            #expect(failure?.code == .diskFull)
            #expect(Files.names(in: evidence) == ["full"])
        }
    }
}
