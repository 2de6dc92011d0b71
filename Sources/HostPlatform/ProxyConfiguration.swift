internal import Glibc
internal import Model

/// How the servers of one backend are checked. HAProxy fixes it for a backend; what differs from server to server is
/// looked up by the server's name.
enum ProbeForm: String, Codable, Sendable {
    /// Every server by HTTP, each at its own path.
    case http
    /// Every server by a connection.
    case tcp
    /// Some by HTTP and some by a connection, while a release with the one kind replaces one with the other. Each
    /// check first connects to the server, then asks the gate, which passes the question on to servers with a path.
    case mixed

    static func needed(for servers: [RouteServer], listener: Listener?) -> ProbeForm {
        let paths = servers.count { $0.health.path != nil }
        if servers.isEmpty { return listener?.trafficProtocol == .tcp ? .tcp : .http }
        return paths == servers.count ? .http : paths == 0 ? .tcp : .mixed
    }

    func serves(_ other: ProbeForm) -> Bool { self == other || self == .mixed }
}

extension HealthCheck {
    /// The path that the router asks for; nil where a connection has to do (the prober runs commands).
    var path: String? {
        if case .http(let path) = kind { path } else { nil }
    }
}

/// The names of a service inside the proxy. Names of services and environments have no dots.
enum ProxyName {
    static func frontend(_ key: ServiceKey) -> String { "f.\(key.service).\(key.environment)" }
    static func backend(_ key: ServiceKey) -> String { "b.\(key.service).\(key.environment)" }

    static func key(_ name: Substring) -> (isFrontend: Bool, ServiceKey)? {
        let parts = name.split(separator: ".")
        guard parts.count == 3, parts[0] == "f" || parts[0] == "b",
            let service = try? ServiceName(String(parts[1])),
            let environment = try? EnvironmentName(String(parts[2]))
        else { return nil }
        return (parts[0] == "f", ServiceKey(service, in: environment))
    }
}

/// HAProxy's configuration file, rendered from the routes.
struct ProxyConfiguration {
    let root: HostRoot
    var routes: [ServiceKey: Route]
    var forms: [ServiceKey: ProbeForm]
    /// Servers that passed their check when last seen. The others are added after the start, where they begin as
    /// down: a server in the file would begin as up.
    var healthy: Set<InstanceID>

    var file: String { root.proxy + "/haproxy.cfg" }
    var pathsMap: String { root.proxy + "/paths.map" }
    var addressMap: String { root.proxy + "/addresses.map" }
    var matchMap: String { root.proxy + "/match.map" }

    /// While an instance is not up, it is asked this often.
    private static let eagerInterval = 50
    private static let connectionsAtMost = 20_000
    /// Buckets of latencies of all instances of a service; an instance fills about a hundred.
    private static let bucketsAtMost = 65_536
    /// Bytes of an instance's name, a slash and a bucket.
    private static let bucketNameAtMost = 128

    /// The whole file.
    var text: String { render(withServers: true) }

    /// The file without its servers: what only a reload can change.
    var structure: String { render(withServers: false) }

    /// `name path` and `name address:port` of every server in the file that is asked by HTTP, and the slots of those
    /// that get matching requests.
    var maps: (paths: String, addresses: String, matches: String) {
        var paths = ""
        var addresses = ""
        for route in routes.values {
            for server in route.servers where healthy.contains(server.id) {
                guard let path = server.health.path else { continue }
                paths += "\(server.id) \(path)\n"
                addresses += "\(server.id) \(server.address):\(server.port)\n"
            }
        }
        let matches = routes.values.flatMap { ProxyMatch($0)?.entries ?? [] }.map {
            "\($0.slot) \($0.names)\n"
        }
        return (paths, addresses, matches.joined())
    }

    /// What the maps that this file uses should say of a server.
    func mapEntries(_ server: RouteServer) -> [(map: String, value: String)] {
        guard let path = server.health.path else { return [] }
        let all = [(pathsMap, path), (addressMap, "\(server.address):\(server.port)")]
        return all.filter { mapsInUse.contains($0.0) }
    }

    /// HAProxy knows a map only where its file names it.
    var mapsInUse: [String] {
        let isMixed = forms.values.contains(.mixed)
        return (isMixed || forms.values.contains(.http) ? [pathsMap] : []) + (isMixed ? [addressMap] : [])
    }

    /// What stands after a server's name, in the file and in `add server`. Servers that are added do not see
    /// `default-server`, and without the two pool options they would keep no idle connection.
    static func serverOptions(_ server: RouteServer, weight: Int) -> String {
        let check = server.health
        let eager = min(eagerInterval, max(1, check.interval.milliseconds))
        // Without a timeout of its own, a check may take as long as its interval.
        let interval = max(1, check.interval.milliseconds, check.timeout.milliseconds)
        return "\(server.address):\(server.port) check inter \(interval)ms fastinter \(eager)ms "
            + "downinter \(eager)ms rise \(max(1, check.healthyAfter)) fall \(max(1, check.unhealthyAfter)) "
            + "weight \(weight) pool-purge-delay 5s pool-max-conn 1000"
    }

    private func render(withServers: Bool) -> String {
        var lines = head
        for (key, route) in routes.sorted(by: { $0.key < $1.key }) {
            lines += frontend(key, route)
            lines += backend(key, route)
            guard withServers else { continue }
            for server in route.servers where healthy.contains(server.id) {
                lines.append(
                    "    server \(server.id) "
                        + ProxyConfiguration.serverOptions(server, weight: server.state.weight))
            }
        }
        if forms.values.contains(.mixed) { lines += gate }
        return lines.joined(separator: "\n") + "\n"
    }

    private var head: [String] {
        var own = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &own)
        // Two descriptors a connection, and some to spare.
        let connections = min(
            ProxyConfiguration.connectionsAtMost, max(100, (Int(clamping: own.rlim_max) - 200) / 2))
        var lines = [
            "# Written by kiln; changes are lost.",
            "global",
            "    stats socket \(root.proxySocket) mode 600 level admin expose-fd listeners",
            "    maxconn \(connections)",
            "    hard-stop-after 1h",
        ]
        if getpwnam("haproxy") != nil, getgrnam("haproxy") != nil {
            lines += ["    user haproxy", "    group haproxy"]
        }
        lines += [
            "defaults",
            "    timeout connect 2s", "    timeout client 60s", "    timeout server 60s",
            "    timeout queue 5s",
            "    timeout tunnel 1h", "    timeout http-request 30s", "    timeout http-keep-alive 60s",
            "    retries 3", "    option redispatch 1", "    option idle-close-on-response",
        ]
        return lines
    }

    private func frontend(_ key: ServiceKey, _ route: Route) -> [String] {
        guard let listener = route.listener else { return [] }
        var lines = [
            "frontend \(ProxyName.frontend(key))", "    mode \(listener.trafficProtocol.rawValue)",
            "    bind \(listener.address)", "    default_backend \(ProxyName.backend(key))",
        ]
        if listener.trafficProtocol == .http {
            // Sent again only where sending twice is harmless; a connection that failed carried nothing.
            lines += [
                "    option forwardfor", "    http-request disable-l7-retry unless METH_GET or METH_OPTIONS",
            ]
            lines += ProxyConfiguration.stopwatch(ProxyName.backend(key))
            if let match = ProxyMatch(route) { lines += match.frontendLines(map: matchMap) }
        }
        return lines
    }

    /// Counts each answer under its instance and its time, in the buckets of `LatencyHistogram`: the number of digits
    /// of its microseconds, then the first two of them.
    private static func stopwatch(_ table: String) -> [String] {
        [
            "    http-request set-var(txn.begin) date(0,us)",
            "    http-response set-var(txn.took) date(0,us),sub(txn.begin)",
            // As text: the bytes of a number are something else.
            "    http-response set-var-fmt(txn.digits) \"%[var(txn.took)]\"",
            "    http-response set-var-fmt(txn.bucket) "
                + "\"%[srv_name]/%[var(txn.digits),length]%[var(txn.digits),bytes(0,2)]\"",
            "    http-response track-sc0 var(txn.bucket) table \(table)", "    http-response sc-inc-gpc0(0)",
        ]
    }

    private func backend(_ key: ServiceKey, _ route: Route) -> [String] {
        let mode = route.listener?.trafficProtocol ?? .http
        var lines = [
            "backend \(ProxyName.backend(key))", "    mode \(mode.rawValue)", "    balance roundrobin",
        ]
        if mode == .http {
            // A full table takes no new buckets; purging old ones would make counts go backwards.
            lines += [
                "    http-reuse safe", "    retry-on conn-failure empty-response",
                "    stick-table type string len \(ProxyConfiguration.bucketNameAtMost) "
                    + "size \(ProxyConfiguration.bucketsAtMost) nopurge store gpc0",
            ]
        }
        lines += ProxyMatch(route)?.backendLines ?? []
        switch forms[key] ?? .tcp {
        case .tcp: break
        case .http:
            lines += [
                "    option httpchk",
                "    http-check send meth GET uri-lf \"%[srv_name,map(\(pathsMap),/)]\" ver HTTP/1.1 hdr host kiln "
                    + "hdr user-agent kiln hdr connection close",
                "    http-check expect status 200-399",
            ]
        case .mixed:
            lines += [
                "    option tcp-check", "    tcp-check connect",
                "    tcp-check connect addr unix@\(root.proxyGateSocket)",
                "    tcp-check send-lf \"GET %[srv_name,map(\(pathsMap),/)] HTTP/1.1\\r\\nhost: kiln\\r\\n"
                    + "user-agent: kiln\\r\\nx-kiln-to: %[srv_name,map(\(addressMap),none)]\\r\\n"
                    + "connection: close\\r\\n\\r\\n\"",
                "    tcp-check expect rstring \"^HTTP/1.[01] [23]\"",
            ]
        }
        return lines
    }

    /// Passes a check on to the server that it names, and answers for servers whose connection was proof enough.
    private var gate: [String] {
        let user = getpwnam("haproxy") != nil ? " user haproxy" : ""
        return [
            "frontend gate", "    mode http", "    bind unix@\(root.proxyGateSocket)\(user) mode 600",
            "    http-request return status 200 if { hdr(x-kiln-to) none }", "    default_backend gate",
            "backend gate", "    mode http", "    http-request set-dst hdr(x-kiln-to),field(1,:)",
            "    http-request set-dst-port hdr(x-kiln-to),field(2,:)",
            "    http-request del-header x-kiln-to",
            "    server any 0.0.0.0:0",
        ]
    }
}
