import ImageFormat
import Model

/// The files of several packages as one tree, and what has to be written again because a layer order is not dpkg's
/// order of who wins.
struct ImageTree: Sendable {
    struct Node: Sendable {
        var entry: TarEntry
        /// Which package it comes from, by its place in the list.
        var package: Int
    }

    private(set) var nodes: PathTable<Node>
    /// Entries that a later layer hides although they should win, by path.
    private(set) var hidden: PathTable<Node> = [:]

    /// Merges packages in the order of their layers. Throws one failure for every two packages that hold one path
    /// without one replacing the other.
    init(_ packages: [PackageFragment], content: (Int, String) throws -> [UInt8]) throws {
        nodes = PathTable(minimumCapacity: packages.reduce(0) { $0 + $1.entries.count })
        let replaced = packages.map { $0.control.packageNames("Replaces") }
        var failures: [Failure] = []
        for (index, package) in packages.enumerated() {
            for entry in package.entries {
                let path = entry.path
                guard let old = nodes[path] else {
                    nodes[path] = Node(entry: entry, package: index)
                    continue
                }
                if old.entry == entry, entry.kind != .file { continue }
                if old.entry.kind == .directory, entry.kind == .directory {
                    // dpkg leaves a folder as its first package made it; a later layer would change it.
                    hidden[path] = old
                    continue
                }
                let first = packages[old.package]
                if first.name == BelowPackages.name, old.entry.kind != .directory, entry.kind != .directory {
                    nodes[path] = Node(entry: entry, package: index)
                    continue
                }
                if replaced[index].contains(first.name) {
                    nodes[path] = Node(entry: entry, package: index)
                    hidden[path] = nil
                } else if try replaced[old.package].contains(package.name)
                    || ImageTree.isSame(old, Node(entry: entry, package: index), path, content)
                {
                    hidden[path] = old
                } else {
                    failures.append(
                        Failure(
                            .conflict, "the packages \(first.name) and \(package.name) both hold /\(path)",
                            at: "image.packages", suggestion: "leave one of them out"))
                }
            }
        }
        if !failures.isEmpty { throw Failures(failures) }
    }

    /// Whether two files of one path are the same to whoever reads them.
    private static func isSame(
        _ left: Node, _ right: Node, _ path: String, _ content: (Int, String) throws -> [UInt8]
    ) throws -> Bool {
        guard left.entry.kind == right.entry.kind, left.entry.mode == right.entry.mode,
            left.entry.uid == right.entry.uid, left.entry.gid == right.entry.gid,
            left.entry.size == right.entry.size, left.entry.link == right.entry.link
        else { return false }
        guard left.entry.kind == .file else { return true }
        return try content(left.package, path) == content(right.package, path)
    }

    subscript(path: String) -> TarEntry? { nodes[path]?.entry }
}
