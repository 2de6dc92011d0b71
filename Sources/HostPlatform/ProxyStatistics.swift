internal import Model

/// What `show info`, `show stat` and `show servers state` say (management guide, section 9).
struct ProxyStatistics {
    struct Server {
        var status: Substring
        var checkStatus: Substring
        var checkText: String
        var sessions: Int
        /// Sent to it, whatever came of them.
        var requests: Int
        var errors: Int
        /// Answers of its own with 5xx.
        var serverErrors: Int
        /// Requests that it began to answer.
        var answers: Int
        /// From the table of servers: nothing until joined.
        var weight = 0
        var isDraining = false
        var address: Substring = ""
    }

    /// What a service's frontend and backend counted; answers with 5xx include those of the proxy itself.
    struct Service {
        var hasFrontend = false
        /// Its frontend was not told to stop.
        var isListening = false
        var isHTTP = true
        var requests = 0
        var answers5xx = 0
        var refused = 0
        var cut = 0
        var servers: [InstanceID: Server] = [:]
    }

    /// The process number of the worker that answered; empty where it was not asked for it.
    private(set) var worker = ""
    private(set) var services: [ServiceKey: Service] = [:]

    static let question = "show info;show stat;show servers state"

    /// Takes the answers to `question`, or to a part of it. An empty line ends each of them.
    init(_ text: String) {
        let lines = text[...].fields(UInt8(ascii: "\n"))
        for part in lines.split(whereSeparator: \.isEmpty) {
            let rows = Array(part)
            guard let first = rows.first else { continue }
            if first.hasPrefix("# pxname,") {
                readStatistics(rows)
            } else if first.hasPrefix("Name:") {
                worker = rows.first { $0.hasPrefix("Pid: ") }.map { String($0.dropFirst(5)) } ?? ""
            } else {
                readServers(rows)
            }
        }
    }

    private mutating func readStatistics(_ table: [Substring]) {
        var rows = table[...]
        guard let head = rows.popFirst() else { return }
        var columns: [Substring: Int] = [:]
        for (index, name) in head.dropFirst(2).split(separator: ",").enumerated() { columns[name] = index }
        for row in rows {
            let fields = row.fields(UInt8(ascii: ","))
            func text(_ name: Substring) -> Substring {
                columns[name].flatMap { $0 < fields.count ? fields[$0] : nil } ?? ""
            }
            func number(_ name: Substring) -> Int { Int(text(name)) ?? 0 }
            guard let (isFrontend, key) = ProxyName.key(fields[0]) else { continue }
            switch fields[1] {
            case "FRONTEND":
                services[key, default: Service()].hasFrontend = isFrontend
                services[key]?.isListening = text("status") == "OPEN"
                services[key]?.requests = text("mode") == "tcp" ? number("stot") : number("req_tot")
            case "BACKEND":
                services[key, default: Service()].isHTTP = text("mode") != "tcp"
                services[key]?.answers5xx = number("hrsp_5xx")
                // Of the backend, these two count requests: those that nobody took after every retry.
                services[key]?.refused = number("econ")
                services[key]?.cut = number("srv_abrt")
            default:
                guard let id = try? InstanceID(String(fields[1])) else { continue }
                let code = text("check_code")
                let words = [text("check_status"), code, text("last_chk")].filter { !$0.isEmpty }
                // A request that another server or another try got is in one of these two, or in both.
                let passedOn = max(number("wretr"), number("wredis"))
                services[key, default: Service()].servers[id] = Server(
                    status: text("status"), checkStatus: text("check_status"),
                    checkText: words.joined(separator: " "), sessions: number("scur"),
                    requests: number("stot"),
                    errors: number("hrsp_5xx") + number("econ") + number("eresp") + passedOn,
                    serverErrors: number("hrsp_5xx"), answers: number("req_tot"))
            }
        }
    }

    private mutating func readServers(_ rows: [Substring]) {
        for row in rows {
            let fields = row.fields(UInt8(ascii: " "))
            // be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight …
            guard fields.count > 7, let (_, key) = ProxyName.key(fields[1]),
                let id = try? InstanceID(String(fields[3]))
            else { continue }
            services[key]?.servers[id]?.address = fields[4]
            services[key]?.servers[id]?.weight = Int(fields[7]) ?? 0
            // SRV_ADMF_FDRAIN
            services[key]?.servers[id]?.isDraining = (Int(fields[6]) ?? 0) & 8 != 0
        }
    }
}

extension Substring {
    /// What stands between the separators, nothing included. By bytes, because there are many and all are ASCII: to
    /// look for the bounds of characters takes several times as long.
    fileprivate func fields(_ separator: UInt8) -> [Substring] {
        utf8.split(separator: separator, omittingEmptySubsequences: false).map { Substring($0) }
    }
}

extension ProxyStatistics.Service {
    /// With `departed`: answers with 5xx of servers that were deleted since the counters began.
    func counts(departed: Int) -> TrafficCounts {
        let serverErrors = departed + servers.values.reduce(0) { $0 + $1.serverErrors }
        return TrafficCounts(
            requests: requests, failed: isHTTP ? max(0, answers5xx - serverErrors) : refused,
            refused: refused, cut: cut, serverErrors: serverErrors)
    }

    var answers: Int { servers.values.reduce(0) { $0 + $1.answers } }
}

extension ProxyStatistics.Server {
    /// Whether its check passes now.
    var isUp: Bool { status.hasPrefix("UP") || status == "DRAIN" || status == "NOLB" }

    var isInMaintenance: Bool { status.hasPrefix("MAINT") }

    /// Whether a check has ended since the server was made.
    var isChecked: Bool {
        // A star stands before the last result while the next check is under way.
        let last = checkStatus.drop { $0 == "*" || $0 == " " }
        return !last.isEmpty && last != "INI" && last != "UNK"
    }
}
