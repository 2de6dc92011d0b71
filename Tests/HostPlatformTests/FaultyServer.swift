import Glibc
import Model
import Synchronization
import TestKit
import Testing

@testable import HostPlatform

/// An HTTP server on the loopback that answers what a path asks for: well, with 500, late, half, never, or not at all.
final class FaultyServer: Sendable {
    let name: String
    let port: Int
    private let listener: Descriptor
    private let open = Mutex<Set<Int32>>([])
    private let isStopped = Atomic<Bool>(false)

    init(_ name: String) throws {
        self.name = name
        listener = Descriptor(
            socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let file = listener.number
        withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                _ = bind(file, $0, length)
                getsockname(file, $0, &length)
            }
        }
        port = Int(UInt16(bigEndian: address.sin_port))
        listen(file, 100)
        Thread.start { [self] in
            while true {
                let connection = accept(listener.number, nil, nil)
                guard connection >= 0, !isStopped.load(ordering: .sequentiallyConsistent) else {
                    if connection >= 0 { close(connection) }
                    break
                }
                open.withLock { _ = $0.insert(connection) }
                Thread.start { [self] in
                    serve(connection)
                    // Under the lock: `stop` must not meet a number that is somebody else's by then.
                    open.withLock {
                        $0.remove(connection)
                        close(connection)
                    }
                }
            }
        }
    }

    /// From now on, connections are refused, and those that are open end.
    func stop() {
        guard !isStopped.exchange(true, ordering: .sequentiallyConsistent) else { return }
        shutdown(listener.number, Int32(SHUT_RDWR))
        open.withLock { for connection in $0 { shutdown(connection, Int32(SHUT_RDWR)) } }
    }

    private func serve(_ connection: Int32) {
        var pending: [UInt8] = []
        while true {
            var buffer = [UInt8](repeating: 0, count: 8192)
            let count = read(connection, &buffer, buffer.count)
            guard count > 0 else { return }
            pending += buffer[..<count]
            let text = String(decoding: pending, as: UTF8.self)
            guard text.contains("\r\n\r\n") else { continue }
            pending = []
            guard answer(String(text.split(separator: " ")[1]), connection) else { return }
            // Whoever asks without HAProxy's HTTP in between waits for the end.
            if text.lowercased().contains("connection: close") { return }
        }
    }

    /// False where the connection is to be closed.
    private func answer(_ path: String, _ connection: Int32) -> Bool {
        func say(_ text: String) { send(connection, text, text.utf8.count, Int32(MSG_NOSIGNAL)) }
        switch path {
        case "/500": say("HTTP/1.1 500 No\r\ncontent-length: 2\r\n\r\nno")
        case "/cut":
            say("HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\nhalf")
            return false
        case "/close": return false
        case "/stream": say("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nbegun\r\n")
        default:
            if path == "/slow" { usleep(30_000) }
            say("HTTP/1.1 200 OK\r\ncontent-length: \(name.utf8.count)\r\n\r\n\(name)")
        }
        return true
    }
}

/// A service behind the router whose instances are servers of the test itself.
final class FaultySite: Sendable {
    let host: TestHost
    let port = freePort()
    let servers: [FaultyServer]

    private init(_ host: TestHost, _ count: Int) throws {
        self.host = host
        servers = try (1...count).map { try FaultyServer("server \($0)") }
    }

    /// Runs a body with as many servers, numbered from 1, none of them routed yet.
    static func run(_ count: Int, _ body: (FaultySite) async throws -> Void) async throws {
        try await TestHost.run { host in
            let site = try FaultySite(host, count)
            defer { for server in site.servers { server.stop() } }
            try await body(site)
        }
    }

    /// Probes that agree with nobody: what a dead server costs is seen before it is taken out.
    private static let patient = HealthCheck(
        .tcp, interval: .seconds(60), healthyAfter: 1, unhealthyAfter: 100)

    func server(_ number: Int, _ state: RouteServer.State, _ health: HealthCheck? = nil) -> RouteServer {
        RouteServer(
            id: host.id(number), address: "127.0.0.1", port: servers[number - 1].port,
            health: health ?? FaultySite.patient, state: state)
    }

    /// Applies a route with these states, by number, and waits until all that are up are seen as such.
    func route(
        _ states: [Int: RouteServer.State], match: RouteMatch? = nil,
        traffic: Listener.TrafficProtocol = .http, health: HealthCheck? = nil
    ) async throws {
        try await host.router.apply(wanted(states, match: match, traffic: traffic, health: health))
        for number in states.keys {
            try await eventually { try await host.observed(host.id(number))?.health == .healthy }
        }
    }

    func wanted(
        _ states: [Int: RouteServer.State], match: RouteMatch? = nil,
        traffic: Listener.TrafficProtocol = .http, health: HealthCheck? = nil
    ) -> Route {
        var route = host.route(
            port, states.sorted { $0.key < $1.key }.map { server($0.key, $0.value, health) }, traffic: traffic
        )
        route.match = match
        return route
    }

    func match(_ numbers: [Int], _ header: String = "x-preview", _ value: String? = nil) -> RouteMatch {
        RouteMatch(header: HeaderMatch(header: header, value: value), servers: numbers.map { host.id($0) })
    }

    @discardableResult
    func get(_ path: String = "/", header: String? = nil, method: String = "GET") -> WebClient.Answer? {
        WebClient.get("127.0.0.1", port, path: path, header: header, method: method)
    }

    func counts() async throws -> TrafficCounts {
        try #require(try await host.router.observe().routes[host.key]).counts
    }

    func counts(_ number: Int) async throws -> RequestCounts {
        try #require(try await host.observed(host.id(number))).counts
    }
}
