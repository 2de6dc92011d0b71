import Glibc
import Model
import Ports
import TestKit
import Testing

@testable import HostPlatform

@Suite(.serialized, .timeLimit(.minutes(60))) struct HAProxyRouterTests {
    @Test func `traffic goes only to instances whose check passed`() async throws {
        try await TestHost.run { host in
            let port = freePort()
            let late = try await host.launch(
                host.order(1, TestImages.digest(.late), scratch: [ScratchMount(path: "/run")]))
            try await host.router.apply(host.route(port, [host.server(late, .serving(weight: 1))]))
            #expect(try await host.observed(late.id)?.health == .unproven)
            #expect(WebClient.get("127.0.0.1", port)?.status == 503)
            let go = ["/bin/busybox", "sh", "-c", "> /run/go"]
            #expect(try await host.platform.execute(go, in: late.id, timeout: .seconds(300)) == 0)
            try await eventually { try await host.observed(late.id)?.health == .healthy }
            #expect(WebClient.get("127.0.0.1", port)?.status == 200)

            // A path that does not exist never passes.
            let wrong = HealthCheck(.http(path: "/missing"))
            let other = try await host.launch(host.order(2, TestImages.digest(.server, version: 2)))
            try await host.router.apply(
                host.route(
                    port,
                    [
                        host.server(late, .serving(weight: 1)),
                        host.server(other, .serving(weight: 200), health: wrong),
                    ]))
            try await Task.sleep(for: .milliseconds(400))
            #expect(try await host.observed(other.id)?.health == .unproven)
            for _ in 1...20 { #expect(WebClient.get("127.0.0.1", port)?.body == "version 1\n") }
        }
    }

    @Test func `a healthy instance is up soon, whatever its interval`() async throws {
        try await TestHost.run { host in
            let one = try await host.launch(host.order(1))
            let slow = HealthCheck(.http(path: "/health"), interval: .seconds(30), healthyAfter: 2)
            try await eventually { WebClient.get(one.address, 8080) != nil }
            try await host.router.apply(host.route(nil, []))
            try await host.router.apply(host.route(nil, [host.server(one, .warm, health: slow)]))
            // Which waits for less than the interval.
            try await eventually { try await host.observed(one.id)?.health == .healthy }
        }
    }

    @Test func `a switch by weights under load loses no request, nor do its drain and removal`() async throws
    {
        try await TestHost.run { host in
            let port = freePort()
            let old = try await host.launch(host.order(1))
            let new = try await host.launch(host.order(2, TestImages.digest(.server, version: 2), release: 2))
            try await host.router.apply(
                host.route(port, [host.server(old, .serving(weight: 1)), host.server(new, .warm)]))
            for id in [old.id, new.id] {
                try await eventually { try await host.observed(id)?.health == .healthy }
            }
            let load = WebLoad(port: port)
            try await eventually { load.seen.good["version 1\n", default: 0] > 20 }
            #expect(load.seen.good["version 2\n"] == nil)
            for _ in 1...3 {
                try await host.router.apply(
                    host.route(port, [host.server(old, .draining), host.server(new, .serving(weight: 1))]))
                try await eventually { try await host.observed(old.id)?.sessions == 0 }
                try await host.router.apply(
                    host.route(port, [host.server(old, .serving(weight: 1)), host.server(new, .warm)]))
                #expect(try await host.observed(new.id)?.state == .warm)
            }
            try await host.router.apply(
                host.route(port, [host.server(old, .draining), host.server(new, .serving(weight: 3))]))
            #expect(try await host.observed(old.id)?.state == .draining)
            #expect(try await host.observed(new.id)?.state == .serving(weight: 3))
            try await eventually { try await host.observed(old.id)?.sessions == 0 }
            try await host.router.apply(host.route(port, [host.server(new, .serving(weight: 3))]))
            try await host.platform.remove(old.id, grace: .zero)
            let before = load.seen.good["version 2\n", default: 0]
            try await eventually { load.seen.good["version 2\n", default: 0] > before + 20 }
            let counts = try await load.stop()
            #expect(counts.bad == [])
            let observed = try await host.router.observe().routes[host.key]?.counts
            #expect(observed?.failed == 0)
            #expect(observed.map { $0.requests >= counts.good.values.reduce(0, +) } == true)
        }
    }

    @Test func `a listener that comes or goes under load loses no request of the others`() async throws {
        try await TestHost.run { host in
            let port = freePort()
            let one = try await host.launch(host.order(1))
            try await host.router.apply(host.route(port, [host.server(one, .serving(weight: 1))]))
            try await eventually { try await host.observed(one.id)?.health == .healthy }
            let load = WebLoad(port: port)
            let other = ServiceKey(try ServiceName("other"), in: try EnvironmentName("staging"))
            for _ in 1...3 {
                var route = host.route(freePort(), [])
                route.key = other
                try await host.router.apply(route)
                try await host.router.remove(other)
                #expect(try await host.observed(one.id)?.health == .healthy)
            }
            let counts = try await load.stop()
            #expect(counts.bad == [])
            #expect(try await host.router.observe().routes.keys.map(\.description) == ["web"])
        }
    }

    @Test func `a reload right after another one is taken, and what is commanded after it is not lost`()
        async throws
    {
        try await FaultySite.run(2) { site in
            try await site.route([1: .serving(weight: 1), 2: .warm])
            var other = site.host.route(freePort(), [])
            other.key = ServiceKey(try ServiceName("other"))
            for round in 1...6 {
                let port = freePort()
                other.listener = Listener(address: SocketAddress(host: "127.0.0.1", port: port))
                other.servers = [site.server(2, .serving(weight: round))]
                try await site.host.router.apply(other)
                let routes = try await site.host.router.observe().routes
                #expect(routes[other.key]?.servers.values.map(\.state) == [.serving(weight: round)])
                #expect(routes[site.host.key]?.servers[site.host.id(1)]?.state == .serving(weight: 1))
                #expect(WebClient.get("127.0.0.1", port) != nil)
            }
        }
    }

    @Test func `HAProxy killed comes back with the same weights`() async throws {
        try await TestHost.run { host in
            let port = freePort()
            let one = try await host.launch(host.order(1))
            let two = try await host.launch(host.order(2, TestImages.digest(.server, version: 2)))
            let route = host.route(
                port, [host.server(one, .serving(weight: 5)), host.server(two, .draining)])
            try await host.router.apply(route)
            for id in [one.id, two.id] {
                try await eventually { try await host.observed(id)?.health == .healthy }
            }
            let process = ProxyProcess(root: host.root, watch: host.platform.watch)
            var changes = host.platform.changes.makeAsyncIterator()
            kill(try #require(process.master?.pid), SIGKILL)
            await changes.next()
            try await eventually { try await !host.router.observe().isRunning }
            // A daemon that was started anew as well.
            let router = HAProxyRouter(root: host.root, watch: host.platform.watch)
            try await router.apply(route)
            let servers = try await router.observe().routes[host.key]?.servers
            #expect(servers?[one.id]?.state == .serving(weight: 5))
            #expect(servers?[two.id]?.state == .draining)
            try await eventually { WebClient.get("127.0.0.1", port)?.body == "version 1\n" }
            #expect((1...10).allSatisfy { _ in WebClient.get("127.0.0.1", port)?.body == "version 1\n" })
        }
    }

    @Test func `whatever is changed by hand is found and put back, and the same is never found by itself`()
        async throws
    {
        try await TestHost.run { host in
            let port = freePort()
            let one = try await host.launch(host.order(1))
            let two = try await host.launch(host.order(2, TestImages.digest(.server, version: 2)))
            let route = host.route(port, [host.server(one, .serving(weight: 5)), host.server(two, .warm)])
            try await host.router.apply(route)
            for id in [one.id, two.id] {
                try await eventually { try await host.observed(id)?.health == .healthy }
            }
            for _ in 1...50 { #expect(try await host.router.observe().drifts.isEmpty) }
            let backend = ProxyName.backend(host.key)
            let socket = ProxyProcess(root: host.root, watch: host.platform.watch).socket
            let attacks: [(subject: String, act: () throws -> Void)] = [
                ("weight of \(two.id)", { try socket.run(["set server \(backend)/\(two.id) weight 200"]) }),
                ("weight of \(one.id)", { try socket.run(["set server \(backend)/\(one.id) state drain"]) }),
                ("weight of \(one.id)", { try socket.run(["set server \(backend)/\(one.id) weight 1"]) }),
                ("state of \(one.id)", { try socket.run(["set server \(backend)/\(one.id) state maint"]) }),
                (
                    "address of \(one.id)",
                    { try socket.run(["set server \(backend)/\(one.id) addr 127.0.0.9 port 9"]) }
                ),
                (
                    "server \(host.key.service)-r9-9",
                    { try socket.run(["add server \(backend)/\(host.key.service)-r9-9 127.0.0.9:9"]) }
                ),
                (
                    "listener of \(host.key)",
                    { try socket.run(["disable frontend \(ProxyName.frontend(host.key))"]) }
                ),
                (
                    "haproxy.cfg",
                    {
                        let file = host.root.proxy + "/haproxy.cfg"
                        try Files.replace(file, with: "global\n", durably: false, mode: 0o600)
                    }
                ),
            ]
            for attack in attacks {
                try attack.act()
                try await eventually {
                    let seen = try await host.router.observe()
                    // Nobody takes it for a sick one meanwhile.
                    #expect(seen.routes[host.key]?.servers[one.id]?.health != .failing, "\(attack.subject)")
                    return seen.drifts.contains { $0.subject == attack.subject }
                }
                try await host.router.setRight()
                if attack.subject.hasPrefix("state") {
                    #expect(try await host.observed(one.id)?.health == .healthy)
                }
                try await eventually {
                    try await host.router.observe().routes[host.key]?.servers.mapValues(\.state)
                        == [one.id: .serving(weight: 5), two.id: .warm]
                }
                #expect(try await host.router.observe().drifts.isEmpty, "\(attack.subject)")
                try await eventually { WebClient.get("127.0.0.1", port)?.body == "version 1\n" }
            }
        }
    }

    @Test func `a port in use is refused with its owner, and what served goes on serving`() async throws {
        try await TestHost.run { host in
            let port = freePort()
            let one = try await host.launch(host.order(1))
            let good = host.route(port, [host.server(one, .serving(weight: 1))])
            try await host.router.apply(good)
            try await eventually { try await host.observed(one.id)?.health == .healthy }

            let taken = freePort()
            let file = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            defer { close(file) }
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = in_port_t(taken).bigEndian
            address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
            withUnsafePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    _ = bind(file, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
            listen(file, 1)
            var other = host.route(taken, [])
            other.key = ServiceKey(try ServiceName("other"))
            let failure = await #expect(throws: Failure.self) { try await host.router.apply(other) }
            #expect(failure?.code == .portInUse)
            #expect(failure?.message.contains("127.0.0.1:\(taken)") == true)
            #expect(failure?.message.contains("process \(getpid())") == true, "\(failure?.message ?? "")")
            other.listener = good.listener
            let second = await #expect(throws: Failure.self) { try await host.router.apply(other) }
            #expect(second?.code == .portInUse)
            #expect(WebClient.get("127.0.0.1", port)?.status == 200)
            #expect(try await host.router.observe().routes.count == 1)
        }
    }

    @Test func `releases may differ in the path and the kind of their checks`() async throws {
        try await TestHost.run { host in
            let port = freePort()
            let one = try await host.launch(host.order(1))
            let two = try await host.launch(host.order(2))
            let three = try await host.launch(host.order(3))
            let root = HealthCheck(.http(path: "/"))
            let connection = HealthCheck(.tcp)
            try await host.router.apply(
                host.route(
                    port, [host.server(one, .serving(weight: 1)), host.server(two, .warm, health: root)]))
            for id in [one.id, two.id] {
                try await eventually { try await host.observed(id)?.health == .healthy }
            }
            let load = WebLoad(port: port)
            let servers = [
                host.server(one, .serving(weight: 1)), host.server(two, .warm, health: root),
                host.server(three, .warm, health: connection),
            ]
            try await host.router.apply(host.route(port, servers))
            for id in [one.id, two.id, three.id] {
                try await eventually { try await host.observed(id)?.health == .healthy }
            }
            // In the mixed form, a path that is not there still fails, and a closed port too.
            let four = try await host.launch(host.order(4))
            let five = try await host.launch(host.order(5))
            try await host.router.apply(
                host.route(
                    port,
                    servers + [
                        host.server(four, .warm, health: HealthCheck(.http(path: "/missing"))),
                        host.server(five, .warm, health: connection, port: 9),
                    ]))
            try await Task.sleep(for: .milliseconds(500))
            #expect(try await host.observed(four.id)?.health == .unproven)
            #expect(try await host.observed(five.id)?.health == .unproven)
            let counts = try await load.stop()
            #expect(counts.bad == [])
        }
    }

    @Test func `a killed instance costs no request while another can serve`() async throws {
        try await TestHost.run { host in
            let port = freePort()
            let one = try await host.launch(host.order(1))
            let two = try await host.launch(host.order(2))
            try await host.router.apply(
                host.route(
                    port, [host.server(one, .serving(weight: 1)), host.server(two, .serving(weight: 1))]))
            for id in [one.id, two.id] {
                try await eventually { try await host.observed(id)?.health == .healthy }
            }
            let load = WebLoad(port: port)
            try await Task.sleep(for: .milliseconds(200))
            kill(pid_t(try #require(one.processID)), SIGKILL)
            try await eventually { try await host.observed(one.id)?.health == .failing }
            let counts = try await load.stop()
            #expect(counts.bad == [])
        }
    }

    @Test func `connections that are not HTTP are carried too`() async throws {
        try await TestHost.run { host in
            let port = freePort()
            let one = try await host.launch(host.order(1))
            try await host.router.apply(
                host.route(
                    port, [host.server(one, .serving(weight: 1), health: HealthCheck(.tcp))], traffic: .tcp))
            try await eventually { try await host.observed(one.id)?.health == .healthy }
            #expect(WebClient.get("127.0.0.1", port)?.body == "version 1\n")
            #expect(try await host.router.observe().routes[host.key]?.counts.requests == 1)
        }
    }
}
