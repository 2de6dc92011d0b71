import CLinux
import Glibc
import Model
import Testing

@testable import HostPlatform

/// More happens than the kernel can keep for us.
@Suite struct LostEventsTests {
    @Test func `events that were lost have everything looked at, and later ones are told again`() async throws
    {
        try await TestHost.run { host in
            let events = SentinelEvents(host.platform.sentinel)
            let look = InstanceLook(host.platform.sentinel)
            let flag = Descriptor(kiln_event_flag())
            func setRoom(_ bytes: Int32) {
                var bytes = bytes
                setsockopt(
                    events.executions.number, SOL_SOCKET, SO_RCVBUFFORCE, &bytes,
                    socklen_t(MemoryLayout<Int32>.size))
            }
            func execute(_ count: Int) throws {
                let script = "for number in $(seq \(count)); do /bin/true; done"
                _ = try ProcessRunner().runNow(Command("/bin/sh", ["-c", script]), limit: .seconds(300))
            }
            try #require(events.executions.number >= 0, "the kernel tells of executions")
            setRoom(1)
            try execute(100)
            #expect(events.wait(flag: flag.number, limit: 60_000, look), "what was lost is to be looked for")
            setRoom(4 << 20)
            // What was still in the queue, and what other tests execute meanwhile.
            while events.wait(flag: flag.number, limit: 0, look) {}
            try execute(1)
            #expect(kiln_next_exec(events.executions.number) > 0)
        }
    }
}
