internal import Foundation
internal import ImageFormat
internal import Model

/// What proves to a registry who asks. Never printed: its description is not its content.
package enum Credential: Hashable, Sendable, CustomStringConvertible, CustomDebugStringConvertible {
    case password(user: String, password: String)
    /// A refresh token of an OAuth 2 server.
    case identityToken(String)

    package var description: String { "a credential" }
    package var debugDescription: String { description }
}

/// The part of `~/.docker/config.json` (or podman's `auth.json`) that says who we are to each registry.
package struct DockerConfig: Hashable, Sendable {
    package enum Entry: Hashable, Sendable {
        case credential(Credential)
        /// The program `docker-credential-NAME` knows; it is asked about `server`.
        case helper(String, server: String)
    }

    private struct Place: Hashable {
        /// As it is written in the file, which is what a helper knows it by.
        var key: String
        var host: String
        /// The path that it holds for, `/`-separated; empty for the whole host.
        var path: String

        init(_ key: String) {
            self.key = key
            var text = key[...]
            var isAddress = false
            for scheme in ["https://", "http://"] where text.hasPrefix(scheme) {
                text = text.dropFirst(scheme.count)
                isAddress = true
            }
            let host = text.prefix { $0 != "/" }
            self.host = host.lowercased()
            // What follows the host of an address is the API's version: `https://registry.example/v2/`.
            path = isAddress ? "" : text[host.endIndex...].split(separator: "/").joined(separator: "/")
        }

        func holds(_ host: RegistryHost, _ repository: String) -> Bool {
            (self.host == host.description
                || host.isDockerHub && ((try? RegistryHost(parsing: self.host))?.isDockerHub ?? false))
                && (path.isEmpty || repository == path || repository.hasPrefix(path + "/"))
        }
    }

    private var credentials: [Place: Credential] = [:]
    private var known: Set<Place> = []
    private var helpers: [Place: String] = [:]
    private var store: String?

    package enum Limit {
        package static let bytes = 1 << 20
    }

    package init() {}

    /// Reads the file's text. What it says besides is left alone.
    package init(parsing bytes: [UInt8], place: String) throws {
        func refuse(_ why: String) -> Failure {
            Failure(
                .invalidArgument, "the credentials cannot be read: \(why)", at: place,
                suggestion: "mend the file, or name another one with --auth-file")
        }
        guard bytes.count <= Limit.bytes else { throw refuse("it is larger than 1 MiB") }
        guard let json = try? JSONValue(parsing: bytes), let members = json.members else {
            throw refuse("it is not a JSON object")
        }
        for (key, value) in members["auths"]?.members ?? [:] {
            let place = Place(key)
            known.insert(place)
            if let token = value["identitytoken"]?.text, !token.isEmpty {
                credentials[place] = .identityToken(token)
            } else if let packed = value["auth"]?.text, !packed.isEmpty {
                guard let data = Data(base64Encoded: packed),
                    let text = String(data: data, encoding: .utf8)?.trimmingCharacters(in: ["\0"]),
                    let colon = text.firstIndex(of: ":")
                else { throw refuse("the entry of \(key.prefix(120)) is not base64 of user:password") }
                credentials[place] = .password(
                    user: String(text[..<colon]), password: String(text[text.index(after: colon)...]))
            } else if let user = value["username"]?.text, let password = value["password"]?.text {
                credentials[place] = .password(user: user, password: password)
            }
        }
        for (key, value) in members["credHelpers"]?.members ?? [:] {
            guard let name = value.text, DockerConfig.isHelper(name) else {
                throw refuse("credHelpers names no program for \(key.prefix(120))")
            }
            helpers[Place(key)] = name
        }
        if let name = members["credsStore"]?.text, !name.isEmpty {
            guard DockerConfig.isHelper(name) else { throw refuse("credsStore names no program") }
            store = name
        }
    }

    /// A name, and never a path: it is the end of a program's name.
    private static func isHelper(_ name: String) -> Bool {
        name.wholeMatch(of: /[A-Za-z0-9._\-]{1,64}/) != nil
    }

    /// Who we are to a repository: its helper, then the entry of the longest path, then the general helper.
    package func entry(for host: RegistryHost, repository: String) -> Entry? {
        let helper = helpers.filter { $0.key.holds(host, repository) }.max {
            $0.key.path.utf8.count < $1.key.path.utf8.count
        }
        if let helper { return .helper(helper.value, server: helper.key.key) }
        let entry = credentials.filter { $0.key.holds(host, repository) }.max {
            $0.key.path.utf8.count < $1.key.path.utf8.count
        }
        if let entry { return .credential(entry.value) }
        guard let store else { return nil }
        // A general helper leaves an empty entry behind that tells by which name it knows the registry.
        let name = known.filter { $0.holds(host, repository) }.map(\.key).max {
            $0.utf8.count < $1.utf8.count
        }
        return .helper(store, server: name ?? host.helperServer)
    }
}
