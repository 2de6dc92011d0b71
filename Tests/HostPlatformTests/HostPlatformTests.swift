import Glibc
import Model
import Ports
import Testing

@testable import HostPlatform

@Suite(.timeLimit(.minutes(60))) struct HostPlatformTests {
    @Test func `an instance serves from a read-only root with no capability and no way to gain one`()
        async throws
    {
        try await TestHost.run { host in
            let order = host.order(
                1, scratch: [ScratchMount(path: "/run"), ScratchMount(path: "/var/lib/app")],
                config: ["FROM": "release"])
            let instance = try await host.launch(order)
            #expect(instance.phase == .running)
            #expect(instance.isMonitored)
            try await eventually { WebClient.get(instance.address, 8080)?.status == 200 }

            func sh(_ script: String) async throws -> Int {
                try await host.platform.execute(
                    ["/bin/busybox", "sh", "-c", script], in: order.id, timeout: .seconds(300))
            }
            #expect(try await sh("/bin/busybox touch /www/x") != 0)
            #expect(try await sh("/bin/busybox touch /bin/x") != 0)
            #expect(try await sh("echo hi > /run/x && /bin/busybox test -s /run/x") == 0)
            #expect(try await sh("echo hi > /var/lib/app/body/x") == 0)
            // noexec
            #expect(try await sh("/bin/busybox cp /bin/busybox /run/b; /run/b true") != 0)
            #expect(try await sh("/bin/busybox test \"$FROM$KEPT\" = releaseyes") == 0)
            #expect(try await sh("/bin/busybox test $(/bin/busybox hostname) = web-r1-1") == 0)
            #expect(try await sh("/bin/busybox mount -t tmpfs x /run") != 0)
            #expect(try await sh("/bin/busybox unshare -U /bin/busybox true") != 0)

            let pid = try #require(instance.processID)
            let status = try #require(Files.text("/proc/\(pid)/status"))
            for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
                #expect(status.contains("\(set):\t0000000000000000\n"), "\(set)")
            }
            #expect(status.contains("NoNewPrivs:\t1\n"))
            #expect(status.contains("Seccomp:\t2\n"))
            let first = UserRange(try #require(IPv4(instance.address))).first
            let user = host.platform.runtime.lacksUserNamespaces == nil ? first + 33 : 33
            #expect(status.contains("Uid:\t\(user)\t\(user)\t\(user)\t\(user)\n"))
        }
    }

    @Test func `limits hold in the control group`() async throws {
        try await TestHost.run { host in
            let limits = Limits(memory: ByteCount(bytes: 48 << 20), milliCPU: 250, pids: 17)
            let instance = try await host.launch(host.order(1, limits: limits))
            let groups = ControlGroups.detect()
            let group = "\(host.root.cgroup)/\(instance.id)"
            #expect(groups.memoryLimit(of: group) == 48 << 20)
            #expect(groups.processes(in: group).contains(Int32(try #require(instance.processID))))
            let folders = groups.folders(of: group)
            let pids = folders.compactMap { Files.text($0 + "/pids.max") }
            #expect(pids == ["17\n"])
            let quotas = folders.compactMap {
                Files.text($0 + "/cpu.cfs_quota_us") ?? Files.text($0 + "/cpu.max")
            }
            #expect(quotas.first.map { $0.hasPrefix("25000") } == true)
        }
    }

    @Test func `either runtime does, with limits that hold`() async throws {
        for runtime in ContainerRuntime.all {
            try await TestHost.run(runtimes: [runtime]) { host in
                #expect(host.platform.runtime.program == runtime)
                let instance = try await host.launch(
                    host.order(1, scratch: [ScratchMount(path: "/run"), ScratchMount(path: "/var/lib/app")]))
                try await eventually { WebClient.get(instance.address, 8080)?.status == 200 }
                let group = "\(host.root.cgroup)/\(instance.id)"
                #expect(ControlGroups.detect().memoryLimit(of: group) == Limits().memory.bytes)
                let script = "echo hi > /var/lib/app/body/x && ! echo hi > /www/x"
                let status = try await host.platform.execute(
                    ["/bin/busybox", "sh", "-c", script], in: instance.id, timeout: .seconds(300))
                #expect(status == 0)
            }
        }
    }

    @Test func `two roots do not meet`() async throws {
        try await TestHost.run { one in
            try await TestHost.run { other in
                #expect(one.root.tag != other.root.tag)
                let first = try await one.launch(one.order(1))
                let second = try await other.launch(other.order(1))
                #expect(first.id == second.id)
                #expect(first.address != second.address)
                try await other.platform.remove(second.id, grace: .zero)
                #expect(try await other.instance(second.id) == nil)
                let left = try await one.instance(first.id)
                let log = try await one.platform.log(of: first.id, lines: 5)
                #expect(left?.phase == .running, "\(String(describing: left)) \(log)")
                try await eventually { WebClient.get(first.address, 8080)?.status == 200 }
            }
        }
    }

    @Test func `an ended instance keeps its exit status and its log, also when it is removed`() async throws {
        try await TestHost.run { host in
            let order = host.order(1, TestImages.digest(.failing))
            try await host.launch(order)
            try await eventually { try await host.instance(order.id)?.phase == .exited(status: 3) }
            try await host.platform.remove(order.id, grace: .zero)
            let lines = try await host.platform.log(of: order.id, lines: 10)
            #expect(Set(lines.map(\.text)) == ["going down", "badly"])
            #expect(Set(lines.map(\.stream)) == [.out, .err])
        }
    }

    @Test func `removing asks first, and kills after the grace`() async throws {
        try await TestHost.run { host in
            let order = host.order(1, TestImages.digest(.sleeper))
            let process = try #require(
                try await host.launch(order).processID.flatMap { LiveProcess(Int32($0)) })
            let exitFile = host.root.instance(order.id).exitFolder + "/" + order.id.text
            // Until its shell has set the trap, the first process of a namespace does not hear it.
            try await eventually { process.hears(SIGTERM) }
            kill(process.pid, SIGTERM)
            try await eventually { Files.text(exitFile) == "7" }
            // httpd does not listen for SIGTERM, so nobody waits for it: the test's own time is shorter.
            try await host.launch(host.order(2))
            try await host.platform.remove(host.id(2), grace: .seconds(600))
        }
    }

    @Test func `a command that cannot start is a launch failure with the reason, and is removed whole`()
        async throws
    {
        try await TestHost.run { host in
            let order = host.order(1, TestImages.digest(.broken))
            let failure = await #expect(throws: Failure.self) { try await host.launch(order) }
            #expect(failure?.code == .launchFailed)
            #expect(failure?.message.contains("nothing") == true, "\(failure?.message ?? "")")
            #expect(try await host.instance(order.id)?.phase == .launching)
            try await host.platform.remove(order.id, grace: .zero)
            #expect(try await host.platform.observe().isEmpty)
        }
    }

    @Test func `a scratch path that the image lacks is named, with what to do`() async throws {
        try await TestHost.run { host in
            let order = host.order(1, TestImages.digest(.bare), scratch: [ScratchMount(path: "/run")])
            let failure = await #expect(throws: Failure.self) { try await host.launch(order) }
            #expect(failure?.message.contains("/run") == true)
            #expect(failure?.suggestion?.contains("/run") == true)
        }
    }

    @Test func `launching twice is launching once`() async throws {
        try await TestHost.run { host in
            let first = try await host.launch(host.order(1))
            let again = try await host.launch(host.order(1))
            #expect(again.isSame(as: first))
        }
    }

    @Test func `many launches at once get an address each`() async throws {
        try await TestHost.run { host in
            try await host.platform.prepare(TestImages.digest(.server))
            try await withThrowingTaskGroup { group in
                for ordinal in 1...6 {
                    group.addTask { try await host.platform.launch(host.order(ordinal)) }
                }
                try await group.waitForAll()
            }
            let seen = try await host.platform.observe()
            #expect(seen.count == 6)
            #expect(seen.allSatisfy { $0.phase == .running })
            #expect(Set(seen.map(\.address)).count == 6)
        }
    }

    @Test func `a killed monitor is seen, and told`() async throws {
        try await TestHost.run { host in
            let instance = try await host.launch(host.order(1))
            let folder = host.root.instance(instance.id)
            let monitor = try #require(RunningRecord.read(folder)?.monitor)
            var changes = host.platform.changes.makeAsyncIterator()
            kill(monitor.pid, SIGKILL)
            await changes.next()
            try await eventually { try await host.instance(instance.id)?.isMonitored == false }
            #expect(try await host.instance(instance.id)?.phase == .running)
        }
    }

    @Test func `a command inside is bounded in time and leaves nothing`() async throws {
        try await TestHost.run { host in
            let instance = try await host.launch(host.order(1))
            let failure = await #expect(throws: Failure.self) {
                try await host.platform.execute(
                    ["/bin/busybox", "sleep", "60"], in: instance.id, timeout: .milliseconds(500))
            }
            #expect(failure?.code == .timedOut)
            let group = "\(host.root.cgroup)/\(instance.id)"
            try await eventually { ControlGroups.detect().processes(in: group).count == 1 }
        }
    }

    @Test func `a full disk is said, and leaves no half-made image`() async throws {
        try await TestHost.run { host in
            let image = TestImages.digest(.tooLarge)
            let failure = await #expect(throws: Failure.self) { try await host.platform.prepare(image) }
            #expect(failure?.code == .diskFull)
            #expect(Files.names(in: host.root.images).isEmpty)
            #expect(Files.names(in: host.root.temporary).isEmpty)
        }
    }

    @Test func `an image is made once for many callers, and let go when nothing needs it`() async throws {
        try await TestHost.run { host in
            let (used, unused) = (TestImages.digest(.server), TestImages.digest(.server, version: 2))
            try await withThrowingTaskGroup { group in
                for _ in 1...4 { group.addTask { try await host.platform.prepare(used) } }
                group.addTask { try await host.platform.prepare(unused) }
                try await group.waitForAll()
            }
            try await host.launch(host.order(1, used))
            try await host.platform.forgetImages(except: [])
            #expect(Files.isMountPoint(host.root.imageMount(used)))
            #expect(!Files.exists(host.root.imageMount(unused)))
            #expect(!Files.exists(host.root.imageFile(unused)))
        }
    }
}
