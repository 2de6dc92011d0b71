import Glibc
import Model
import Ports
import Testing

@testable import HostPlatform

/// A gate's command runs once, as an instance of the release.
@Suite(.timeLimit(.minutes(60))) struct TaskTests {
    private static func shell(_ script: String) -> [String] { ["/bin/busybox", "sh", "-c", script] }

    @Test(arguments: [0, 3])
    func `a task runs in the release's surroundings, and its exit status is kept`(_ status: Int) async throws
    {
        try await TestHost.run { host in
            let script = "echo $FROM $(/bin/busybox cat /www/index.html); exit \(status)"
            let order = host.order(1, config: ["FROM": "release"], task: TaskTests.shell(script))
            #expect(try await host.launch(order).isTask)
            try await eventually { try await host.instance(order.id)?.phase == .exited(status: status) }
            #expect(try await host.platform.log(of: order.id, lines: 5).map(\.text) == ["release version 1"])
            // Asked for again after a crash that forgot it: it does not run twice.
            try await host.platform.launch(order)
            #expect(try await host.platform.log(of: order.id, lines: 5).count == 1)
            #expect(try await host.instance(order.id)?.isTask == true)
            try await host.platform.remove(order.id, grace: .zero)
            #expect(try await host.instance(order.id) == nil)
        }
    }

    @Test func `a task's end is seen by a daemon that was not there at its launch`() async throws {
        let folder = TestHost.freshFolder()
        let first = try await TestHost(folder)
        let order = first.order(
            1, scratch: [ScratchMount(path: "/run")],
            task: TaskTests.shell(
                "while ! /bin/busybox test -e /run/go; do /bin/busybox sleep 0.05; done; exit 3"))
        try await first.launch(order)
        let next = try await TestHost(folder)
        let running = try #require(try await next.instance(order.id))
        #expect(running.isTask)
        #expect(running.phase == .running)
        #expect(
            try await next.platform.execute(
                TaskTests.shell("> /run/go"), in: order.id, timeout: .seconds(300))
                == 0)
        try await eventually { try await next.instance(order.id)?.phase == .exited(status: 3) }
        let last = try await TestHost(folder)
        let ended = try #require(try await last.instance(order.id))
        #expect(ended.isTask)
        #expect(ended.phase == .exited(status: 3))
        try await last.close()
        #expect(try last.remains() == [])
    }

    @Test func `what an instance has used of the processor is counted`() async throws {
        try await TestHost.run { host in
            let order = host.order(
                1, limits: Limits(milliCPU: 100), task: TaskTests.shell("while true; do :; done"))
            let used = try #require(try await host.launch(order).cpuMicroseconds)
            try await eventually { try await host.instance(order.id)?.cpuMicroseconds ?? 0 > used }
            #expect(try await host.instance(order.id)?.isTask == true)
        }
    }
}
