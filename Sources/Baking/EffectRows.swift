import ImageFormat

/// What lies over the packages of an image, as members of one archive: the winners that a later layer hides, what
/// scripts made, and markers of what they took away.
struct EffectRows {
    private(set) var rows = PathTable<(entry: TarEntry, content: [UInt8])>()

    init(_ effects: EffectTree, over tree: ImageTree, _ contents: FragmentContents) throws {
        for (path, node) in tree.hidden { put(node.entry, try contents.bytes(node.package, path)) }
        for change in effects.changes.values {
            switch change.content {
            case .none: put(change.entry, [])
            case .bytes(let bytes): put(change.entry, bytes)
            case .packaged(let source):
                guard let node = tree.nodes[source] else { continue }
                put(change.entry, try contents.bytes(node.package, source))
            }
        }
        for path in effects.hidden {
            let folder = ImagePath.parent(of: path)
            rows[path] = nil
            put(
                TarEntry(
                    path: (folder.isEmpty ? "" : folder + "/") + ".wh." + ImagePath.name(of: path),
                    kind: .file, mode: 0o644), [])
        }
    }

    /// Adds a member in place of one of the same path. What a hard link leads to is in another archive: here it is a
    /// file of its own.
    mutating func put(_ entry: TarEntry, _ content: [UInt8]) {
        var entry = entry
        if entry.kind == .hardLink {
            entry.kind = .file
            entry.link = ""
        }
        entry.size = entry.kind == .file ? content.count : 0
        rows[entry.path] = (entry, entry.kind == .file ? content : [])
    }

    /// Adds the folders that members lie in, as the image has them.
    mutating func addParents(of effects: EffectTree) {
        for path in Array(rows.keys) {
            for parent in ImagePath.parents(of: path) where rows[parent] == nil {
                if let entry = effects.entry(parent) { put(entry, []) }
            }
        }
    }

    var sorted: [(entry: TarEntry, content: [UInt8])] {
        rows.values.sorted { TarEntry.precedes($0.entry.path, $1.entry.path) }
    }
}
