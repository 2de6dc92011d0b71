import Glibc
import Model
import Ports
import Testing

@testable import HostPlatform

@Suite(.timeLimit(.minutes(60))) struct UserRangeTests {
    @Test func `neighbours share no user, and none is the host's`() throws {
        let network = try #require(IPv4Network("10.130.4.0/22"))
        var last = UserRange(network.address(network.instanceNumbers.lowerBound)).first
        #expect(last >= 0x7000_0000 || network.first.value % 4096 != 0)
        for number in network.instanceNumbers.dropFirst() {
            let range = UserRange(network.address(number))
            #expect(range.first == last + UserRange.count)
            #expect(range.first > 1 << 30 && range.first < 0x7ffe_0000)
            last = range.first
        }
    }

    @Test func `an instance has users of its own, and its files keep theirs inside`() async throws {
        try await TestHost.run(runtimes: ["crun"]) { host in
            #expect(host.platform.runtime.lacksUserNamespaces == nil)
            let scratch = [ScratchMount(path: "/run"), ScratchMount(path: "/var/lib/app")]
            let instance = try await host.launch(host.order(1, scratch: scratch))
            let other = try await host.launch(host.order(2, scratch: scratch))
            let first = UserRange(try #require(IPv4(instance.address))).first
            #expect(first != UserRange(try #require(IPv4(other.address))).first)
            let pid = try #require(instance.processID)
            let status = try #require(Files.text("/proc/\(pid)/status"))
            let user = first + 33
            #expect(status.contains("Uid:\t\(user)\t\(user)\t\(user)\t\(user)\n"))
            let script = """
                B=/bin/busybox; test $($B stat -c %u:%g /www) = 0:0 &&
                test $($B stat -c %u /var/lib/app/body) = 33 && test $($B stat -c %u /run) = 33 &&
                echo x > /var/lib/app/body/x && test $($B id -u) = 33 && echo y > /dev/stdout &&
                ! $B chmod 0 /dev/null && echo z > /dev/null
                """
            let result = try await host.platform.execute(
                ["/bin/busybox", "sh", "-c", script], in: instance.id, timeout: .seconds(300))
            #expect(result == 0)
        }
    }

    @Test func `where the runtime cannot, instances run as the host's users, and it is said why`()
        async throws
    {
        try await TestHost.run(runtimes: ["runc"]) { host in
            #expect(host.platform.runtime.lacksUserNamespaces?.contains("runc") == true)
            let instance = try await host.launch(host.order(1))
            let pid = try #require(instance.processID)
            let status = try #require(Files.text("/proc/\(pid)/status"))
            #expect(status.contains("Uid:\t33\t33\t33\t33\n"))
            let result = try await host.platform.execute(
                ["/bin/busybox", "true"], in: instance.id, timeout: .seconds(300))
            #expect(result == 0)
        }
    }

    @Test func `the host's null device never becomes an instance's`() async throws {
        try await TestHost.run(runtimes: ["crun"]) { host in
            let instance = try await host.launch(host.order(1))
            let user = UserRange(try #require(IPv4(instance.address))).first + 33
            var device = stat()
            #expect(stat("/dev/null", &device) == 0 && device.st_uid != user)
            _ = try await host.platform.execute(
                ["/bin/busybox", "true"], in: instance.id, timeout: .seconds(300))
            #expect(stat("/dev/null", &device) == 0 && device.st_uid != user)
        }
    }

    /// Prints what a user namespace and an image mounted for it cost a launch, both kinds in turn on one host.
    @Test func `launches with and without users of their own both serve`() async throws {
        try await TestHost.run { host in
            let plain = [Allowance(.hostUsers, reason: "the other half of a comparison")]
            var times: [Bool: [Double]] = [:]
            try await host.platform.prepare(TestImages.digest(.server))
            let clock = ContinuousClock()
            for ordinal in 1...40 {
                let isOwn = ordinal % 2 == 0
                let order = host.order(ordinal, allow: isOwn ? [] : plain)
                let time = try await clock.measure { try await host.platform.launch(order) }
                times[isOwn, default: []].append(time / .milliseconds(1))
                try await eventually {
                    guard let address = try await host.instance(order.id)?.address else { return false }
                    return WebClient.get(address, 8080)?.status == 200
                }
                try await host.platform.remove(order.id, grace: .zero)
            }
            let medians = times.mapValues { $0.sorted()[$0.count / 2] }
            print(
                "launch, median of 20: own users \(medians[true] ?? 0) ms, the host's \(medians[false] ?? 0) ms"
            )
        }
    }
}
