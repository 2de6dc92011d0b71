import ImageFormat
import Model

/// What a `files:` rule takes out of a tar archive. Owners, times, set-id bits and attributes of the archive do not
/// matter; nothing in it can reach outside of the rule's target.
struct ArchiveFiles {
    let rule: FileRule
    let index: Int
    /// What messages call the archive.
    let name: String

    /// Where the rule stands, unless it is the one of `files` that `index` says.
    var stated: String?

    private typealias Limit = SiteFiles.Limit
    private var place: String { stated ?? SiteFiles.place(index) }

    /// Everything in the archive, without the first `strip` folders of each path, as tar's `--strip-components`.
    func items(_ tar: MappedBytes, strip: Int) throws -> [SiteFiles.Item] {
        let files = try files(tar)
        var found = PathTable<SiteFiles.Item>(minimumCapacity: files.count)
        for (path, file) in files.sorted(by: { TarEntry.precedes($0.key, $1.key) }) {
            let parts = path.split(separator: "/")
            guard parts.count > strip else { continue }
            let short = parts.dropFirst(strip).joined(separator: "/")
            let item = try item(short, file, path, tar)
            if let old = found[short] {
                guard old.isSame(as: item) else {
                    throw Failure(
                        .conflict,
                        "\(old.source) and \(path) of \(name) would both become \(short) with `strip: \(strip)`",
                        at: place,
                        suggestion: "take fewer folders from the paths: `strip: \(strip - 1)`")
                }
                continue
            }
            found[short] = item
        }
        let items = Array(found.values)
        guard !items.isEmpty else {
            throw Failure(
                .invalidArgument,
                strip == 0 ? "\(name) holds no files" : "\(name) holds nothing \(strip + 1) folders deep",
                at: place, suggestion: "see what it holds with `tar -t`, and mend url or strip")
        }
        return try withTarget(items)
    }

    /// The file or folder at a path of the archive.
    func items(_ tar: MappedBytes, at path: String) throws -> [SiteFiles.Item] {
        let files = try files(tar)
        let path = ImagePath.normalized(path)
        if let file = files[path], file.entry.kind != .directory {
            var item = try item("", file, path, tar)
            item.path = try TarEntry.normalize(rule.to)
            guard !item.path.isEmpty else {
                throw Failure(.conflict, "the file \(path) cannot be the root of an image", at: place)
            }
            return [item]
        }
        let prefix = path.isEmpty ? [] : Array((path + "/").utf8)
        return try withTarget(
            try files.filter { $0.key.utf8.starts(with: prefix) }.map { found, file in
                let inner = String(decoding: found.utf8.dropFirst(prefix.count), as: UTF8.self)
                return try item(inner, file, found, tar)
            })
    }

    private func withTarget(_ items: [SiteFiles.Item]) throws -> [SiteFiles.Item] {
        let target = try TarEntry.normalize(rule.to)
        guard !target.isEmpty else { return items }
        let folder = SiteFiles.Item(
            path: target, source: name, kind: .directory, mode: rule.folderMode, owner: rule.owner,
            rule: index, stated: stated)
        return try [folder]
            + items.map { item in
                var item = item
                item.path = try TarEntry.normalize(target + "/" + item.path)
                return item
            }
    }

    private func files(_ tar: MappedBytes) throws -> PathTable<ImageFile> {
        do {
            try ArchiveFiles.expectNoWhiteouts(tar, name: name)
            return try FileTree(layers: [tar]).files
        } catch let failure as Failure {
            throw Failure(
                failure.code,
                "\(name) cannot be unpacked: \(failure.message)"
                    + (failure.place.map { " (\($0))" } ?? ""), at: place, suggestion: failure.suggestion)
        }
    }

    /// In a layer such names hide other files.
    static func expectNoWhiteouts(_ tar: MappedBytes, name: String) throws {
        try tar.withBytes { bytes in
            var reader = TarReader(bytes)
            var count = 0
            while let (entry, _) = try reader.next() {
                count += 1
                guard count <= Limit.files else {
                    throw Failure(
                        .invalidArgument, "\(name) holds more than \(Limit.files) files",
                        suggestion: "take a smaller archive, or a part of it with `path`")
                }
                if ImagePath.isWhiteout(entry.path) { throw ImagePath.whiteout(entry.path, of: name) }
            }
        }
    }

    /// `path` is where it goes below the target.
    private func item(
        _ path: String, _ file: ImageFile, _ source: String, _ tar: MappedBytes
    ) throws -> SiteFiles.Item {
        var item = SiteFiles.Item(
            path: path, source: source, kind: file.entry.kind, mode: 0, owner: rule.owner, rule: index,
            stated: stated)
        switch file.entry.kind {
        case .directory: item.mode = rule.folderMode
        case .file, .hardLink:
            item.kind = .file
            item.mode = rule.fileMode(isExecutable: file.entry.mode & 0o100 != 0)
            item.size = file.content.count
            item.digest = .sha256(file.content)
            let start = tar.withBytes { whole in
                file.content.baseAddress.flatMap { inner in whole.baseAddress.map { inner - $0 } } ?? 0
            }
            item.held = SiteFiles.Held(archive: 0, range: start..<start + file.content.count)
        case .symlink:
            item.mode = 0o777
            item.link = file.entry.link
            guard !ImagePath.leaves(item.link, depth: ImagePath.parents(of: path).count) else {
                throw Failure(
                    .unsafePath, "the link \(source) of \(name) leads outside of what is unpacked", at: place,
                    suggestion: "do not use this archive, or unpack it yourself and put the result in `files`"
                )
            }
        default:
            throw Failure(
                .unsafePath, "\(source) of \(name) is neither a file, a folder nor a link", at: place,
                suggestion: "do not use this archive: device files have no place in an image")
        }
        return item
    }
}

extension FileRule {
    /// Whoever may read may also enter.
    var folderMode: Int { mode.map { $0 | ($0 & 0o444) >> 2 } ?? 0o755 }

    func fileMode(isExecutable: Bool) -> Int { mode ?? (isExecutable ? 0o755 : 0o644) }
}
