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

    enum Limit {
        /// Files that are read to be followed or changed; larger ones are data.
        static let readBytes = 4 << 20
    }

    private let base: ImageTree
    /// The names in every folder of the packages.
    private let children: [String: [String]]
    private(set) var changes: [String: Change] = [:]
    /// Whose script works on the tree now: `nginx-common postinst`; nil where something is made for the whole image.
    var maker: String?
    /// Who changed each path last, where a script did.
    private(set) var makers: [String: String] = [:]
    /// What packages hold and a script took away.
    private(set) var gone: Set<String> = []
    /// The time that files made here get: the newest date of a package, so that it is no clock's.
    let modifiedAt: Int
    /// The bytes of a package's file.
    private let packaged: (String) -> [UInt8]?
    /// The names of the packages, as the base counts them.
    private let packages: [String]

    init(
        base: ImageTree, modifiedAt: Int, packages: [String] = [],
        packaged: @escaping (String) -> [UInt8]? = { _ in nil }
    ) {
        self.packages = packages
        var children: [String: [String]] = [:]
        for path in base.nodes.keys where !path.isEmpty {
            children[ImagePath.parent(of: path), default: []].append(ImagePath.name(of: path))
        }
        self.children = children
        self.base = base
        self.modifiedAt = modifiedAt
        self.packaged = packaged
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
        var paths = Set(changes.keys.filter { $0.hasPrefix(prefix) })
        var folders = [folder]
        while let next = folders.popLast() {
            for name in children[next] ?? [] {
                let path = next.isEmpty ? name : next + "/" + name
                folders.append(path)
                if !gone.contains(path) { paths.insert(path) }
            }
        }
        return paths.sorted(by: TarEntry.precedes)
    }

    /// The names in a folder, sorted; none where there is no such folder.
    func names(in folder: String) -> [String] {
        guard let place = resolve(folder) else { return [] }
        let prefix = place.isEmpty ? "" : place + "/"
        var names = Set((children[place] ?? []).filter { !gone.contains(prefix + $0) })
        for path in changes.keys where path.hasPrefix(prefix) && ImagePath.parent(of: path) == place {
            names.insert(ImagePath.name(of: path))
        }
        return names.sorted(by: TarEntry.precedes)
    }

    /// The bytes of a file, links followed; nil where there is none, or where it is too large to be followed.
    func bytes(_ path: String) -> [UInt8]? {
        guard let found = find(path), found.size <= Limit.readBytes, let content = content(path) else {
            return nil
        }
        switch content {
        case .none: return []
        case .bytes(let bytes): return bytes
        case .packaged(let source): return packaged(source)
        }
    }

    /// The package that holds what is at exactly this path.
    func owner(_ path: String) -> String? {
        base.nodes[path].flatMap { packages.indices.contains($0.package) ? packages[$0.package] : nil }
    }

    /// A file as text.
    func text(_ path: String) -> String? { bytes(path).map { String(decoding: $0, as: UTF8.self) } }

    /// The paths that a pattern of the shell stands for, from the root on.
    func matches(_ pattern: String) -> [String] {
        var found = [""]
        for part in pattern.split(separator: "/").map(String.init) {
            if ShellPattern.isPattern(part) {
                found = found.flatMap { folder in
                    names(in: folder).filter {
                        ShellPattern.matches(part, $0) && (part.hasPrefix(".") || !$0.hasPrefix("."))
                    }.map { folder + "/" + $0 }
                }
            } else {
                found = found.map { $0 + "/" + ShellPattern.unescape(part) }
            }
        }
        return found.filter { resolve($0, followLast: false).flatMap(entry) != nil }
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

    /// Takes away an empty folder.
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

    mutating func setAttributes(_ path: String, _ attributes: [String: [UInt8]]) -> Bool {
        update(path) { $0.entry.attributes = attributes }
    }

    mutating func setOwner(_ path: String, user: String?, group: String?, followLast: Bool = true) -> Bool {
        update(path, followLast: followLast) {
            if let user { $0.user = user }
            if let group { $0.group = group }
        }
    }

    /// Takes away what is at exactly this path, with all below it; what a package holds is hidden by a whiteout.
    mutating func remove(_ path: String) -> Bool {
        guard let place = resolve(path, followLast: false), !place.isEmpty else { return false }
        for item in paths(below: place) + [place] {
            changes[item] = nil
            if base[item] != nil { gone.insert(item) }
        }
        return true
    }

    /// Gives a file or a link another name; false where something else is to be moved.
    mutating func move(_ path: String, to target: String) -> Bool {
        guard let source = resolve(path, followLast: false), let old = entry(source) else { return false }
        var wanted = target
        if find(target)?.kind == .directory { wanted += "/" + ImagePath.name(of: source) }
        guard let place = resolve(wanted, followLast: false), place != source,
            find(ImagePath.parent(of: place))?.kind == .directory, entry(place)?.kind != .directory
        else { return false }
        var change = changes[source] ?? Change(entry: old, content: .none)
        switch old.kind {
        case .file, .hardLink:
            if changes[source] == nil {
                change.content = .packaged(path: old.kind == .file ? source : old.link)
                change.entry.kind = .file
                change.entry.link = ""
            }
        case .symlink: break
        default: return false
        }
        change.entry.path = place
        put(change)
        return remove("/" + source)
    }

    /// What is hidden by whiteouts: taken away, and nothing new in its place.
    var hidden: [String] {
        gone.filter { path in
            changes[path] == nil && !ImagePath.parents(of: path).contains { entry($0)?.kind != .directory }
        }.sorted(by: TarEntry.precedes)
    }

    mutating func put(_ change: Change) {
        changes[change.entry.path] = change
        if let maker { makers[change.entry.path] = maker }
    }

    private mutating func set(_ entry: TarEntry, _ content: Change.Content) {
        put(Change(entry: entry, content: content))
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
        if change != before || changes[target] != nil { put(change) }
        return true
    }
}
