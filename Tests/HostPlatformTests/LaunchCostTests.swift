import Glibc
import Model
import Ports
import Testing

@testable import HostPlatform

/// What makes a launch cheap must not make it different.
@Suite(.timeLimit(.minutes(60))) struct LaunchCostTests {
    @Test func `a monitor that is never told to go on ends, and has made nothing`() async throws {
        try await TestHost.run { host in
            let order = host.order(1)
            let folder = host.root.instance(order.id)
            try Files.makeFolder(folder.bundle)
            try Files.makeFolder(folder.exitFolder)
            let monitor = Monitor(runtime: host.platform.runtime, id: order.id, folder: folder)
            _ = try monitor.start(host.platform.runtime.mounts)
            let left = LiveProcess.all().filter { $0.arguments.contains(folder.bundle) }
            #expect(left.isEmpty)
            #expect(!Files.exists("\(host.root.runtimeState)/\(order.id)"))
            for path in [folder.path, folder.bundle] { try Files.removeTree(path) }
        }
    }

    @Test func `the copy of a runtime is the same program, and nobody can write to it`() async throws {
        try await TestHost.run(runtimes: ["crun"]) { host in
            let runtime = host.platform.runtime
            #expect(runtime.executable != runtime.path)
            #expect(
                Files.read(runtime.executable, limit: 64 << 20) == Files.read(runtime.path, limit: 64 << 20))
            let file = Descriptor(open(runtime.executable, O_RDWR | O_CLOEXEC))
            #expect(file.number < 0 || write(file.number, "x", 1) < 0)
        }
    }

    @Test func `a started container is a running one to its runtime, and cannot be started twice`()
        async throws
    {
        try await TestHost.run(runtimes: ["crun"]) { host in
            let instance = try await host.launch(host.order(1))
            let runtime = host.platform.runtime
            let state = try await ProcessRunner().run(
                runtime.command(["state", instance.id.text]), mounts: runtime.mounts, limit: .seconds(300))
            #expect(state.output.contains("\"status\": \"running\""), "\(state)")
            #expect(throws: Failure.self) { try runtime.startNow(instance.id) }
        }
    }

    @Test func `monitors hold the image of their instance and no other one`() async throws {
        try await TestHost.run { host in
            let images = [TestImages.digest(.server), TestImages.digest(.server, version: 2)]
            for image in images { try await host.platform.prepare(image) }
            for (ordinal, image) in images.enumerated() {
                try await host.launch(host.order(ordinal + 1, image))
                let folder = host.root.instance(host.id(ordinal + 1))
                let monitor = try #require(RunningRecord.read(folder)?.monitor)
                let mounts = try #require(Files.text("/proc/\(monitor.pid)/mounts"))
                #expect(mounts.contains(host.root.imageMount(image)))
                #expect(!mounts.contains(host.root.imageMount(images[1 - ordinal])))
            }
        }
    }

    @Test func `asking for a move that cannot be moves nothing`() {
        let groups = ControlGroups.detect()
        let before = Files.text("/proc/self/cgroup")
        groups.prepareForMoves()
        #expect(Files.text("/proc/self/cgroup") == before)
    }

    @Test func `what covers the hierarchies of version 2 is renewed before it is full`() async throws {
        try await TestHost.run { host in
            let image = TestImages.digest(.server)
            try await host.platform.prepare(image)
            let files = host.platform.fileSystem
            let first = try await files.mounts(for: image, of: host.platform.runtime)
            for _ in 1..<Limit.launchesInNamespace {
                #expect(try await files.mounts(for: image, of: host.platform.runtime) === first)
            }
            #expect(try await files.mounts(for: image, of: host.platform.runtime) !== first)
        }
    }
}
