internal import Foundation
internal import Model

/// An absolute `http` or `https` address. Its path and query stay as the registry wrote them.
package struct WebAddress: Hashable, Sendable, CustomStringConvertible {
    /// Scheme, host and port: what credentials belong to.
    package struct Origin: Hashable, Sendable, CustomStringConvertible {
        package let isSecure: Bool
        package let host: RegistryHost

        package init(isSecure: Bool, host: RegistryHost) {
            self.isSecure = isSecure
            self.host = host
        }

        package var description: String { "\(isSecure ? "https" : "http")://\(host)" }

        var port: Int { host.port ?? (isSecure ? 443 : 80) }

        /// The same place, whether or not its port is written.
        package static func == (left: Origin, right: Origin) -> Bool {
            left.isSecure == right.isSecure && left.host.name == right.host.name && left.port == right.port
        }

        package func hash(into hasher: inout Hasher) {
            hasher.combine(isSecure)
            hasher.combine(host.name)
            hasher.combine(port)
        }
    }

    package let origin: Origin
    /// Path and query; begins with a slash.
    package let target: String

    static let longest = 16 << 10

    package init(origin: Origin, target: String) {
        precondition(target.hasPrefix("/"), "a request's target begins with a slash")
        self.origin = origin
        self.target = target
    }

    /// Reads an absolute address; refuses user names in it, which would be credentials in a log.
    package init(parsing text: String) throws {
        func refuse(_ why: String) -> Failure {
            Failure(
                .registryRefused, "a registry gave an address that cannot be used: \(why)",
                at: String(text.prefix { $0 != "?" && $0 != "@" }.prefix(120)),
                suggestion: "tell whoever runs the registry, or the proxy before it")
        }
        let lowercase = text.prefix(8).lowercased()
        let isSecure = lowercase == "https://"
        guard isSecure || lowercase.hasPrefix("http://") else { throw refuse("it is neither http nor https") }
        guard text.utf8.count <= WebAddress.longest, text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f }) else {
            throw refuse("it is too long, or holds spaces or characters beyond ASCII")
        }
        let rest = text.dropFirst(isSecure ? 8 : 7).prefix { $0 != "#" }
        let authority = rest.prefix { $0 != "/" && $0 != "?" }
        guard !authority.contains("@") else { throw refuse("it holds a user name") }
        origin = Origin(isSecure: isSecure, host: try RegistryHost(parsing: String(authority)))
        let target = rest[authority.endIndex...]
        self.target = target.hasPrefix("/") ? String(target) : "/" + target
    }

    /// What a `Location` header means here (RFC 3986, 5.2, without climbing): absolute, `//host/path`, `/path`,
    /// `?query` or a path beside this one. Never from https to http.
    package func resolving(_ location: String) throws -> WebAddress {
        let location = location.trimmingCharacters(in: .whitespaces)
        let address: WebAddress
        if location.range(of: "^[A-Za-z][A-Za-z0-9+.-]*:", options: .regularExpression) != nil {
            address = try WebAddress(parsing: location)
        } else if location.hasPrefix("//") {
            address = try WebAddress(parsing: (origin.isSecure ? "https:" : "http:") + location)
        } else {
            let path = target.prefix { $0 != "?" }
            let folder = path[...(path.lastIndex(of: "/") ?? path.startIndex)]
            let base =
                location.hasPrefix("/") ? "" : location.hasPrefix("?") ? String(path) : String(folder)
            address = try WebAddress(parsing: "\(origin)\(base)\(location)")
        }
        guard address.origin.isSecure || !origin.isSecure else {
            throw Failure(
                .registryRefused, "a registry pointed from https to plain http, which is not followed",
                at: "\(origin)")
        }
        return address
    }

    /// The same address with one more query item, all else untouched: upload addresses are opaque.
    package func adding(_ name: String, _ value: String) -> WebAddress {
        WebAddress(
            origin: origin,
            target: target + (target.contains("?") ? (target.hasSuffix("?") ? "" : "&") : "?")
                + "\(name)=\(WebAddress.encode(value))")
    }

    /// Percent-encodes all but what RFC 3986 calls unreserved, and `:` and `/`, which a query may hold.
    package static func encode(_ text: String) -> String {
        var output = ""
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."),
                UInt8(ascii: "_"), UInt8(ascii: "~"), UInt8(ascii: ":"), UInt8(ascii: "/"):
                output.unicodeScalars.append(Unicode.Scalar(byte))
            default: output += "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true)
            }
        }
        return output
    }

    /// Without the query: it may hold a signature that is as good as a password.
    package var description: String { "\(origin)\(target.prefix { $0 != "?" })" }

    /// For the HTTP client only.
    var whole: String { "\(origin)\(target)" }
}
