import ImageFormat
import Model

/// The data part of a package brought into the form that layers have: merged /usr, sorted, parents first, each path
/// once, hard links after what they link to, fixed times of folders.
struct PackageContent {
    struct Item {
        var entry: TarEntry
        /// Where the content lies in the unpacked data part.
        var content: Range<Int>
    }

    private(set) var items: [Item] = []

    private enum Limit {
        static let entries = 1_000_000
        /// Bytes that are kept in memory of a large package while its members are looked through.
        static let readAtOnce = 8 << 20
    }

    /// Reads and normalizes; `place` names the package in failures.
    init(_ data: MappedBytes, place: String) throws {
        var found = PathTable<Item>()
        var reader = TarReader(data.bytes)
        var forgotten = 0
        while let (original, content) = try reader.next() {
            if content.upperBound - forgotten > Limit.readAtOnce {
                data.forget(forgotten..<content.upperBound)
                forgotten = content.upperBound
            }
            guard !original.path.isEmpty, !MergedUsr.isLink(original) else { continue }
            guard found.count < Limit.entries else {
                throw DebArchive.damaged("it has more than \(Limit.entries) files", place)
            }
            var entry = original
            entry.path = MergedUsr.path(original.path)
            if entry.kind == .hardLink { entry.link = MergedUsr.path(original.link) }
            if entry.kind == .directory { entry.modifiedAt = 0 }
            if entry.kind == .symlink { entry.mode = 0o777 }
            try PackageContent.add(Item(entry: entry, content: content), to: &found, place: place)
        }
        try PackageContent.settleHardLinks(&found, place: place)
        try PackageContent.addParents(&found, place: place)
        items = found.values.sorted { TarEntry.precedes($0.entry.path, $1.entry.path) }
    }

    /// Two members of one path are fine where they are folders, or where one is the link from before the merge that
    /// would now point at itself.
    private static func add(_ item: Item, to found: inout PathTable<Item>, place: String) throws {
        let path = item.entry.path
        guard let old = found[path] else {
            found[path] = item
            return
        }
        if item.entry.kind == .directory, old.entry.kind == .directory { return }
        if PackageContent.pointsAtItself(item.entry) { return }
        if PackageContent.pointsAtItself(old.entry) {
            found[path] = item
            return
        }
        throw Failure(
            .conflict, "the package holds \(path) twice once /usr is merged", at: place,
            suggestion: "leave the package out: it is not made for a merged /usr")
    }

    private static func pointsAtItself(_ entry: TarEntry) -> Bool {
        guard entry.kind == .symlink else { return false }
        let folder = entry.path.split(separator: "/").dropLast()
        var parts = entry.link.hasPrefix("/") ? [] : Array(folder)
        for part in entry.link.split(separator: "/") where part != "." {
            if part == ".." { _ = parts.popLast() } else { parts.append(part) }
        }
        return MergedUsr.path(parts.joined(separator: "/")) == entry.path
    }

    /// Of files that are one, the first by path carries the content; the others link to it.
    private static func settleHardLinks(_ found: inout PathTable<Item>, place: String) throws {
        var groups = PathTable<[String]>()
        for (path, item) in found where item.entry.kind == .hardLink {
            var target = item.entry.link
            var steps = 0
            while let next = found[target], next.entry.kind == .hardLink, steps < 64 {
                target = next.entry.link
                steps += 1
            }
            guard let end = found[target], end.entry.kind == .file else {
                throw Failure(
                    .unsafePath,
                    "the hard link \(path) leads to \(item.entry.link), which is no file of the package",
                    at: place, suggestion: "do not use this package")
            }
            groups[target] = (groups[target] ?? []) + [path]
        }
        for (target, links) in groups {
            let names = (links + [target]).sorted(by: TarEntry.precedes)
            guard let original = found[target] else { continue }
            for (index, name) in names.enumerated() {
                var item = original
                item.entry.path = name
                if index > 0 {
                    item.entry.kind = .hardLink
                    item.entry.link = names[0]
                    item.entry.size = 0
                    item.entry.attributes = [:]
                    item.content = 0..<0
                }
                found[name] = item
            }
        }
    }

    /// Adds folders that the package relies on without holding them; refuses a file in the place of one.
    private static func addParents(_ found: inout PathTable<Item>, place: String) throws {
        for path in Array(found.keys) {
            for parent in ImagePath.parents(of: path) {
                if let item = found[parent] {
                    guard item.entry.kind == .directory else {
                        throw Failure(
                            .unsafePath, "\(path) lies below \(parent), which is no folder", at: place,
                            suggestion: "do not use this package")
                    }
                } else {
                    found[parent] = Item(
                        entry: TarEntry(path: parent, kind: .directory, mode: 0o755), content: 0..<0)
                }
            }
        }
    }
}
