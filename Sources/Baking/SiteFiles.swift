import Glibc
import ImageFormat
import Model

/// The files that `files:` rules name, read from beside the spec: never from outside its folder, no link followed.
struct SiteFiles: Sendable {
    struct Item: Hashable, Sendable {
        /// Where it goes, in the form of `TarEntry.path`, links of the image not yet followed.
        var path: String
        /// Where it is, below the spec's folder.
        var source: String
        var kind: TarEntry.Kind
        var mode: Int
        var owner: String?
        var size = 0
        var digest: Digest?
        var link = ""
        /// Which rule brought it.
        var place: String
    }

    enum Limit {
        static let files = 200_000
        static let depth = 128
        static let fileBytes = 8 << 30
    }

    /// Sorted by path, each once: of two rules the later wins.
    private(set) var items: [Item] = []
    private let folder: String

    /// Reads and hashes everything that the rules name. Throws all problems at once.
    init(_ rules: [FileRule], folder: String) throws {
        self.folder = folder
        var found: [String: Item] = [:]
        var failures: [Failure] = []
        for (index, rule) in rules.enumerated() {
            do {
                for item in try scan(rule, place: "image.files[\(index)]") { found[item.path] = item }
            } catch {
                failures += Failure.list(error)
            }
        }
        if !failures.isEmpty { throw Failures(failures) }
        items = found.values.sorted { TarEntry.precedes($0.path, $1.path) }
    }

    /// A digest of everything that the layer of these files depends on besides the image.
    var digest: Digest {
        var writer = ByteWriter()
        writer.put(list: items) { writer, item in
            writer.put(item.path)
            writer.put(item.kind.rawValue)
            writer.put(item.mode)
            writer.put(item.owner ?? "")
            writer.put(item.digest?.hex ?? item.link)
        }
        return .sha256(writer.bytes)
    }

    /// The content of a file, which must still be the one that was hashed.
    func content(_ item: Item) throws -> [UInt8] {
        let descriptor = try open(item.source, place: item.place)
        defer { close(descriptor) }
        let bytes = try HostFiles.read(descriptor, limit: Limit.fileBytes, at: item.source)
        guard Digest.sha256(bytes) == item.digest else {
            throw Failure(
                .conflict, "the file changed while it was baked", at: item.source, suggestion: "bake again")
        }
        return bytes
    }

    private func scan(_ rule: FileRule, place: String) throws -> [Item] {
        let target = try TarEntry.normalize(rule.to)
        let parts = rule.from.split(separator: "/").filter { $0 != "." }
        guard !rule.from.hasPrefix("/"), !parts.contains("..") else {
            throw Failure(
                .unsafePath, "\(rule.from) lies outside the folder of the spec", at: place,
                suggestion: "copy it beside the spec and name it there")
        }
        let source = parts.joined(separator: "/")
        let descriptor = try open(source, place: place)
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else {
            throw HostFiles.failure(errno, "the file cannot be read", at: source)
        }
        if status.st_mode & S_IFMT == S_IFDIR {
            var items: [Item] = []
            if !target.isEmpty {
                items.append(folderItem(target, source, rule, place))
            }
            try walk(source, target, rule, place, root: source, depth: 0, into: &items)
            return items
        }
        var path = target
        // `to: /srv/www/` names the folder that the file goes into.
        if rule.to.hasSuffix("/") || target.isEmpty {
            path = target.isEmpty ? HostFiles.name(of: source) : target + "/" + HostFiles.name(of: source)
        }
        return [try fileItem(descriptor, status, path, source, rule, place)]
    }

    private func folderItem(_ path: String, _ source: String, _ rule: FileRule, _ place: String) -> Item {
        // Whoever may read may also enter.
        let mode = rule.mode.map { $0 | ($0 & 0o444) >> 2 } ?? 0o755
        return Item(path: path, source: source, kind: .directory, mode: mode, owner: rule.owner, place: place)
    }

    private func fileItem(
        _ descriptor: Int32, _ status: stat, _ path: String, _ source: String, _ rule: FileRule,
        _ place: String
    ) throws -> Item {
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw Failure(
                .unsafePath, "\(source) is neither a file nor a folder", at: place,
                suggestion: "take it out of the folder")
        }
        let bytes = try HostFiles.read(descriptor, limit: Limit.fileBytes, at: source)
        let mode = rule.mode ?? (status.st_mode & 0o100 != 0 ? 0o755 : 0o644)
        return Item(
            path: path, source: source, kind: .file, mode: mode, owner: rule.owner, size: bytes.count,
            digest: .sha256(bytes), place: place)
    }

    private func walk(
        _ source: String, _ target: String, _ rule: FileRule, _ place: String, root: String, depth: Int,
        into items: inout [Item]
    ) throws {
        guard depth < Limit.depth else {
            throw Failure(.invalidArgument, "\(source) is nested too deeply", at: place)
        }
        let parent = try open(source, place: place)
        defer { close(parent) }
        for name in try names(parent, source) {
            guard items.count < Limit.files else {
                throw Failure(
                    .invalidArgument, "\(root) holds more than \(Limit.files) files", at: place,
                    suggestion: "name a smaller folder")
            }
            let path = try TarEntry.normalize(target.isEmpty ? name : target + "/" + name)
            let inner = source.isEmpty ? name : source + "/" + name
            var status = stat()
            guard fstatat(parent, name, &status, AT_SYMLINK_NOFOLLOW) == 0 else {
                throw HostFiles.failure(errno, "the file cannot be read", at: inner)
            }
            switch status.st_mode & S_IFMT {
            case S_IFDIR:
                items.append(folderItem(path, inner, rule, place))
                try walk(inner, path, rule, place, root: root, depth: depth + 1, into: &items)
            case S_IFLNK:
                let link = try linkTarget(of: name, in: parent, inner, root: root, place)
                items.append(
                    Item(
                        path: path, source: inner, kind: .symlink, mode: 0o777, owner: rule.owner, link: link,
                        place: place))
            default:
                let descriptor = openat(parent, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
                guard descriptor >= 0 else {
                    throw HostFiles.failure(errno, "the file cannot be read", at: inner)
                }
                defer { close(descriptor) }
                items.append(try fileItem(descriptor, status, path, inner, rule, place))
            }
        }
    }

    /// A link inside a folder goes into the image as it is, as long as it stays in that folder.
    private func linkTarget(
        of name: String, in parent: Int32, _ source: String, root: String, _ place: String
    ) throws -> String {
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = readlinkat(parent, name, &buffer, buffer.count)
        guard count > 0, count < buffer.count, let link = String(validating: buffer[..<count], as: UTF8.self)
        else {
            throw HostFiles.failure(errno, "the link cannot be read", at: source)
        }
        var depth = source.split(separator: "/").count - root.split(separator: "/").count - 1
        var leaves = link.hasPrefix("/")
        for part in link.split(separator: "/") where part != "." {
            depth += part == ".." ? -1 : 1
            if depth < 0 { leaves = true }
        }
        guard !leaves else {
            throw Failure(
                .unsafePath, "the link \(source) leads outside of \(root.isEmpty ? "the folder" : root)",
                at: place,
                suggestion: "put the file itself there")
        }
        return link
    }

    /// Opens a path below the spec's folder, refusing links on the way.
    private func open(_ source: String, place: String) throws -> Int32 {
        var descriptor = Glibc.open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw HostFiles.failure(errno, "the folder cannot be read", at: folder) }
        for part in source.split(separator: "/") {
            let next = openat(descriptor, String(part), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
            let number = errno
            var status = stat()
            let isLink =
                next < 0
                && fstatat(descriptor, String(part), &status, AT_SYMLINK_NOFOLLOW) == 0
                && status.st_mode & S_IFMT == S_IFLNK
            close(descriptor)
            guard next >= 0 else {
                if isLink {
                    throw Failure(
                        .unsafePath, "\(source) goes through the link \(part), which is not followed",
                        at: place,
                        suggestion: "name the file itself")
                }
                if number == ENOENT || number == ENOTDIR {
                    throw Failure(
                        .fileMissing, "there is no \(source) beside the spec", at: place,
                        suggestion: CloseNames.question(
                            HostFiles.name(of: source),
                            among: HostFiles.names(in: folder + "/" + HostFiles.parent(of: source)))
                            ?? "make the file, or mend `from`")
                }
                throw HostFiles.failure(number, "the file cannot be read", at: source)
            }
            descriptor = next
        }
        return descriptor
    }

    private func names(_ descriptor: Int32, _ place: String) throws -> [String] {
        let copy = openat(descriptor, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard copy >= 0, let stream = fdopendir(copy) else {
            throw HostFiles.failure(errno, "the folder cannot be read", at: place)
        }
        defer { closedir(stream) }
        var names: [String] = []
        while let row = readdir(stream) {
            let name = withUnsafeBytes(of: &row.pointee.d_name) { field in
                String(validating: field.prefix { $0 != 0 }, as: UTF8.self)
            }
            guard let name else {
                throw Failure(
                    .unsafePath, "a name in \(place) is not UTF-8", at: place, suggestion: "rename the file")
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted(by: TarEntry.precedes)
    }
}
