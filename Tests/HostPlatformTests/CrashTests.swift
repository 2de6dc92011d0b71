import Glibc
import Model
import Ports
import Testing

@testable import HostPlatform

/// Dying at any step of a launch leaves something that the next life sees and removes.
@Suite(.timeLimit(.minutes(60))) struct CrashTests {
    private struct Death: Error {}

    @Test(arguments: LaunchStage.allCases)
    func `dying after a stage of a launch leaves nothing after a removal`(_ last: LaunchStage) async throws {
        let folder = TestHost.freshFolder()
        let dying = try await TestHost(folder) { stage in
            if stage == last { throw Death() }
        }
        let order = dying.order(1)
        try await dying.platform.prepare(order.release.content.image)
        await #expect(throws: Death.self) { try await dying.platform.launch(order) }

        let next = try await TestHost(folder)
        #expect(try await next.instance(order.id)?.phase == .launching)
        try await next.platform.remove(order.id, grace: .zero)
        #expect(try await next.platform.observe().isEmpty)
        let groups = ControlGroups.detect().folders(of: "\(next.root.cgroup)/\(order.id)")
        #expect(groups == [])
        // The same launch again, as the loop would after a crash.
        #expect(try await next.launch(order).phase == .running)
        try await next.close()
        #expect(try next.remains() == [])
    }

    @Test func `a half-made instance is launched anew under its name`() async throws {
        let folder = TestHost.freshFolder()
        let dying = try await TestHost(folder) { stage in if stage == .created { throw Death() } }
        let order = dying.order(1)
        await #expect(throws: Death.self) { try await dying.launch(order) }
        let next = try await TestHost(folder)
        #expect(try await next.launch(order).phase == .running)
        try await next.close()
        #expect(try next.remains() == [])
    }

    @Test func `a monitor and a runtime that are still at work are found and ended`() async throws {
        let folder = TestHost.freshFolder()
        let dying = try await TestHost(folder) { stage in if stage == .bundled { throw Death() } }
        let order = dying.order(1)
        await #expect(throws: Death.self) { try await dying.launch(order) }
        // What the dead one would have begun next, without waiting for it.
        let monitor = Monitor(
            runtime: dying.platform.runtime, id: order.id, folder: dying.root.instance(order.id))
        let mounts = try await dying.platform.fileSystem.mounts(
            for: order.release.content.image, of: dying.platform.runtime)
        let begun = Task.detached { try? monitor.start(mounts).create() }
        try await Task.sleep(for: .milliseconds(5))
        let next = try await TestHost(folder)
        try await next.platform.remove(order.id, grace: .zero)
        _ = await begun.value
        // Whatever was begun after the look is still owned by nobody but the name: a second removal finds it.
        try await next.close()
        #expect(try next.remains() == [])
    }

    @Test func `instances outlive the daemon, and the next one watches them`() async throws {
        let folder = TestHost.freshFolder()
        let first = try await TestHost(folder)
        let before = try await first.launch(first.order(1))
        let next = try await TestHost(folder)
        let after = try #require(try await next.instance(before.id))
        #expect(after.isSame(as: before))
        var changes = next.platform.changes.makeAsyncIterator()
        kill(pid_t(try #require(after.processID)), SIGKILL)
        await changes.next()
        try await eventually { try await next.instance(before.id)?.phase == .exited(status: 137) }
        try await next.close()
        #expect(try next.remains() == [])
    }

    @Test func `a reused process number is not taken for the instance`() throws {
        var own = try #require(LiveProcess(getpid()))
        #expect(own.isAlive)
        own.startTime += 1
        #expect(!own.isAlive)
        #expect(own.open() == nil)
    }

    @Test func `the start sweeps what nobody owns`() async throws {
        let folder = TestHost.freshFolder()
        let root = try HostRoot(folder)
        try Files.makeFolder(root.temporary + "/half/tree")
        try Files.makeFolder(root.instances + "/web-r1-9")
        let host = try await TestHost(folder)
        #expect(Files.names(in: root.temporary).isEmpty)
        #expect(Files.names(in: root.instances).isEmpty)
        try await host.close()
        #expect(try host.remains() == [])
    }
}
