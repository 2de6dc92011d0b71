import Glibc
import Model
import Ports
import Testing

@testable import HostPlatform

/// What an intruder in an instance tries, and that nothing comes of it.
@Suite(.timeLimit(.minutes(60))) struct EscapeTests {
    private static let scratch = [ScratchMount(path: "/run", size: ByteCount(bytes: 16 << 20))]

    @Test(arguments: [TestImages.Kind.intruder, .rootIntruder], ContainerRuntime.all)
    func `an intruder gets nowhere, and its neighbour serves on`(
        _ kind: TestImages.Kind, _ runtime: String
    ) async throws {
        try await TestHost.run(runtimes: [runtime]) { host in
            let neighbour = try await host.launch(host.order(1, scratch: Self.scratch))
            try await eventually { WebClient.get(neighbour.address, 8080)?.status == 200 }
            let pid = try #require(neighbour.processID)
            // The sockets are really there, with everybody allowed: what keeps the intruder from them is not their mode.
            let sockets = try [host.root.path + "/kiln.sock", host.root.proxySocket].map { try Listening($0) }
            let order = host.order(
                2, TestImages.digest(kind), scratch: Self.scratch,
                task: ["/bin/testserver", "attempts", "\(pid)"] + sockets.map(\.path))
            try await host.launch(order)
            try await eventually(.seconds(600)) {
                if case .exited = try await host.instance(order.id)?.phase { true } else { false }
            }
            let lines = try await host.platform.log(of: order.id, lines: 500).map(\.text)
            let summary = try #require(lines.last)
            print("\(runtime), \(kind == .rootIntruder ? "root" : "a user"): \(summary)")
            let succeeded = lines.filter { $0.hasPrefix("SUCCEEDED") }
            #expect(succeeded == [])
            #expect(lines.count > 70 && summary.hasSuffix("succeeded 0"), "\(lines.suffix(3))")
            #expect(WebClient.get(neighbour.address, 8080)?.status == 200)
            #expect(try await host.instance(neighbour.id)?.processID == pid)
        }
    }

    @Test func `an instance that takes all memory is killed, and its neighbour serves on`() async throws {
        try await TestHost.run { host in
            let neighbour = try await host.launch(host.order(1))
            try await eventually { WebClient.get(neighbour.address, 8080)?.status == 200 }
            let order = host.order(
                2, TestImages.digest(.intruder), limits: Limits(memory: ByteCount(bytes: 32 << 20)),
                task: ["/bin/testserver", "hungry"])
            try await host.launch(order)
            try await eventually(.seconds(600)) {
                try await host.instance(order.id)?.phase == .exited(status: 137)
            }
            #expect(WebClient.get(neighbour.address, 8080)?.status == 200)
        }
    }

    /// A socket that anybody may connect to, until this value goes.
    private final class Listening {
        let path: String
        private let file: Descriptor

        init(_ path: String) throws {
            self.path = path
            file = Descriptor(socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0))
            var address = sockaddr_un()
            address.sun_family = sa_family_t(AF_UNIX)
            let room = MemoryLayout.size(ofValue: address.sun_path)
            try #require(path.utf8.count < room)
            withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
            let number = file.number
            let result = withUnsafePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    bind(number, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
                }
            }
            try #require(result == 0 && listen(number, 4) == 0)
            chmod(path, 0o777)
        }

        deinit { unlink(path) }
    }
}
