import ImageFormat
import Model

/// A private folder in which apt runs without the host's state, hooks, pins or root. It stays between locks, so that
/// the second one need not fetch the package lists again.
struct AptWorkspace: Sendable {
    let folder: String
    let sources: AptSources
    let architecture: Architecture

    private enum Limit {
        static let update = Span.seconds(600)
        static let query = Span.seconds(120)
    }

    /// Names the folder that these sources are kept in.
    static func name(_ sources: AptSources, _ architecture: Architecture) -> String {
        let text = ([architecture.rawValue] + sources.all.map { "\($0)" }).joined(separator: "\n")
        return "apt/" + Digest.sha256(Array(text.utf8)).short
    }

    /// Makes or renews the configuration in `folder`.
    init(folder: String, sources: AptSources, architecture: Architecture, policy: [String]) throws {
        self.folder = folder
        self.sources = sources
        self.architecture = architecture
        let folders = [
            "etc/apt.conf.d", "etc/preferences.d", "etc/sources.list.d", "etc/trusted.gpg.d", "lists/partial",
            "cache/archives/partial", "state", "log", "keys", "tmp",
        ]
        for name in folders { try HostFiles.makeFolder("\(folder)/\(name)") }
        try HostFiles.put("\(folder)/apt.conf", (configuration + policy.joined(separator: "\n") + "\n").utf8)
        // Images have a merged /usr from the start: the package that would convert one, and its perl, never helps.
        try HostFiles.put(
            "\(folder)/etc/preferences.d/kiln", "Package: usrmerge\nPin: release *\nPin-Priority: -1\n".utf8)
        try keep([])
        try begin(with: "")
        var text = ""
        for (index, source) in sources.all.enumerated() {
            text += """
                Types: deb
                URIs: \(source.uri)
                Suites: \(source.suites.joined(separator: " "))
                Components: \(source.components.joined(separator: " "))
                Signed-By: \(try keyringPath(index))


                """
        }
        try HostFiles.put("\(folder)/etc/sources.list.d/kiln.sources", text.utf8)
    }

    /// Makes apt choose these packages in the versions given, older than the newest or not.
    func keep(_ packages: [Lock.Package]) throws {
        try pin(packages.map { ($0.name, $0.version) }, in: "kept")
    }

    /// Makes apt see these packages as installed, and leave them as they are.
    func begin(with status: String) throws {
        try HostFiles.put("\(folder)/state/status", status.utf8)
        let installed = try ControlParagraph.parse(status, place: "status").compactMap { paragraph in
            paragraph["Package"].flatMap { name in paragraph["Version"].map { (name, $0) } }
        }
        try pin(installed, in: "installed")
    }

    private func pin(_ packages: [(name: String, version: String)], in file: String) throws {
        let pins = packages.map { "Package: \($0.name)\nPin: version \($0.version)\nPin-Priority: 1001\n" }
        try HostFiles.put("\(folder)/etc/preferences.d/\(file)", pins.joined(separator: "\n").utf8)
    }

    private var configuration: String {
        """
        Dir "\(folder)/";
        Dir::State "\(folder)/state";
        Dir::State::lists "\(folder)/lists";
        Dir::State::status "\(folder)/state/status";
        Dir::Cache "\(folder)/cache";
        Dir::Cache::srcpkgcache "";
        Dir::Log "\(folder)/log";
        Dir::Etc "\(folder)/etc";
        Dir::Etc::main "\(folder)/etc/apt.conf";
        Dir::Etc::parts "\(folder)/etc/apt.conf.d";
        APT::Architecture "\(architecture.rawValue)";
        APT::Architectures { "\(architecture.rawValue)"; };
        APT::Install-Recommends "false";
        APT::Install-Suggests "false";
        APT::Sandbox::User "root";
        APT::Update::Error-Mode "any";
        APT::Get::Assume-Yes "true";
        Acquire::Languages "none";
        Acquire::ForceHash "SHA256";
        Acquire::Retries "2";
        Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled "false";
        Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";

        """
    }

    /// How this host reaches archives, as its administrator set it: proxies, and whether release files may be old.
    static func hostPolicy() async throws -> [String] {
        let dump = try await CommandRunner.run(
            Command("apt-config", ["dump"]), package: "apt", timeout: Limit.query)
        let kept = [
            "Acquire::http::Proxy", "Acquire::https::Proxy", "Acquire::Check-Valid-Until",
            "Acquire::Check-Date",
            "Acquire::ForceIPv4", "Acquire::ForceIPv6",
        ]
        return dump.out.split(separator: "\n").map(String.init).filter { line in
            kept.contains { line.hasPrefix($0 + " ") || line.hasPrefix($0 + "::") }
        }
    }

    /// A keyring that gpgv can read, for the source at this place in the list.
    func keyringPath(_ index: Int) throws -> String {
        switch sources.all[index].keyring {
        case .file(let path): return path
        case .armored(let text):
            let path = "\(folder)/keys/\(index).gpg"
            guard let bytes = Armor.decode(text) else {
                throw Failure(
                    .badSignature, "the key of \(sources.all[index].uri) cannot be read", at: "image.sources",
                    suggestion: "give the key as `gpg --export --armor` writes it")
            }
            try HostFiles.put(path, bytes)
            return path
        }
    }

    /// Runs one of apt's programs in here.
    func run(_ program: String, _ arguments: [String]) async throws -> CommandRunner.Output {
        var environment = Command.plainEnvironment
        environment["APT_CONFIG"] = "\(folder)/apt.conf"
        environment["HOME"] = folder
        environment["TMPDIR"] = "\(folder)/tmp"
        // Its own configuration goes before these.
        environment.merge(ProxyAddress.environment) { own, _ in own }
        let isUpdate = arguments.first == "update"
        return try await CommandRunner.run(
            Command(program, arguments, environment: environment), package: "apt",
            timeout: isUpdate ? Limit.update : Limit.query)
    }

    /// Where apt keeps a file of an archive's `dists`, by its own way of naming.
    func list(_ uri: String, _ suite: String, _ file: String) -> String {
        let address =
            uri.firstRange(of: "://").map { String(uri[$0.upperBound...]) }
            ?? uri.firstIndex(of: ":").map { String(uri[uri.index(after: $0)...]) } ?? uri
        var name = ""
        for byte in "\(address)/dists/\(suite)/\(file)".utf8 {
            if byte == UInt8(ascii: "/") {
                name += "_"
            } else if "\\|{}[]<>\"^~_=!@#$%^&*".utf8.contains(byte) || byte <= 0x20 || byte >= 0x7f {
                let digits = String(byte, radix: 16)
                name += "%" + (digits.utf8.count == 1 ? "0" : "") + digits
            } else {
                name.unicodeScalars.append(Unicode.Scalar(byte))
            }
        }
        return "\(folder)/lists/\(name)"
    }
}
