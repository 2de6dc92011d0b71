import Glibc
import Model
import Ports
import Testing

@testable import HostPlatform

@Suite(.timeLimit(.minutes(60))) struct InspectTests {
    @Test func `what confines an instance is read from its process`() async throws {
        try await TestHost.run(runtimes: ["crun"]) { host in
            let limits = Limits(memory: ByteCount(bytes: 48 << 20), milliCPU: 250, pids: 17)
            let instance = try await host.launch(host.order(1, limits: limits))
            // The filter is there when its program is.
            try await eventually { WebClient.get(instance.address, 8080)?.status == 200 }
            let seen = try await host.platform.confinement(of: instance.id)
            #expect(seen.instance == instance.id && seen.processID == instance.processID)
            #expect(seen.image == TestImages.digest(.server) && seen.runtime == "crun")
            let first = Int(UserRange(try #require(IPv4(instance.address))).first)
            #expect(seen.user == first + 33)
            #expect(seen.users == [.init(inside: 0, outside: first, count: 65_536)])
            #expect(seen.capabilities == [] && seen.hasNoNewPrivileges && seen.filtersSystemCalls)
            #expect(Set(seen.namespaces.filter { !$0.isOwn }.map(\.kind)).isSubset(of: ["time"]))
            #expect(
                seen.mounts.first { $0.path == "/" && $0.type == "erofs" }?.options.contains("ro") == true)
            #expect(seen.limits.memory == 48 << 20 && seen.limits.milliCPU == 250 && seen.limits.pids == 17)
            #expect(seen.limits.coreFile == 1)
            #expect(seen.allowed == [] && !seen.lacks.contains { $0.contains("user namespace") })
        }
    }

    @Test func `what a release asked for is in force, and is shown with its reason`() async throws {
        try await TestHost.run { host in
            let allow = [
                Allowance(.capability(.netRaw), reason: "sends ICMP probes"),
                Allowance(.systemCalls(["keyctl", "userfaultfd"]), reason: "a control of the attempts"),
            ]
            let instance = try await host.launch(host.order(1, allow: allow))
            let seen = try await host.platform.confinement(of: instance.id)
            #expect(seen.capabilities == ["CAP_NET_RAW"])
            #expect(seen.allowed == allow && seen.users.isEmpty)
            #expect(seen.lacks.contains { $0.contains("allow") })
            // The attempts that this lets through, and no others.
            let order = host.order(
                2, TestImages.digest(.intruder), scratch: [ScratchMount(path: "/run")], allow: allow,
                task: ["/bin/testserver", "attempts", "0", "/none", "/none"])
            try await host.launch(order)
            try await eventually(.seconds(600)) {
                if case .exited = try await host.instance(order.id)?.phase { true } else { false }
            }
            let lines = try await host.platform.log(of: order.id, lines: 500).map(\.text)
            #expect(
                Set(lines.filter { $0.hasPrefix("SUCCEEDED") }) == [
                    "SUCCEEDED join a key ring", "SUCCEEDED userfaultfd", "SUCCEEDED raw packets",
                    "SUCCEEDED raw frames",
                ], "\(lines.suffix(2))")
        }
    }

    @Test func `an instance that is not there or has ended is said to be so`() async throws {
        try await TestHost.run { host in
            let missing = await #expect(throws: Failure.self) {
                try await host.platform.confinement(of: host.id(1))
            }
            #expect(missing?.code == .notFound)
            let order = host.order(1, TestImages.digest(.failing))
            try await host.launch(order)
            try await eventually { try await host.instance(order.id)?.phase == .exited(status: 3) }
            let ended = await #expect(throws: Failure.self) {
                try await host.platform.confinement(of: order.id)
            }
            #expect(ended?.code == .conflict)
        }
    }
}
