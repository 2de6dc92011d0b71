/// What an image is called in a registry, as those who sign it say it: `registry.example/team/app:v1`.
package struct SignedName: Hashable, Sendable, CustomStringConvertible {
    /// With its registry.
    package var repository: String
    /// nil where only the repository is meant.
    package var tag: String?

    package init(repository: String, tag: String?) {
        self.repository = repository
        self.tag = tag
    }

    /// nil for a text that names no registry, such as a file's name or cosign's empty one: it binds to nothing.
    package init?(_ text: String) {
        var rest = text.prefix { $0 != "@" }
        guard let slash = rest.firstIndex(of: "/") else { return nil }
        let host = rest[..<slash]
        let port = host.lastIndex(of: ":").map { host[host.index(after: $0)...] }
        let hasPort = port.map { !$0.isEmpty && $0.utf8.allSatisfy { (0x30...0x39).contains($0) } }
        guard hasPort ?? (host == "localhost" || host.contains(".")) else { return nil }
        var tag: String?
        if let colon = rest[slash...].lastIndex(of: ":") {
            tag = String(rest[rest.index(after: colon)...])
            rest = rest[..<colon]
        }
        // One registry with two names.
        let isOtherName = rest.hasPrefix("index.docker.io/")
        self.init(repository: isOtherName ? String(rest.dropFirst("index.".count)) : String(rest), tag: tag)
    }

    package var description: String { repository + (tag.map { ":\($0)" } ?? "") }

    /// Whether what was signed under this name may go by the name that is asked for: the same repository, and the same
    /// tag where both say one. cosign signs repositories; who asks for a digest has no tag in mind.
    package func allows(_ asked: SignedName) -> Bool {
        repository == asked.repository && (tag == nil || asked.tag == nil || tag == asked.tag)
    }
}
