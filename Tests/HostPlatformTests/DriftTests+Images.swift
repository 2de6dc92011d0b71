import Foundation
import Glibc
import Model
import Ports
import Testing

@testable import HostPlatform

/// Images that somebody wrote to, whoever meets them first.
extension DriftTests {
    @Test func `bytes written into an image are found at once, with the file they belong to`() async throws {
        try await TestHost.run { host in
            let order = host.order(1)
            _ = try await watched(host, order)
            let file = host.root.imageFile(TestImages.digest(.server))
            let middle = try #require(FileIdentity(file)?.size) / 2
            _ = try attack("printf x | dd of=\(file) bs=1 seek=\(middle) conv=notrunc")
            try await found(host, .image, "/bin/", order.id)
            try await eventually { Files.exists(host.root.alteredImage(TestImages.digest(.server))) }
            try await eventually {
                try await host.instance(order.id)?.drifts.first { $0.kind == .image }?.owner
                    == "busybox-static"
            }
            // The next one runs from a file made anew, and is clean.
            _ = try await watched(host, host.order(2))
            host.platform.sentinel.look()
            #expect(try await host.instance(host.id(2))?.drifts == [])
        }
    }

    @Test func `a launch that meets an altered image tells it of every instance that runs from it`()
        async throws
    {
        try await TestHost.run { host in
            let orders = [host.order(1), host.order(2)]
            for order in orders { _ = try await watched(host, order) }
            // Nobody looks but the launch.
            host.platform.sentinel.patrol.stop()
            let file = host.root.imageFile(TestImages.digest(.server))
            let middle = try #require(FileIdentity(file)?.size) / 2
            _ = try attack("printf x | dd of=\(file) bs=1 seek=\(middle) conv=notrunc")
            let failure = await #expect(throws: Failure.self) {
                try await host.platform.launch(host.order(3))
            }
            #expect(failure?.code == .storeDamaged)
            for order in orders { try await found(host, .image, "/bin/", order.id) }
            let altered = host.root.alteredImage(TestImages.digest(.server))
            #expect(Files.exists(altered))
            // The next one has a file of its own, and what was put aside goes once nobody uses the image.
            _ = try await watched(host, host.order(4))
            host.platform.sentinel.look()
            #expect(try await host.instance(host.id(4))?.drifts == [])
            // Once more, and it is not made anew.
            _ = try attack("printf x | dd of=\(file) bs=1 seek=\(middle) conv=notrunc")
            await #expect(throws: Failure.self) { try await host.platform.launch(host.order(5)) }
            #expect(!Files.exists(file))
            for order in orders + [host.order(4)] {
                try await host.platform.remove(order.id, grace: .zero)
            }
            try await host.platform.forgetImages(except: [])
            #expect(!Files.exists(altered))
        }
    }

    @Test func `an image's finding has room for every instance, however many wait`() async throws {
        try await TestHost.run { host in
            let order = host.order(1)
            _ = try await watched(host, order)
            let watched = try #require(host.platform.sentinel.all.first)
            for number in 0..<(2 * Sentinel.Limit.pending) {
                let drift = Drift.cut(.network, "port \(number)", "x", source: .event)
                host.platform.sentinel.leave(Sentinel.Pending(drift: drift, watched: watched))
            }
            host.platform.sentinel.report(
                ImagePatrol.Finding(
                    TestImages.digest(.server), inode: 1, block: nil,
                    mount: host.root.imageMount(TestImages.digest(.server))))
            try await found(host, .image, "the file", order.id)
        }
    }
}
