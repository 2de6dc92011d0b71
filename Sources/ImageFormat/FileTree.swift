import Model

/// The files of an image: its layers laid over each other, whiteouts applied. Nodes refer to bytes of the
/// layers; nothing is copied.
///
/// Whatever the layers hold, every name ends up inside the tree: `..` is refused, links in the middle of a
/// path are followed within the tree only, and hard links reach files of the tree only.
package struct FileTree {
    package enum Limit {
        /// Folders inside each other, so that each can be held open while the tree is written.
        package static let depth = 256
        /// Symlinks followed for one path; the kernel's own bound.
        package static let symlinks = 40
    }

    /// A file, folder or link, by however many names.
    struct Inode {
        /// Its path is that of the first name given.
        var entry: TarEntry
        var layer: Int
        var content: Range<Int>
        var children: [FileName: Child] = [:]
        var names = 1
        /// Of a folder: the last layer that wrote something into it.
        var touched = -1
    }

    /// One name in a folder.
    struct Child {
        var inode: Int
        /// The layer that last wrote the name: whiteouts touch only what is older.
        var layer: Int
    }

    private(set) var inodes: [Inode]
    private(set) var layers: [MappedBytes] = []

    package init() {
        let root = TarEntry(path: "", kind: .directory, mode: 0o755)
        inodes = [Inode(entry: root, layer: 0, content: 0..<0)]
    }

    /// Lays uncompressed layers over each other, the lowest first.
    package init(layers: [MappedBytes]) throws {
        self.init()
        for layer in layers { try add(layer) }
    }

    /// Lays one more uncompressed tar over the tree.
    package mutating func add(_ layer: MappedBytes) throws {
        let index = layers.count
        layers.append(layer)
        try withExtendedLifetime(layer) {
            var reader = TarReader(layer.bytes)
            while let (entry, content) = try reader.next() {
                do {
                    try add(entry, content, layer: index)
                } catch let failure as Failure {
                    throw failure.at(entry.path)
                }
            }
        }
    }

    private mutating func add(_ entry: TarEntry, _ content: Range<Int>, layer: Int) throws {
        if let name = entry.attributes.keys.first(where: { $0.hasPrefix("trusted.") }) {
            throw Failure(
                .unsafePath, "the attribute \(name) would change how the host mounts the image",
                suggestion: "do not use this image: only a kernel writes such attributes")
        }
        if entry.path.isEmpty {
            inodes[0].entry = entry
            return
        }
        var parts = entry.path.split(separator: "/").map { FileName(String($0)) }
        let name = parts.removeLast()
        if name.text.hasPrefix(".wh.") {
            if let folder = try folder(parts) {
                try whiteOut(name.text, in: folder, layer: layer)
            }
            return
        }
        let folder = try makeFolder(parts, layer: layer)
        if entry.kind == .hardLink {
            let target = try lookUp(entry.link)
            guard let target, inodes[target].entry.kind != .directory else {
                throw Failure(
                    .unsafePath, "it is a hard link to \"\(entry.link)\", which is no file of the image",
                    suggestion: "do not use this image: an honest archive holds the file before its link")
            }
            inodes[target].names += 1
            inodes[folder].children[name] = Child(inode: target, layer: layer)
            return
        }
        if entry.kind == .directory, let old = inodes[folder].children[name],
            inodes[old.inode].entry.kind == .directory
        {
            inodes[old.inode].entry = entry
            inodes[folder].children[name] = Child(inode: old.inode, layer: layer)
            return
        }
        inodes.append(Inode(entry: entry, layer: layer, content: content))
        inodes[folder].children[name] = Child(inode: inodes.count - 1, layer: layer)
    }

    /// A way through the tree: the folders gone through, and the names still to go, the next one last.
    private struct Walk {
        var trail = [0]
        var pending: [FileName]
        var followed = 0

        init(_ path: some Sequence<FileName>) { pending = path.reversed() }
    }

    /// Goes on, links followed within the tree, until nothing is left or a name does not exist, which it
    /// returns.
    private func advance(_ walk: inout Walk) throws -> FileName? {
        while let name = walk.pending.popLast() {
            if name.text == "." { continue }
            if name.text == ".." {
                if walk.trail.count > 1 { walk.trail.removeLast() }
                continue
            }
            guard let child = inodes[walk.trail[walk.trail.count - 1]].children[name] else { return name }
            let entry = inodes[child.inode].entry
            switch entry.kind {
            case .directory:
                walk.trail.append(child.inode)
                try checkDepth(walk.trail.count)
            case .symlink:
                walk.followed += 1
                if walk.followed > Limit.symlinks {
                    throw Failure(
                        .unsafePath, "its path goes through more than \(Limit.symlinks) symlinks",
                        suggestion: "do not use this image: its links run in a circle")
                }
                if entry.link.hasPrefix("/") { walk.trail = [0] }
                walk.pending += entry.link.split(separator: "/").reversed().map { FileName(String($0)) }
            default:
                throw Failure(
                    .unsafePath, "\"\(name.text)\" in its path is no folder",
                    suggestion: "do not use this image: its layers contradict each other")
            }
        }
        return nil
    }

    /// The folder at a path; nil where it does not exist.
    private func folder(_ path: some Sequence<FileName>) throws -> Int? {
        var walk = Walk(path)
        return try advance(&walk) == nil ? walk.trail.last : nil
    }

    /// The folder at a path; what is missing is made.
    private mutating func makeFolder(_ path: some Sequence<FileName>, layer: Int) throws -> Int {
        var walk = Walk(path)
        while let name = try advance(&walk) {
            let entry = TarEntry(path: name.text, kind: .directory, mode: 0o755)
            inodes.append(Inode(entry: entry, layer: layer, content: 0..<0))
            let folder = walk.trail[walk.trail.count - 1]
            inodes[folder].children[name] = Child(inode: inodes.count - 1, layer: layer)
            walk.trail.append(inodes.count - 1)
            try checkDepth(walk.trail.count)
        }
        for folder in walk.trail { inodes[folder].touched = layer }
        return walk.trail[walk.trail.count - 1]
    }

    private func checkDepth(_ depth: Int) throws {
        guard depth <= Limit.depth else {
            throw Failure(
                .unsafePath, "it lies more than \(Limit.depth) folders deep",
                suggestion: "make the archive or image again without such folders")
        }
    }

    /// The node at a path; links are followed except in its last component.
    private func lookUp(_ path: String) throws -> Int? {
        var parts = path.split(separator: "/").map { FileName(String($0)) }
        guard let name = parts.popLast() else { return 0 }
        guard let folder = try folder(parts) else { return nil }
        return inodes[folder].children[name]?.inode
    }

    /// What lies at a path (the last component is not followed), with a file's bytes; nil where nothing does.
    package func file(at path: String) throws -> (entry: TarEntry, content: UnsafeRawBufferPointer)? {
        guard let index = try lookUp(try TarEntry.normalize(path)) else { return nil }
        return (inodes[index].entry, content(of: inodes[index]))
    }

    func content(of inode: Inode) -> UnsafeRawBufferPointer {
        inode.content.isEmpty
            ? UnsafeRawBufferPointer(start: nil, count: 0)
            : UnsafeRawBufferPointer(rebasing: layers[inode.layer].bytes[inode.content])
    }

    /// Applies `.wh.name` and `.wh..wh..opq` (OCI image spec, layer.md): they hide what lower layers hold.
    private mutating func whiteOut(_ marker: String, in folder: Int, layer: Int) throws {
        if marker == ".wh..wh..opq" {
            hideLower(in: folder, layer: layer)
            return
        }
        // Other doubled markers are notes of aufs to itself.
        if marker.hasPrefix(".wh..wh.") { return }
        let name = FileName(String(marker.dropFirst(4)))
        guard !["", ".", ".."].contains(name.text) else {
            throw Failure(
                .unsafePath, "it hides a folder from within",
                suggestion: "do not use this image: no tool that makes layers writes such a name")
        }
        guard let child = inodes[folder].children[name] else { return }
        if isOlder(child, than: layer) {
            inodes[folder].children[name] = nil
        } else if inodes[child.inode].entry.kind == .directory {
            hideLower(in: child.inode, layer: layer)
        }
    }

    private func isOlder(_ child: Child, than layer: Int) -> Bool {
        child.layer < layer && inodes[child.inode].touched < layer
    }

    private mutating func hideLower(in folder: Int, layer: Int) {
        for (name, child) in inodes[folder].children {
            if isOlder(child, than: layer) {
                inodes[folder].children[name] = nil
            } else if inodes[child.inode].entry.kind == .directory {
                hideLower(in: child.inode, layer: layer)
            }
        }
    }
}
