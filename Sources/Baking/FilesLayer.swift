import ImageFormat
import Model
import Ports

/// The layer of the user's own files, put where the image's links lead.
enum FilesLayer {
    /// 2000-01-01T00:00:00Z: no file of a user is older.
    static let firstTime = 946_684_800
    /// About twenty years in steps of two seconds, the coarsest step that archives have.
    static let times = 315_360_000

    /// The time of a file, made from its content alone. Web servers tell browsers by time and size whether a page
    /// changed: one fixed time would keep old pages in their caches after a deploy.
    static func modificationTime(_ digest: Digest) -> Int {
        let number = UInt64(digest.hex.prefix(15), radix: 16) ?? 0
        return firstTime + Int(number % UInt64(times)) * 2
    }

    /// Writes the layer, with some entries more; nil where there is nothing to write. `lookup` afterwards knows the
    /// files too. `time`: that of every file, instead of one made from its content.
    static func write(
        _ files: SiteFiles, others: [(entry: TarEntry, content: [UInt8])] = [], time: Int? = nil,
        accounts: Accounts, lookup: inout ImageLookup, store: any ImageStore
    ) throws -> ImageLayer? {
        guard !files.items.isEmpty || !others.isEmpty else { return nil }
        var rows = PathTable<(entry: TarEntry, item: SiteFiles.Item?)>()
        for other in others {
            rows[other.entry.path] = (other.entry, nil)
            lookup.add(other.entry)
        }
        for item in files.items {
            var entry = try entry(item, accounts: accounts, lookup: lookup)
            if let time { entry.modifiedAt = time }
            // A folder that the image has stays as it is.
            if entry.kind == .directory, let old = lookup[entry.path], old.kind == .directory { continue }
            for parent in ImagePath.parents(of: entry.path) where rows[parent] == nil {
                let folder = lookup[parent] ?? TarEntry(path: parent, kind: .directory, mode: 0o755)
                guard folder.kind == .directory else {
                    throw Failure(
                        .conflict, "/\(entry.path) lies below /\(parent), which is no folder", at: item.place,
                        suggestion: "choose another path in `to`")
                }
                rows[parent] = (folder, nil)
                lookup.add(folder)
            }
            rows[entry.path] = (entry, item)
            lookup.add(entry)
        }
        return try store.addLayer { writer in
            for row in rows.values.sorted(by: { TarEntry.precedes($0.entry.path, $1.entry.path) }) {
                if row.entry.kind == .file, let item = row.item {
                    try writer.append(row.entry) { take in try files.read(item, take: take) }
                    continue
                }
                let other = others.first { FileName($0.entry.path) == FileName(row.entry.path) }
                try writer.append(row.entry, content: row.entry.kind == .file ? other?.content ?? [] : [])
            }
        }
    }

    private static func entry(
        _ item: SiteFiles.Item, accounts: Accounts, lookup: ImageLookup
    ) throws -> TarEntry {
        if ImagePath.isWhiteout(item.path) {
            throw ImagePath.whiteout(item.path, of: item.source).at(item.place)
        }
        guard let parent = lookup.resolve(ImagePath.parent(of: item.path)),
            let direct = lookup.resolve(item.path)
        else {
            throw Failure(
                .conflict, "the links of the image run in a circle at /\(item.path)", at: item.place,
                suggestion: "choose another path in `to`")
        }
        let name = ImagePath.name(of: item.path)
        // A folder may be reached by a link; a file takes the place of one.
        let path = item.kind == .directory ? direct : parent.isEmpty ? name : parent + "/" + name
        if item.kind != .directory, lookup[path]?.kind == .directory {
            throw Failure(
                .conflict, "/\(path) is a folder of the image, and \(item.source) is a file", at: item.place,
                suggestion: "write `to: /\(path)/` to put it inside")
        }
        var entry = TarEntry(path: path, kind: item.kind, mode: item.mode, size: item.size, link: item.link)
        if let owner = item.owner { (entry.uid, entry.gid) = try accounts.resolve(owner, place: item.place) }
        switch item.kind {
        case .file: entry.modifiedAt = item.digest.map(modificationTime) ?? firstTime
        case .symlink: entry.modifiedAt = modificationTime(.sha256(Array(item.link.utf8)))
        default: break
        }
        return entry
    }
}
