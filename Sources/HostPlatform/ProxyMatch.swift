internal import Model

/// Sends requests with a header to certain servers of a backend, whatever their weights.
///
/// The servers stand in a map, so that they change without a reload: a request draws one of its slots, and tries the
/// servers that the slot names one after the other. Where none of them is up, it goes where the weights send it.
struct ProxyMatch {
    let key: ServiceKey
    let match: RouteMatch

    /// Divides evenly among up to four servers, and six, eight, twelve.
    private static let slots = 24
    /// Servers that a request tries; with more than these, all of these have to be down to miss one that is not.
    private static let tries = 6

    /// nil where a route sends nothing by headers.
    init?(_ route: Route) {
        guard let match = route.match, let listener = route.listener, listener.trafficProtocol == .http,
            !match.servers.isEmpty
        else { return nil }
        key = route.key
        self.match = match
    }

    /// What the map says: `slot name:name:…`.
    var entries: [(slot: String, names: String)] {
        let servers = match.servers
        return (0..<ProxyMatch.slots).map { slot in
            let names = (0..<min(ProxyMatch.tries, servers.count)).map {
                servers[(slot + $0) % servers.count].text
            }
            return ("\(prefix)\(slot)", names.joined(separator: ":"))
        }
    }

    private var prefix: String { "\(key.service).\(key.environment)/" }

    func frontendLines(map: String) -> [String] {
        [
            "    http-request set-var-fmt(txn.slot) \"\(prefix)%[rand(\(ProxyMatch.slots))]\" if { \(condition) }",
            "    http-request set-var(txn.match) var(txn.slot),map(\(map)) if { var(txn.slot) -m found }",
        ]
    }

    private var condition: String {
        let header = ProxyMatch.quoted("req.fhdr(\(match.header.header))")
        guard let value = match.header.value else { return "\(header) -m found" }
        return value.isEmpty ? "\(header) -m len 0" : "\(header) -m str -- \(ProxyMatch.quoted(value))"
    }

    /// A server that is down is passed over; one that is not there ends the search.
    var backendLines: [String] {
        (1...ProxyMatch.tries).map {
            "    use-server %[var(txn.match),field(\($0),:)] if { var(txn.match) -m found }"
        }
    }

    /// A word in double quotes (configuration manual, section 2.2).
    private static func quoted(_ text: String) -> String {
        var quoted = "\""
        for character in text {
            if "\\\"$".contains(character) { quoted.append("\\") }
            quoted.append(character)
        }
        return quoted + "\""
    }

    /// What the proxy does, by `show map`: the match itself where every slot is as it should be; otherwise with the
    /// servers that are in it; nil where the map knows nothing of it.
    func observed(in map: String) -> RouteMatch? {
        var seen: [Substring: Substring] = [:]
        for row in map.split(separator: "\n") {
            let fields = row.split(separator: " ")
            if fields.count == 3, fields[1].hasPrefix(prefix) { seen[fields[1]] = fields[2] }
        }
        if entries.allSatisfy({ seen[$0.slot[...]] == $0.names[...] }) { return match }
        let servers = Set(seen.values.flatMap { $0.split(separator: ":") }).compactMap {
            try? InstanceID(String($0))
        }
        return servers.isEmpty ? nil : RouteMatch(header: match.header, servers: servers.sorted())
    }
}
