package import Model

/// Where a registry listens: a host name or address, with a port where it is not the scheme's own.
package struct RegistryHost: Hashable, Sendable, Comparable, CustomStringConvertible {
    /// Lowercase; an IPv6 address stays in its brackets.
    package let name: String
    package let port: Int?

    /// Reads `registry.example`, `127.0.0.1:5000`, `[::1]:5000` or `localhost`.
    package init(parsing text: String) throws {
        func refuse(_ why: String) -> Failure {
            Failure(
                .invalidArgument, "\"\(text.prefix(120))\" is not a registry: \(why)",
                suggestion: "write a host and perhaps a port, such as registry.example or localhost:5000")
        }
        var name = text[...]
        var port: Int?
        let end = name.hasPrefix("[") ? name.firstIndex(of: "]").map(name.index(after:)) : nil
        if let colon = name[(end ?? name.startIndex)...].firstIndex(of: ":") {
            guard let number = Int(name[name.index(after: colon)...]), (1...65_535).contains(number) else {
                throw refuse("a port is a number from 1 to 65535")
            }
            port = number
            name = name[..<colon]
        }
        let isAddress = name.hasPrefix("[") && name.hasSuffix("]")
        let isValid =
            (1...253).contains(name.utf8.count)
            && name.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "-"):
                    true
                case UInt8(ascii: ":"), UInt8(ascii: "["), UInt8(ascii: "]"): isAddress
                default: false
                }
            }
        guard isValid, !name.hasPrefix("."), !name.hasPrefix("-") else {
            throw refuse("this is no host name")
        }
        self.name = name.lowercased()
        self.port = port
    }

    package var description: String { port.map { "\(name):\($0)" } ?? name }

    /// Docker Hub, by the name that people write.
    private static let dockerHub = "docker.io"
    /// Where Docker Hub listens; its website is at `docker.io`.
    private static let dockerHubItself = "registry-1.docker.io"
    /// What tools call it: `docker login` writes `https://index.docker.io/v1/`.
    private static let dockerHubNames: Set = [dockerHub, "index.docker.io", dockerHubItself]
    /// The folder of the images that have no folder: `docker.io/nginx` is `docker.io/library/nginx`.
    static let dockerHubFolder = "library"

    /// Whether it is Docker Hub, by any of its names.
    package var isDockerHub: Bool { port == nil && RegistryHost.dockerHubNames.contains(name) }

    /// The host that connections go to.
    var endpoint: RegistryHost { isDockerHub ? RegistryHost(RegistryHost.dockerHubItself) : self }

    /// The same for all names of one registry: what credentials belong to.
    var canonical: RegistryHost { isDockerHub ? RegistryHost(RegistryHost.dockerHub) : self }

    /// What helper programs know it by where nobody said otherwise.
    var helperServer: String { isDockerHub ? "https://index.docker.io/v1/" : description }

    private init(_ name: String) { (self.name, port) = (name, nil) }

    /// Whether it can only be this machine: then nobody listens in on plain HTTP.
    package var isLoopback: Bool {
        if name == "localhost" || name.hasSuffix(".localhost") || name == "[::1]" { return true }
        let parts = name.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4 && parts[0] == "127" && parts.allSatisfy { UInt8($0) != nil }
    }

    package static func < (left: RegistryHost, right: RegistryHost) -> Bool {
        (left.name, left.port ?? 0) < (right.name, right.port ?? 0)
    }
}

/// A folder of a registry in which one thing's images lie, by the distribution spec's grammar.
package struct RepositoryName: Hashable, Sendable, CustomStringConvertible {
    package let text: String

    /// What clients and registries agree on as the longest.
    static let longest = 255

    package init(_ text: String) throws {
        let isValid =
            text.utf8.count <= RepositoryName.longest
            && text.split(separator: "/", omittingEmptySubsequences: false).allSatisfy {
                $0.wholeMatch(of: /[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*/) != nil
            }
        guard isValid else {
            throw Failure(
                .invalidArgument, "\"\(text.prefix(120))\" is not the name of a repository",
                suggestion: "use lower case, digits and . _ - between them, such as team/web-api")
        }
        self.text = text
    }

    package var description: String { text }
}

/// A name that a repository has for an image, and may give to another one later.
package struct ImageTag: Hashable, Sendable, CustomStringConvertible {
    package let text: String
    package static let latest = try! ImageTag("latest")

    package init(_ text: String) throws {
        guard text.wholeMatch(of: /[A-Za-z0-9_][A-Za-z0-9._\-]{0,127}/) != nil else {
            throw Failure(
                .invalidArgument, "\"\(text.prefix(140))\" is not a tag",
                suggestion: "use up to 128 letters, digits and . _ -, such as v1.2")
        }
        self.text = text
    }

    package var description: String { text }
}

/// An image in a registry: `HOST[:PORT]/REPOSITORY[:TAG][@sha256:DIGEST]`.
package struct RegistryReference: Hashable, Sendable, CustomStringConvertible {
    package var host: RegistryHost
    package var repository: RepositoryName
    package var tag: ImageTag?
    package var digest: Digest?

    package init(host: RegistryHost, repository: RepositoryName, tag: ImageTag?, digest: Digest? = nil) {
        self.host = host
        self.repository = repository
        self.tag = tag
        self.digest = digest
    }

    /// The host is always said: a short name that means another registry on each machine is no name.
    package init(parsing text: String) throws {
        let text = text.hasPrefix("docker://") ? String(text.dropFirst("docker://".count)) : text
        guard let slash = text.firstIndex(of: "/") else {
            throw Failure(
                .invalidArgument, "\"\(text.prefix(120))\" names no repository of a registry",
                suggestion: "write the registry too, such as registry.example/team/app:v1, or docker.io/"
                    + "\(RegistryHost.dockerHubFolder)/\(text.prefix(120)) for Docker Hub's")
        }
        host = try RegistryHost(parsing: String(text[..<slash])).canonical
        var rest = text[text.index(after: slash)...]
        if let at = rest.firstIndex(of: "@") {
            let digest = String(rest[rest.index(after: at)...])
            guard digest.hasPrefix("sha256:") else {
                throw Failure(
                    .invalidArgument, "\"\(digest.prefix(80))\" is not a SHA-256 digest",
                    suggestion: "a digest is sha256: and 64 digits 0-9 a-f")
            }
            self.digest = try Digest(parsing: digest)
            rest = rest[..<at]
        }
        if let colon = rest.firstIndex(of: ":") {
            tag = try ImageTag(String(rest[rest.index(after: colon)...]))
            rest = rest[..<colon]
        }
        let isShort = host.isDockerHub && !rest.contains("/")
        repository = try RepositoryName((isShort ? RegistryHost.dockerHubFolder + "/" : "") + rest)
    }

    /// What a manifest is asked for by: the digest where there is one, else the tag, else `latest`.
    package var manifestName: String { digest?.description ?? (tag ?? .latest).text }

    package var description: String {
        "\(host)/\(repository)" + (tag.map { ":\($0)" } ?? "") + (digest.map { "@\($0)" } ?? "")
    }
}
