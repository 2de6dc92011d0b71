import Glibc
import ImageFormat
import Model

/// Finds what one `files:` rule names beside the spec, or beside the file that includes it.
struct SiteScan {
    typealias Item = SiteFiles.Item
    private typealias Limit = SiteFiles.Limit

    /// The spec's folder, and where the rule's path begins from there.
    let root: String
    let folder: String
    let rule: FileRule
    let index: Int

    private var place: String { SiteFiles.place(index) }

    func items(_ path: String) throws -> [Item] {
        let target = try TarEntry.normalize(rule.to)
        let parts = path.split(separator: "/").filter { $0 != "." }
        guard !path.hasPrefix("/"), !parts.contains("..") else {
            throw Failure(
                .unsafePath, "\(path) lies outside the folder of the spec", at: place,
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
                items.append(folderItem(target, source))
            }
            try walk(source, target, top: source, depth: 0, into: &items)
            return items
        }
        var path = target
        // `to: /srv/www/` names the folder that the file goes into.
        if rule.to.hasSuffix("/") || target.isEmpty {
            path = target.isEmpty ? HostFiles.name(of: source) : target + "/" + HostFiles.name(of: source)
        }
        return [try fileItem(descriptor, status, path, source)]
    }

    private func folderItem(_ path: String, _ source: String) -> Item {
        Item(
            path: path, source: source, folder: folder, kind: .directory, mode: rule.folderMode,
            owner: rule.owner, rule: index)
    }

    private func fileItem(
        _ descriptor: Int32, _ status: stat, _ path: String, _ source: String
    ) throws -> Item {
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw Failure(
                .unsafePath, "\(source) is neither a file nor a folder", at: place,
                suggestion: "take it out of the folder")
        }
        var digest = RunningDigest()
        try HostFiles.readPieces(descriptor, limit: Limit.fileBytes, at: source) { digest.update($0) }
        return Item(
            path: path, source: source, folder: folder, kind: .file,
            mode: rule.fileMode(isExecutable: status.st_mode & 0o100 != 0), owner: rule.owner,
            size: digest.count, digest: digest.digest(), rule: index)
    }

    private func walk(
        _ source: String, _ target: String, top: String, depth: Int, into items: inout [Item]
    ) throws {
        guard depth < Limit.depth else {
            throw Failure(.invalidArgument, "\(source) is nested too deeply", at: place)
        }
        let parent = try open(source, place: place)
        defer { close(parent) }
        for name in try names(parent, source) {
            guard items.count < Limit.files else {
                throw Failure(
                    .invalidArgument, "\(top) holds more than \(Limit.files) files", at: place,
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
                items.append(folderItem(path, inner))
                try walk(inner, path, top: top, depth: depth + 1, into: &items)
            case S_IFLNK:
                let link = try linkTarget(of: name, in: parent, inner, top: top)
                items.append(
                    Item(
                        path: path, source: inner, folder: folder, kind: .symlink, mode: 0o777,
                        owner: rule.owner, link: link, rule: index))
            default:
                let descriptor = openat(parent, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
                guard descriptor >= 0 else {
                    throw HostFiles.failure(errno, "the file cannot be read", at: inner)
                }
                defer { close(descriptor) }
                items.append(try fileItem(descriptor, status, path, inner))
            }
        }
    }

    /// A link inside a folder goes into the image as it is, as long as it stays in that folder.
    private func linkTarget(
        of name: String, in parent: Int32, _ source: String, top: String
    ) throws -> String {
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = readlinkat(parent, name, &buffer, buffer.count)
        guard count > 0, count < buffer.count, let link = String(validating: buffer[..<count], as: UTF8.self)
        else {
            throw HostFiles.failure(errno, "the link cannot be read", at: source)
        }
        let depth = source.split(separator: "/").count - top.split(separator: "/").count - 1
        guard !ImagePath.leaves(link, depth: depth) else {
            throw Failure(
                .unsafePath, "the link \(source) leads outside of \(top.isEmpty ? "the folder" : top)",
                at: place,
                suggestion: "put the file itself there")
        }
        return link
    }

    private func open(_ source: String, place: String) throws -> Int32 {
        try BelowFolder(root: root, folder: folder).open(source, place: place)
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
