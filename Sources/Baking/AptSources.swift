package import Model

/// Where the packages of one recipe come from, in the order they are tried.
package struct AptSources: Hashable, Sendable {
    /// The keys that a source's InRelease must be signed with.
    package enum Keyring: Hashable, Sendable {
        /// A file on the host that gpgv reads.
        case file(String)
        /// An ASCII-armoured block, as deb822's Signed-By may hold it.
        case armored(String)
    }

    package struct Source: Hashable, Sendable {
        /// Without a slash at its end.
        package var uri: String
        package var suites: [String]
        package var components: [String]
        package var keyring: Keyring

        /// The name that a lock knows this archive by.
        package var archive: String { AptSources.archiveName(uri) }
    }

    package var all: [Source]

    package init(all: [Source]) { self.all = all }

    /// Takes the recipe's own sources, else those of the host that have the recipe's suite, else those of the host's
    /// distribution with the suite put in the place of its own.
    package static func resolve(_ recipe: Recipe, host: HostApt = HostApt()) throws -> AptSources {
        guard let distribution = recipe.distribution else {
            throw Failure(.internalError, "an image without packages has no archives")
        }
        let vendor = distribution.vendor
        if !recipe.sources.isEmpty {
            return AptSources(
                all: try recipe.sources.map { source in
                    let keyring =
                        try source.signedBy.map { try host.keyring($0) } ?? host.keyring(ofVendor: vendor)
                    return Source(
                        uri: trimmed(source.uri), suites: source.suites, components: source.components,
                        keyring: keyring)
                })
        }
        let stanzas = try host.stanzas(architecture: recipe.architecture)
        let suite = distribution.suite
        var chosen = stanzas.compactMap { stanza in
            var copy = stanza
            copy.suites = stanza.suites.filter { $0 == suite || $0.hasPrefix(suite + "-") }
            return copy.suites.isEmpty ? nil : copy
        }
        if !chosen.contains(where: { $0.suites.contains(suite) }) {
            chosen = substituted(stanzas, for: distribution)
        }
        guard !chosen.isEmpty else {
            throw Failure(
                .archiveUnreachable, "the host's apt sources have no archive of \(distribution)",
                at: "image.sources",
                suggestion: "name one: `sources: [{uri: …, suites: [\(suite)], components: [main]}]`")
        }
        return AptSources(
            all: try chosen.map { stanza in
                let keyring =
                    try stanza.keyring.map { try host.keyring($0) } ?? host.keyring(ofVendor: vendor)
                return Source(
                    uri: trimmed(stanza.uri), suites: stanza.suites, components: stanza.components,
                    keyring: keyring)
            })
    }

    /// The addresses that may have a package of this archive, nearest first.
    package func mirrors(of archive: String) -> [String] {
        var seen: Set<String> = []
        let named = all.filter { $0.archive == archive }
        return (named + all.filter { $0.archive != archive }).map(\.uri).filter { seen.insert($0).inserted }
    }

    /// The last path component that is a name: a dated snapshot's time stamp is not one.
    package static func archiveName(_ uri: String) -> String {
        let path = uri.split(separator: "/", omittingEmptySubsequences: true).dropFirst()
        func isTimestamp(_ part: Substring) -> Bool {
            part.utf8.count == 16 && part.hasSuffix("Z")
                && part.dropLast().utf8.allSatisfy { (0x30...0x39).contains($0) || $0 == UInt8(ascii: "T") }
        }
        return path.last { !isTimestamp($0) }.map(String.init) ?? "archive"
    }

    private static func trimmed(_ uri: String) -> String {
        var text = uri
        while text.hasSuffix("/"), text.count > 1 { text.removeLast() }
        return text
    }

    /// The vendor's own archives with another suite: `bookworm-security` for trixie is `trixie-security`.
    private static func substituted(
        _ stanzas: [HostApt.Stanza], for wanted: Recipe.Distribution
    ) -> [HostApt.Stanza] {
        let own = stanzas.filter { archiveName($0.uri).hasPrefix(wanted.vendor) }
        let suites = own.flatMap(\.suites).filter { !$0.contains("-") }
        guard let base = suites.first else { return [] }
        let isRolling = ["sid", "unstable", "experimental"].contains(wanted.suite)
        return own.compactMap { stanza in
            var copy = stanza
            copy.suites = stanza.suites.compactMap { suite in
                if suite == base { return wanted.suite }
                return suite.hasPrefix(base + "-") && !isRolling
                    ? wanted.suite + suite.dropFirst(base.count) : nil
            }
            // A key of one release alone does not sign another.
            copy.keyring = nil
            return copy.suites.isEmpty ? nil : copy
        }
    }
}
