import ImageFormat
import Model

/// The image as the packages leave it, and on top of it what their scripts would have changed.
struct EffectTree: Equatable {
    /// One entry that effects made or changed.
    struct Change: Hashable {
        enum Content: Hashable {
            case none
            case bytes([UInt8])
            /// The file of this path as its package holds it.
            case packaged(path: String)
        }

        var entry: TarEntry
        var content: Content
        /// Owners by name, resolved once all accounts are known; they win over the entry's numbers.
        var user: String?
        var group: String?
    }

    private let base: ImageTree
    private(set) var changes: [String: Change] = [:]
    /// Empty folders of packages that were taken away.
    private var gone: Set<String> = []
    /// The time that files made here get: the newest date of a package, so that it is no clock's.
    let modifiedAt: Int

    init(base: ImageTree, modifiedAt: Int) {
        self.base = base
        self.modifiedAt = modifiedAt
        for link in MergedUsr.links(hasFolder: { base[$0] != nil }) {
            changes[link.path] = Change(entry: link, content: .none)
        }
    }

    /// The entry at exactly this path, links not followed.
    func entry(_ path: String) -> TarEntry? {
        if path.isEmpty { return TarEntry(path: "", kind: .directory, mode: 0o755) }
        if let change = changes[path] { return change.entry }
        return gone.contains(path) ? nil : base[path]
    }

    /// Where a path leads inside the image once links are followed; the last part need not exist. Nil for a loop.
    func resolve(_ path: String, followLast: Bool = true) -> String? {
        ImagePath.resolve(path, followLast: followLast) { entry($0) }
    }

    /// The entry that a path leads to, links followed.
    func find(_ path: String) -> TarEntry? { resolve(path).flatMap(entry) }

    /// Paths directly or anywhere below a folder.
    func paths(below folder: String) -> [String] {
        let prefix = folder.isEmpty ? "" : folder + "/"
        var paths = Set(base.nodes.keys.filter { $0.hasPrefix(prefix) })
        paths.formUnion(changes.keys.filter { $0.hasPrefix(prefix) })
        return paths.sorted(by: TarEntry.precedes)
    }

    /// The package file that this path's content is, or nil where it is no file.
    func content(_ path: String) -> Change.Content? {
        guard let target = resolve(path), let found = entry(target) else { return nil }
        if let change = changes[target], found.kind == .file { return change.content }
        switch found.kind {
        case .file: return .packaged(path: target)
        case .hardLink: return .packaged(path: found.link)
        default: return nil
        }
    }

    /// Two trees over the same packages are equal where their changes are.
    static func == (left: EffectTree, right: EffectTree) -> Bool {
        left.changes == right.changes && left.gone == right.gone
    }

    // What scripts do. Each takes paths as scripts write them and answers whether it could be done.

    mutating func makeFolder(_ path: String, mode: Int = 0o755, parents: Bool = true) -> Bool {
        guard let target = resolve(path) else { return false }
        if let found = entry(target) { return found.kind == .directory && parents }
        for parent in ImagePath.parents(of: target) {
            if let found = entry(parent) {
                if found.kind != .directory { return false }
            } else if parents {
                set(TarEntry(path: parent, kind: .directory, mode: 0o755), .none)
            } else {
                return false
            }
        }
        set(TarEntry(path: target, kind: .directory, mode: mode), .none)
        return true
    }

    mutating func write(_ path: String, _ content: Change.Content, size: Int, mode: Int) -> Bool {
        guard let target = place(for: path) else { return false }
        var entry = TarEntry(path: target, kind: .file, mode: mode, size: size, modifiedAt: modifiedAt)
        if let old = self.entry(target) {
            guard old.kind == .file || old.kind == .hardLink else { return false }
            (entry.mode, entry.uid, entry.gid) = (old.mode, old.uid, old.gid)
        }
        set(entry, content)
        return true
    }

    mutating func write(_ path: String, _ bytes: [UInt8], mode: Int = 0o644) -> Bool {
        write(path, .bytes(bytes), size: bytes.count, mode: mode)
    }

    /// Makes a symlink; a folder in its place takes it inside, as `ln` does, unless it is to be replaced.
    mutating func link(_ path: String, to target: String, replacing: Bool, insideFolder: Bool = true) -> Bool
    {
        var wanted = path
        if insideFolder, find(path)?.kind == .directory { wanted = path + "/" + ImagePath.name(of: target) }
        guard let place = resolve(wanted, followLast: false), !place.isEmpty else { return false }
        if let old = entry(place) {
            if old.kind == .symlink, old.link == target { return replacing }
            guard replacing, old.kind == .symlink || old.kind == .file else { return false }
        }
        guard find(ImagePath.parent(of: place))?.kind == .directory else { return false }
        set(TarEntry(path: place, kind: .symlink, mode: 0o777, modifiedAt: modifiedAt, link: target), .none)
        return true
    }

    /// Takes away an empty folder of a package, so that something else can be put in its place; where nothing is,
    /// the folder is there again in the image.
    mutating func removeFolder(_ path: String) -> Bool {
        guard let place = resolve(path, followLast: false), entry(place)?.kind == .directory,
            paths(below: place).isEmpty
        else { return false }
        changes[place] = nil
        if base[place] != nil { gone.insert(place) }
        return true
    }

    mutating func setMode(_ path: String, _ mode: Int) -> Bool {
        update(path) { $0.entry.mode = mode }
    }

    mutating func setOwner(_ path: String, user: String?, group: String?, followLast: Bool = true) -> Bool {
        update(path, followLast: followLast) {
            if let user { $0.user = user }
            if let group { $0.group = group }
        }
    }

    /// Takes away what effects made; what a package holds cannot be taken away again.
    mutating func remove(_ path: String) -> Bool {
        guard let place = resolve(path, followLast: false) else { return false }
        guard base[place] == nil else { return false }
        changes[place] = nil
        return true
    }

    mutating func put(_ change: Change) { changes[change.entry.path] = change }

    private mutating func set(_ entry: TarEntry, _ content: Change.Content) {
        changes[entry.path] = Change(entry: entry, content: content)
    }

    private func place(for path: String) -> String? {
        guard let target = resolve(path), !target.isEmpty,
            entry(ImagePath.parent(of: target))?.kind == .directory
        else { return nil }
        return target
    }

    private mutating func update(
        _ path: String, followLast: Bool = true, _ body: (inout Change) -> Void
    ) -> Bool {
        guard let target = resolve(path, followLast: followLast), !target.isEmpty, let entry = entry(target)
        else {
            return false
        }
        var change = changes[target] ?? Change(entry: entry, content: .none)
        if changes[target] == nil, entry.kind == .file { change.content = .packaged(path: target) }
        let before = change
        body(&change)
        if change != before || changes[target] != nil { changes[target] = change }
        return true
    }
}
