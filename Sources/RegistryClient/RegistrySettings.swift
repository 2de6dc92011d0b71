internal import Foundation
internal import ImageFormat
package import Model

/// All that is not in a reference: whom to trust, who we are, where else to look. Read once, by the executable.
package struct RegistrySettings: Sendable {
    /// Where to look for credentials; the first that knows a registry is asked.
    package var credentials: [DockerConfig] = []
    package var rules = RegistryRules()
    /// Plain HTTP for every registry that is named, whatever the rules say.
    package var isPlainAllowed = false
    /// PEM files of certificate authorities that are trusted besides the system's, for every host.
    package var authorities: [String] = []
    /// Folders with a folder for each `HOST[:PORT]`, in it `*.crt` (authorities), `NAME.cert` and `NAME.key` (who
    /// we are), as Docker and podman have them.
    package var certificateFolders: [String] = []
    package var retry = RetryPolicy()
    /// Blobs above this size go up in chunks of it.
    package var chunk = UploadPlan.Limit.chunk
    package var world = RegistryWorld.real

    package init() {}

    /// By which scheme a registry is spoken to. This machine's own need no TLS, unless somebody gave them an
    /// authority.
    package func origin(of host: RegistryHost) -> WebAddress.Origin {
        let isPlain: Bool
        if isPlainAllowed {
            isPlain = true
        } else if let rule = rules[host]?.isPlain {
            isPlain = rule
        } else {
            isPlain = host.isLoopback && host.port != 443 && authorities(for: host).isEmpty
        }
        return WebAddress.Origin(isSecure: !isPlain, host: host.endpoint)
    }

    /// PEM files that are trusted for a host besides the system's.
    func authorities(for host: RegistryHost) -> [String] {
        authorities + (rules[host]?.authority.map { [$0] } ?? [])
            + certificateFiles(for: host).filter { $0.hasSuffix(".crt") }
    }

    /// Certificate and key with which we show who we are; nil for none.
    func identity(for host: RegistryHost) -> (certificate: String, key: String)? {
        let files = certificateFiles(for: host)
        for certificate in files where certificate.hasSuffix(".cert") {
            let key = certificate.dropLast(5) + ".key"
            if files.contains(String(key)) { return (certificate, String(key)) }
        }
        return nil
    }

    private func certificateFiles(for host: RegistryHost) -> [String] {
        certificateFolders.flatMap { folder in
            let path = "\(folder)/\(host)"
            let names = (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
            return names.sorted().map { "\(path)/\($0)" }
        }
    }

    /// Who we are to a repository; nil for nobody.
    func credential(for host: RegistryHost, repository: String) async throws -> Credential? {
        for config in credentials {
            switch config.entry(for: host, repository: repository) {
            case .credential(let credential): return credential
            case .helper(let name, let server):
                if let credential = try await world.askHelper(name, server) { return credential }
            case nil: continue
            }
        }
        return nil
    }
}

/// The clock, waiting, chance and helper programs: what tests replace.
package struct RegistryWorld: Sendable {
    package var now: @Sendable () -> Instant
    package var wait: @Sendable (Span) async throws -> Void
    /// 0..<1.
    package var jitter: @Sendable () -> Double
    /// Asks `docker-credential-NAME` who we are to a server; nil where it knows nobody.
    package var askHelper: @Sendable (_ name: String, _ server: String) async throws -> Credential?

    package static let real = RegistryWorld(
        now: { Instant(milliseconds: Int(Date().timeIntervalSince1970 * 1000)) },
        wait: { try await Task.sleep(for: $0.duration) }, jitter: { Double.random(in: 0..<1) },
        askHelper: { try await CredentialHelper($0).credential(for: $1) })
}

/// What `registries.json` says of single registries.
package struct RegistryRules: Hashable, Sendable {
    package struct Rule: Hashable, Sendable {
        /// Asked before the registry itself when something is fetched: `HOST[:PORT]` or `HOST[:PORT]/PATH`.
        package var mirrors: [Mirror] = []
        package var isPlain: Bool?
        /// A PEM file.
        package var authority: String?

        package init(mirrors: [Mirror] = [], isPlain: Bool? = nil, authority: String? = nil) {
            self.mirrors = mirrors
            self.isPlain = isPlain
            self.authority = authority
        }
    }

    /// A registry that has the same content below a path of its own.
    package struct Mirror: Hashable, Sendable {
        package var host: RegistryHost
        package var path: String?

        func repository(_ name: RepositoryName) throws -> RepositoryName {
            try path.map { try RepositoryName("\($0)/\(name)") } ?? name
        }
    }

    package enum Limit {
        package static let mirrors = 8
        package static let bytes = 1 << 20
    }

    private var rules: [RegistryHost: Rule] = [:]

    package init() {}

    package subscript(_ host: RegistryHost) -> Rule? {
        get { rules[host] }
        set { rules[host] = newValue }
    }

    /// Reads `{"registries": {"HOST[:PORT]": {"mirrors": […], "plain-http": true, "ca": "FILE"}}}`.
    package init(parsing bytes: [UInt8], place: String) throws {
        func refuse(_ why: String) -> Failure {
            Failure(
                .invalidArgument, why, at: place,
                suggestion:
                    #"write {"registries": {"registry.example": {"mirrors": ["mirror.example:5000"], "#
                    + #""plain-http": false, "ca": "/etc/ssl/our-ca.pem"}}}"#)
        }
        guard bytes.count <= Limit.bytes, let json = try? JSONValue(parsing: bytes),
            let registries = json["registries"]?.members, json.members?.count == 1
        else { throw refuse("this is no JSON object with nothing but \"registries\"") }
        for (name, value) in registries.sorted(by: { $0.key < $1.key }) {
            guard let members = value.members else { throw refuse("\(name) is no object") }
            var rule = Rule()
            for (key, value) in members {
                switch (key, value) {
                case ("mirrors", .array(let mirrors)) where mirrors.count <= Limit.mirrors:
                    rule.mirrors = try mirrors.map { mirror in
                        guard let text = mirror.text else { throw refuse("a mirror of \(name) is no text") }
                        let parts = text.split(separator: "/", maxSplits: 1).map(String.init)
                        let path = parts.count == 2 ? try RepositoryName(parts[1]).text : nil
                        return Mirror(host: try RegistryHost(parsing: parts.first ?? ""), path: path)
                    }
                case ("plain-http", .bool(let isPlain)): rule.isPlain = isPlain
                case ("ca", .string(let file)): rule.authority = file
                default:
                    throw refuse("\(name) has the key \"\(key.prefix(80))\", or a value that does not fit it")
                }
            }
            rules[try RegistryHost(parsing: name)] = rule
        }
    }
}
