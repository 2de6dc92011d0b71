internal import Model

/// Where an image comes from or goes to, as people write it.
package enum ImageLocation: Hashable, Sendable, CustomStringConvertible {
    case registry(RegistryReference)
    /// A folder in the OCI image layout; the tag chooses among several images.
    case layout(folder: String, tag: String?)
    /// The same as one tar.
    case ociArchive(file: String, tag: String?)
    /// What `docker save` writes; the name chooses among several images, or is given to the one written.
    case dockerArchive(file: String, name: String?)
    /// The store of this machine: a service, a name or the beginning of a digest.
    case store(String)

    /// Reads `docker://…`, `oci:DIR[:TAG]`, `oci-archive:FILE[:TAG]`, `docker-archive:FILE[:NAME]`, `store:NAME`;
    /// without a prefix it is a registry's where a host precedes a slash, else the store's.
    package init(parsing text: String) throws {
        func rest(after prefix: String) -> String? {
            text.hasPrefix(prefix) ? String(text.dropFirst(prefix.count)) : nil
        }
        if let rest = rest(after: "oci:") {
            let (folder, tag) = try ImageLocation.split(rest, text)
            self = .layout(folder: folder, tag: tag)
        } else if let rest = rest(after: "oci-archive:") {
            let (file, tag) = try ImageLocation.split(rest, text)
            self = .ociArchive(file: file, tag: tag)
        } else if let rest = rest(after: "docker-archive:") {
            let (file, name) = try ImageLocation.split(rest, text)
            self = .dockerArchive(file: file, name: name)
        } else if let rest = rest(after: "store:") {
            self = .store(rest)
        } else if text.hasPrefix("docker://") || ImageLocation.namesHost(text) {
            self = .registry(try RegistryReference(parsing: text))
        } else if text.isEmpty || text.contains("://") {
            throw Failure(
                .invalidArgument, "\"\(text.prefix(120))\" is no place for an image",
                suggestion: "write registry.example/app:v1, oci:DIR, oci-archive:FILE, docker-archive:FILE, "
                    + "or the name of an image in the store")
        } else {
            self = .store(text)
        }
    }

    /// A path ends at the first colon, as other tools have it.
    private static func split(_ rest: String, _ whole: String) throws -> (path: String, name: String?) {
        let parts = rest.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(
            String.init)
        guard let path = parts.first, !path.isEmpty, parts.count == 1 || !parts[1].isEmpty else {
            throw Failure(
                .invalidArgument, "\"\(whole.prefix(120))\" lacks a path or what follows the colon",
                suggestion: "write oci:DIR or oci:DIR:TAG, oci-archive:FILE, docker-archive:FILE")
        }
        return (path, parts.count == 2 ? parts[1] : nil)
    }

    /// What precedes the first slash is a host where it could not be a repository on its own.
    private static func namesHost(_ text: String) -> Bool {
        guard let slash = text.firstIndex(of: "/") else { return false }
        let first = text[..<slash]
        return first == "localhost" || first.contains(".") || first.contains(":")
    }

    package var description: String {
        switch self {
        case .registry(let reference): reference.description
        case .layout(let folder, let tag): "oci:\(folder)" + (tag.map { ":\($0)" } ?? "")
        case .ociArchive(let file, let tag): "oci-archive:\(file)" + (tag.map { ":\($0)" } ?? "")
        case .dockerArchive(let file, let name): "docker-archive:\(file)" + (name.map { ":\($0)" } ?? "")
        case .store(let name): name
        }
    }
}
