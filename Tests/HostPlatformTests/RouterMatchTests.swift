import Glibc
import Model
import Synchronization
import Testing

@testable import HostPlatform

/// Requests with a header go to their servers; weights are kept exactly; both survive whatever happens to the proxy.
@Suite(.serialized, .timeLimit(.minutes(60))) struct RouterMatchTests {
    @Test func `requests with the header go to their servers, whatever the weights`() async throws {
        try await FaultySite.run(3) { site in
            let serving = [1: RouteServer.State.serving(weight: 1), 2: .warm, 3: .warm]
            try await site.route(serving, match: site.match([2]))
            for _ in 1...5 {
                #expect(site.get(header: "X-Preview: anything")?.body == "server 2")
                #expect(site.get(header: "x-other: 1")?.body == "server 1")
            }
            #expect(try await site.host.router.observe().routes[site.host.key]?.match == site.match([2]))
            #expect(try await site.counts(2).requests == 5)
            // Other servers need no reload.
            let worker = site.host.router.state.withLock { $0.worker }
            try await site.route(serving, match: site.match([2, 3]))
            let bodies = Set((1...40).map { _ in site.get(header: "x-preview: a")?.body })
            #expect(bodies == ["server 2", "server 3"])
            #expect(try await site.host.router.observe().routes[site.host.key]?.match == site.match([2, 3]))
            #expect(site.host.router.state.withLock { $0.worker } == worker)
            // No match any more.
            try await site.route(serving)
            #expect(site.get(header: "x-preview: a")?.body == "server 1")
            #expect(try await site.host.router.observe().routes[site.host.key]?.match == nil)
        }
    }

    @Test(arguments: ["yes", "it's \"50%\", $5 #1 \\o/", "-i", "a,b", "", "{ x }"])
    func `a value is compared exactly`(_ value: String) async throws {
        try await FaultySite.run(2) { site in
            try await site.route(
                [1: .serving(weight: 1), 2: .warm], match: site.match([2], "x-preview", value))
            #expect(site.get(header: "x-preview: \(value)")?.body == "server 2")
            for other in ["\(value)x", "x, \(value)z", "YES", "x"] {
                #expect(site.get(header: "x-preview: \(other)")?.body == "server 1")
            }
            #expect(site.get()?.body == "server 1")
        }
    }

    @Test func `where none of its servers answers, a matching request goes where others go`() async throws {
        try await FaultySite.run(3) { site in
            let quick = HealthCheck(.tcp, interval: .milliseconds(50), healthyAfter: 1, unhealthyAfter: 2)
            try await site.route(
                [1: .serving(weight: 1), 2: .warm, 3: .warm], match: site.match([2, 3]), health: quick)
            site.servers[1].stop()
            try await eventually { try await site.host.observed(site.host.id(2))?.health == .failing }
            for _ in 1...20 { #expect(site.get(header: "x-preview: 1")?.body == "server 3") }
            site.servers[2].stop()
            // Before anybody noticed, and after.
            #expect(site.get(header: "x-preview: 1")?.body == "server 1")
            try await eventually { try await site.host.observed(site.host.id(3))?.health == .failing }
            #expect(site.get(header: "x-preview: 1")?.body == "server 1")
        }
    }

    enum Fate: CaseIterable { case killed, reloadedByHand, restarted }

    @Test(arguments: Fate.allCases)
    func `weights, warm and draining servers and the match are there before a connection is`(
        _ fate: Fate
    ) async throws {
        try await FaultySite.run(4) { site in
            let states: [Int: RouteServer.State] = [
                1: .serving(weight: 95), 2: .serving(weight: 5), 3: .warm, 4: .draining,
            ]
            let match = site.match([3], "x-preview", "yes")
            try await site.route(states, match: match)
            // The look that writes down who is healthy.
            let before = try await site.host.router.observe()
            let process = site.host.router.process
            let master = try #require(process.master)
            switch fate {
            case .killed:
                master.signal(SIGKILL)
                process.killRest()
                try await site.host.router.apply(site.wanted(states, match: match))
            case .reloadedByHand:
                let worker = before.routes.isEmpty ? "" : site.host.router.state.withLock { $0.worker }
                master.signal(SIGUSR2)
                try await eventually {
                    _ = try await site.host.router.observe()
                    return site.host.router.state.withLock { $0.worker } != worker
                }
            case .restarted:
                process.stop()
                // Nobody but HAProxy and its file.
                try process.start(site.host.root.proxy + "/haproxy.cfg")
            }
            var answers: [String: Int] = [:]
            for _ in 1...100 { answers[site.get()?.body ?? "none", default: 0] += 1 }
            #expect(Set(answers.keys) == ["server 1", "server 2"])
            #expect((3...7).contains(answers["server 2"] ?? 0), "\(answers)")
            #expect(site.get(header: "x-preview: yes")?.body == "server 3")
            let route = try #require(try await site.host.router.observe().routes[site.host.key])
            #expect(route.match == match)
            for (number, state) in states { #expect(route.servers[site.host.id(number)]?.state == state) }
        }
    }

    @Test func `a proxy that ends without a word does not count as one that answers`() throws {
        let folder = TestHost.freshFolder()
        try Files.makeFolder(folder)
        defer { try? Files.removeTree(folder) }
        let path = folder + "/s"
        let listener = Descriptor(socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0))
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8)) }
        withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                _ = bind(listener.number, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        listen(listener.number, 1)
        Thread.start {
            let connection = accept(listener.number, nil, nil)
            var buffer = [UInt8](repeating: 0, count: 100)
            _ = read(connection, &buffer, buffer.count)
            close(connection)
        }
        #expect(throws: Failure.self) { try ProxySocket(path: path).ask("show info") }
    }

    @Test func `weights are kept as asked, from 1 to 256`() async throws {
        try await FaultySite.run(3) { site in
            let states: [Int: RouteServer.State] = [
                1: .serving(weight: 1), 2: .serving(weight: 99), 3: .serving(weight: 256),
            ]
            try await site.route(states)
            for (number, state) in states {
                #expect(try await site.host.observed(site.host.id(number))?.state == state)
            }
        }
    }

    @Test func `a long connection lasts while its server drains, and ends after it left the route`()
        async throws
    {
        try await FaultySite.run(2) { site in
            try await site.route([1: .serving(weight: 1), 2: .warm])
            let stream = try #require(WebClient.ask("127.0.0.1", site.port, path: "/stream", seconds: 30))
            var buffer = [UInt8](repeating: 0, count: 4096)
            #expect(read(stream.number, &buffer, buffer.count) > 0)
            try await site.route([1: .draining, 2: .serving(weight: 1)])
            #expect(try await site.host.observed(site.host.id(1))?.sessions == 1)
            #expect(site.get()?.body == "server 2")
            // Nobody waits for it, and nobody sees it.
            try await site.route([2: .serving(weight: 1)])
            #expect(try await site.host.router.observe().routes[site.host.key]?.servers.keys.count == 1)
            var wait = pollfd(fd: stream.number, events: Int16(POLLIN), revents: 0)
            #expect(poll(&wait, 1, 0) >= 0)
            try await eventually {
                _ = try await site.host.router.observe()
                wait.revents = 0
                guard poll(&wait, 1, 0) == 1 else { return false }
                return read(stream.number, &buffer, buffer.count) <= 0
            }
            try await eventually {
                _ = try await site.host.router.observe()
                return try !site.host.router.process.socket.ask("show stat").contains("web-r1-1")
            }
        }
    }
}
