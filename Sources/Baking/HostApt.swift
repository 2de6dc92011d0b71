package import Model

/// What the host knows of archives: its apt sources and keyrings. Its packages, hooks and pins are never looked at.
package struct HostApt: Sendable {
    /// One archive of the host's sources, before a recipe picks from it.
    package struct Stanza: Hashable, Sendable {
        package var uri: String
        package var suites: [String]
        package var components: [String]
        /// What `Signed-By` says: a path or a whole key block; nil where it says nothing or a fingerprint.
        package var keyring: String?
    }

    private enum Limit {
        static let fileBytes = 1 << 20
    }

    /// The folder that stands for `/`.
    private let root: String

    package init(root: String = "") { self.root = root }

    /// Every enabled binary archive, in the order that apt reads them.
    package func stanzas(architecture: Architecture) throws -> [Stanza] {
        var stanzas: [Stanza] = []
        let folder = root + "/etc/apt/sources.list.d"
        let files = HostFiles.names(in: folder).map { "\(folder)/\($0)" }
        for path in [root + "/etc/apt/sources.list"] + files where HostFiles.exists(path) {
            if path.hasSuffix(".list") {
                stanzas += HostApt.parseList(try text(path), architecture: architecture)
            } else if path.hasSuffix(".sources") {
                stanzas += try HostApt.parseDeb822(try text(path), place: path, architecture: architecture)
            }
        }
        return stanzas
    }

    private func text(_ path: String) throws -> String {
        String(decoding: try HostFiles.read(path, limit: Limit.fileBytes), as: UTF8.self)
    }

    /// The one-line format of sources.list(5); lines that apt would not fetch packages by are left out.
    package static func parseList(_ text: String, architecture: Architecture) -> [Stanza] {
        text.split(separator: "\n").compactMap { line in
            var words = line.prefix { $0 != "#" }.split(whereSeparator: \.isWhitespace).map(String.init)[...]
            guard words.popFirst() == "deb" else { return nil }
            var options: [String: String] = [:]
            if words.first?.hasPrefix("[") == true {
                while let word = words.popFirst() {
                    let option = word.filter { $0 != "[" && $0 != "]" }.split(separator: "=", maxSplits: 1)
                    if option.count == 2 { options[option[0].lowercased()] = String(option[1]) }
                    if word.hasSuffix("]") { break }
                }
            }
            guard let uri = words.popFirst(), let suite = words.popFirst(), !words.isEmpty, isUsable(uri)
            else {
                return nil
            }
            let architectures = (options["arch"] ?? "").split(separator: ",").map(String.init)
            guard architectures.isEmpty || architectures.contains(architecture.rawValue) else { return nil }
            return Stanza(
                uri: uri, suites: [expanded(suite, architecture)], components: Array(words),
                keyring: options["signed-by"].flatMap { $0.hasPrefix("/") ? $0 : nil })
        }
    }

    /// The deb822 format of sources.list(5).
    package static func parseDeb822(
        _ text: String, place: String, architecture: Architecture
    ) throws -> [Stanza] {
        try ControlParagraph.parse(text, place: place).flatMap { paragraph -> [Stanza] in
            let isEnabled = !["no", "false", "0", "off", "disable", "without"].contains(
                (paragraph["Enabled"] ?? "yes").lowercased())
            let architectures = paragraph.words("Architectures")
            guard isEnabled, paragraph.words("Types").contains("deb"),
                architectures.isEmpty || architectures.contains(architecture.rawValue)
            else { return [] }
            let components = paragraph.words("Components")
            let suites = paragraph.words("Suites").filter { !$0.hasSuffix("/") }
            guard !components.isEmpty, !suites.isEmpty else { return [] }
            let signedBy = paragraph["Signed-By"]
            let key = signedBy.flatMap { $0.contains("BEGIN PGP") ? unfolded($0) : nil }
            let path = signedBy.flatMap { $0.hasPrefix("/") ? $0 : nil }
            return paragraph.words("URIs").filter(isUsable).map { uri in
                Stanza(
                    uri: uri, suites: suites.map { expanded($0, architecture) }, components: components,
                    keyring: key ?? path)
            }
        }
    }

    /// A key block inside a field: each line has a space in front, and ` .` stands for an empty one.
    private static func unfolded(_ value: String) -> String {
        value.split(separator: "\n").map { line in
            let text = line.drop { $0 == " " }
            return text == "." ? "" : String(text)
        }.joined(separator: "\n") + "\n"
    }

    private static func isUsable(_ uri: String) -> Bool {
        ["http://", "https://", "file:"].contains { uri.hasPrefix($0) }
    }

    private static func expanded(_ suite: String, _ architecture: Architecture) -> String {
        guard let range = suite.firstRange(of: "$(ARCH)") else { return suite }
        return suite.replacingCharacters(in: range, with: architecture.rawValue)
    }

    /// The keyring that a `signed-by` names.
    package func keyring(_ signedBy: String) throws -> AptSources.Keyring {
        if signedBy.contains("BEGIN PGP") { return .armored(signedBy) }
        // Several paths may stand there; the first that exists is enough for one archive.
        let paths = signedBy.split { $0 == "," || $0.isWhitespace }.map { root + $0 }
        guard let path = paths.first(where: HostFiles.exists) else {
            throw Failure(
                .fileMissing, "the keyring \(signedBy) does not exist", at: "image.sources",
                suggestion: "install the package that has it, or mend `signed-by`")
        }
        if path.hasSuffix(".asc") { return .armored(try text(path)) }
        return .file(path)
    }

    /// The keyring that the distribution's own package installs.
    package func keyring(ofVendor vendor: String) throws -> AptSources.Keyring {
        let path = "\(root)/usr/share/keyrings/\(vendor)-archive-keyring.gpg"
        guard HostFiles.exists(path) else {
            let package = vendor == "ubuntu" ? "ubuntu-keyring" : "\(vendor)-archive-keyring"
            throw Failure(
                .toolMissing, "the keys of \(vendor)'s archives are not installed", at: path,
                suggestion: "run `apt-get install \(package)` as root")
        }
        return .file(path)
    }
}

extension String {
    fileprivate func replacingCharacters(in range: Range<String.Index>, with text: String) -> String {
        String(self[..<range.lowerBound]) + text + String(self[range.upperBound...])
    }
}
