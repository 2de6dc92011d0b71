import AsyncHTTPClient
import Glibc
import Model

/// A proxy that requests go by: `http://[USER[:PASSWORD]@]HOST[:PORT][/]`. Its description holds no password.
struct ProxyAddress: Hashable, Sendable, CustomStringConvertible {
    let host: String
    let port: Int
    let user: String?
    let password: String

    /// What curl and apt take where no port is said.
    private static let usualPort = 1080
    private static let httpPort = 80

    var description: String { "\(host):\(port)" }

    /// nil where the text is no such address: an IPv6 host stands in brackets, user and password are percent-encoded.
    init?(_ text: String) {
        var rest = text[...]
        var usualPort = ProxyAddress.usualPort
        if let scheme = rest.firstRange(of: "://") {
            guard rest[..<scheme.lowerBound].lowercased() == "http" else { return nil }
            rest = rest[scheme.upperBound...]
            usualPort = ProxyAddress.httpPort
        }
        rest = rest.prefix { $0 != "/" }
        // The last one: a password may hold others.
        if let at = rest.lastIndex(of: "@") {
            let parts = rest[..<at].split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            user = PercentText.decode(String(parts[0]))
            password = parts.count > 1 ? PercentText.decode(String(parts[1])) : ""
            rest = rest[rest.index(after: at)...]
        } else {
            (user, password) = (nil, "")
        }
        let end =
            rest.hasPrefix("[") ? rest.firstIndex(of: "]").map(rest.index(after:)) : rest.firstIndex(of: ":")
        let name = rest[..<(end ?? rest.endIndex)]
        let ending = rest[(end ?? rest.endIndex)...]
        guard ending.isEmpty || ending.hasPrefix(":") else { return nil }
        if ending.count > 1 {
            guard let port = Int(ending.dropFirst()), (1...65_535).contains(port) else { return nil }
            self.port = port
        } else {
            port = usualPort
        }
        host = name.hasPrefix("[") ? String(name.dropFirst().dropLast()) : String(name)
        guard !host.isEmpty, !host.contains(" ") else { return nil }
    }

    /// What the environment says for an address, as curl and git read it: `https_proxy`, `http_proxy`, `all_proxy`, and
    /// `no_proxy` for hosts that are reached without one.
    init?(for url: String, environment: [String: String]) {
        guard let scheme = url.firstRange(of: "://") else { return nil }
        let kind = url[..<scheme.lowerBound].lowercased()
        guard kind == "http" || kind == "https" else { return nil }
        let authority = url[scheme.upperBound...].prefix { $0 != "/" && $0 != "?" }
        let host = (authority.split(separator: "@").last ?? "").prefix { $0 != ":" }.lowercased()
        func value(_ name: String) -> String? {
            (environment[name] ?? environment[name.uppercased()]).flatMap { $0.isEmpty ? nil : $0 }
        }
        let without = (value("no_proxy") ?? "").split { $0 == "," || $0 == " " }.map { $0.lowercased() }
        let isDirect = without.contains { entry in
            let name = entry.drop { $0 == "." }.prefix { $0 != ":" }
            return entry == "*" || host == name || host.hasSuffix("." + name)
        }
        // A web server gives its clients' `Proxy` header to its programs as HTTP_PROXY: that one does not count.
        let own = kind == "https" ? value("https_proxy") : environment["http_proxy"]
        guard !isDirect, let text = own.flatMap({ $0.isEmpty ? nil : $0 }) ?? value("all_proxy") else {
            return nil
        }
        self.init(text)
    }

    /// What this process was started with.
    static var environment: [String: String] {
        var found: [String: String] = [:]
        for name in ["http_proxy", "https_proxy", "all_proxy", "no_proxy"] {
            for name in [name, name.uppercased()] {
                if let value = getenv(name) { found[name] = String(cString: value) }
            }
        }
        return found
    }

    var configuration: HTTPClient.Configuration.Proxy {
        guard let user else { return .server(host: host, port: port) }
        return .server(
            host: host, port: port, authorization: .basic(username: user, password: password))
    }
}
