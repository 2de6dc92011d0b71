internal import Model

/// What `show stat` and `show servers state` say (management guide, section 9.1).
struct ProxyStatistics {
    struct Server {
        var status: Substring
        var checkStatus: Substring
        var checkText: String
        var sessions: Int
        /// From the second table: nil until joined.
        var weight = 0
        var isDraining = false
        var address: Substring = ""
        var port = 0
    }

    struct Service {
        var hasFrontend = false
        var requests = 0
        var failed = 0
        var servers: [InstanceID: Server] = [:]
    }

    private(set) var services: [ServiceKey: Service] = [:]

    /// Requests and connections that an instance carries now, over all services.
    func sessions(of id: InstanceID) -> Int {
        services.values.reduce(0) { $0 + ($1.servers[id]?.sessions ?? 0) }
    }

    /// Takes the CSV table, and the table of servers where weights and drains matter.
    init(statistics: String, servers: String = "") {
        readStatistics(statistics)
        if !servers.isEmpty { readServers(servers) }
    }

    private mutating func readStatistics(_ text: String) {
        var rows = text.split(separator: "\n")[...]
        guard let head = rows.popFirst(), head.hasPrefix("# ") else { return }
        var columns: [Substring: Int] = [:]
        for (index, name) in head.dropFirst(2).split(separator: ",").enumerated() { columns[name] = index }
        for row in rows {
            let fields = row.split(separator: ",", omittingEmptySubsequences: false)
            func text(_ name: Substring) -> Substring {
                columns[name].flatMap { $0 < fields.count ? fields[$0] : nil } ?? ""
            }
            func number(_ name: Substring) -> Int { Int(text(name)) ?? 0 }
            guard let (isFrontend, key) = ProxyName.key(fields[0]) else { continue }
            switch fields[1] {
            case "FRONTEND":
                services[key, default: Service()].hasFrontend = isFrontend
                services[key]?.requests = text("mode") == "tcp" ? number("stot") : number("req_tot")
            case "BACKEND":
                // Requests that got no whole answer from any server, retries aside.
                services[key, default: Service()].failed = number("econ") + number("eresp")
            default:
                guard let id = try? InstanceID(String(fields[1])) else { continue }
                let code = text("check_code")
                let words = [text("check_status"), code, text("last_chk")].filter { !$0.isEmpty }
                services[key, default: Service()].servers[id] = Server(
                    status: text("status"), checkStatus: text("check_status"),
                    checkText: words.joined(separator: " "), sessions: number("scur"))
            }
        }
    }

    private mutating func readServers(_ text: String) {
        for row in text.split(separator: "\n") {
            let fields = row.split(separator: " ")
            // be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight … srv_port is the 19th
            guard fields.count > 18, let (_, key) = ProxyName.key(fields[1]),
                let id = try? InstanceID(String(fields[3]))
            else { continue }
            services[key]?.servers[id]?.address = fields[4]
            services[key]?.servers[id]?.port = Int(fields[18]) ?? 0
            services[key]?.servers[id]?.weight = Int(fields[7]) ?? 0
            // SRV_ADMF_FDRAIN
            services[key]?.servers[id]?.isDraining = (Int(fields[6]) ?? 0) & 8 != 0
        }
    }
}

extension ProxyStatistics.Server {
    /// Whether its check passes now.
    var isUp: Bool { status.hasPrefix("UP") || status == "DRAIN" || status == "NOLB" }

    /// Whether a check has ended since the server was made.
    var isChecked: Bool {
        // A star stands before the last result while the next check is under way.
        let last = checkStatus.drop { $0 == "*" || $0 == " " }
        return !last.isEmpty && last != "INI" && last != "UNK"
    }
}
