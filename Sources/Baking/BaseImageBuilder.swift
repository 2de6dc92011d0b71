import ImageFormat
import Model
import Ports

/// Makes the base image of a lock: a layer for each package, and one for what their scripts would have done.
struct BaseImageBuilder: Sendable {
    enum Limit {
        /// Layers of packages; with effects and files below the 127 that container engines take.
        static let packageLayers = 100
    }

    /// Changes whenever the same lock gives another base image than before.
    static let version = 2

    let store: any ImageStore
    let spoolFolder: String

    static func key(_ lock: Lock) -> String {
        var writer = ByteWriter()
        writer.put(version)
        writer.put(PackageFragment.version)
        writer.put(lock.architecture.rawValue)
        writer.put(list: lock.packages) {
            $0.put($1.name)
            $0.put($1.sha256)
        }
        return "base/" + Digest.sha256(writer.bytes).hex
    }

    /// The base image as it was made before; nil where a part of it is gone.
    func cached(_ lock: Lock) -> BaseImage? {
        guard let bytes = store.cached(BaseImageBuilder.key(lock)),
            let base = try? BaseImage(decoding: bytes),
            base.layers.allSatisfy({ store.path(of: $0.digest) != nil })
        else { return nil }
        return base
    }

    func build(_ fragments: [PackageFragment], lock: Lock) throws -> BaseImage {
        let (single, joined) = BaseImageBuilder.split(fragments)
        let ordered = single + joined
        let contents = FragmentContents(ordered, store: store, spoolFolder: spoolFolder)
        let tree = try ImageTree(ordered, content: contents.bytes)
        var layers = single.map(\.layer)
        if !joined.isEmpty { layers.append(try join(joined, contents)) }
        let outcome = try Effects.settle(ordered, base: tree, architecture: lock.architecture) { path in
            tree.nodes[path].flatMap { try? contents.bytes($0.package, path) }
        }
        layers.append(try effectsLayer(outcome.tree, tree, contents))
        var entries: [String: TarEntry] = [:]
        for (path, node) in tree.nodes where BaseImage.isKept(node.entry) { entries[path] = node.entry }
        for path in outcome.tree.gone { entries[path] = nil }
        for (path, change) in outcome.tree.changes {
            entries[path] = BaseImage.isKept(change.entry) ? change.entry : nil
        }
        let base = BaseImage(
            layers: layers, accounts: outcome.accounts, warnings: outcome.warnings, notes: outcome.notes,
            entries: entries.values.sorted { TarEntry.precedes($0.path, $1.path) })
        try store.cache(BaseImageBuilder.key(lock), base.encoded())
        return base
    }

    /// The order of layers: base-files first, then by name. Where there are too many packages, the smallest go
    /// together into one layer behind the others.
    static func split(
        _ fragments: [PackageFragment]
    ) -> (single: [PackageFragment], joined: [PackageFragment]) {
        func precedes(_ left: PackageFragment, _ right: PackageFragment) -> Bool {
            if left.name == "base-files" || right.name == "base-files" { return left.name == "base-files" }
            return TarEntry.precedes(left.name, right.name)
        }
        let sorted = fragments.sorted(by: precedes)
        guard sorted.count > Limit.packageLayers else { return (sorted, []) }
        let bySize = sorted.sorted { left, right in
            if left.layer.size != right.layer.size { return left.layer.size > right.layer.size }
            return TarEntry.precedes(left.name, right.name)
        }
        let large = Set(bySize.prefix(Limit.packageLayers - 1).map(\.name)).union(["base-files"])
        return (sorted.filter { large.contains($0.name) }, sorted.filter { !large.contains($0.name) })
    }

    /// One layer of several packages; of a path that two hold the later one counts, as with layers.
    private func join(_ fragments: [PackageFragment], _ contents: FragmentContents) throws -> ImageLayer {
        var writer = ByteWriter()
        writer.put(BaseImageBuilder.version)
        writer.put(list: fragments) { $0.put($1.layer.digest) }
        let key = "joined/" + Digest.sha256(writer.bytes).hex
        if let bytes = store.cached(key) {
            var reader = ByteReader(bytes)
            if let layer = try? reader.layer(), store.path(of: layer.digest) != nil { return layer }
        }
        var owner: [String: (entry: TarEntry, fragment: Int)] = [:]
        for (index, fragment) in fragments.enumerated() {
            for entry in fragment.entries { owner[entry.path] = (entry, index) }
        }
        let layer = try store.addLayer { writer in
            let unpacked = try fragments.map { try contents.unpack($0) }
            for row in owner.values.sorted(by: { TarEntry.precedes($0.entry.path, $1.entry.path) }) {
                try writer.append(row.entry, content: unpacked[row.fragment].content(row.entry))
            }
        }
        var record = ByteWriter()
        record.put(layer)
        try store.cache(key, record.bytes)
        return layer
    }

    private func effectsLayer(
        _ effects: EffectTree, _ tree: ImageTree, _ contents: FragmentContents
    ) throws -> ImageLayer {
        var rows: [String: (entry: TarEntry, content: [UInt8])] = [:]
        for (path, node) in tree.hidden { rows[path] = (node.entry, try contents.bytes(node.package, path)) }
        for (path, change) in effects.changes {
            switch change.content {
            case .none: rows[path] = (change.entry, [])
            case .bytes(let bytes): rows[path] = (change.entry, bytes)
            case .packaged(let source):
                guard let node = tree.nodes[source] else { continue }
                rows[path] = (change.entry, try contents.bytes(node.package, source))
            }
        }
        for path in effects.hidden {
            let marker = [ImagePath.parent(of: path), ".wh." + ImagePath.name(of: path)]
                .filter { !$0.isEmpty }.joined(separator: "/")
            rows[path] = nil
            rows[marker] = (TarEntry(path: marker, kind: .file, mode: 0o644), [])
        }
        for path in Array(rows.keys) {
            for parent in ImagePath.parents(of: path) where rows[parent] == nil {
                if let entry = effects.entry(parent) { rows[parent] = (entry, []) }
            }
        }
        return try store.addLayer { writer in
            for var row in rows.values.sorted(by: { TarEntry.precedes($0.entry.path, $1.entry.path) }) {
                if row.entry.kind == .hardLink {
                    // Its target is in another layer: here it is a file of its own.
                    row.entry.kind = .file
                    row.entry.link = ""
                }
                row.entry.size = row.entry.kind == .file ? row.content.count : 0
                try writer.append(row.entry, content: row.content)
            }
        }
    }
}

/// The bytes of files in package layers, read from the store when they are asked for.
final class FragmentContents {
    /// A layer, unpacked, with the place of every file.
    struct Unpacked {
        let tar: MappedBytes
        let places: [String: Range<Int>]

        func content(_ entry: TarEntry) -> UnsafeRawBufferPointer {
            guard entry.kind == .file, let place = places[entry.path] else {
                return UnsafeRawBufferPointer(start: nil, count: 0)
            }
            return UnsafeRawBufferPointer(rebasing: tar.bytes[place])
        }
    }

    private let fragments: [PackageFragment]
    private let store: any ImageStore
    private let spoolFolder: String
    private var last: (package: Int, unpacked: Unpacked)?

    init(_ fragments: [PackageFragment], store: any ImageStore, spoolFolder: String) {
        self.fragments = fragments
        self.store = store
        self.spoolFolder = spoolFolder
    }

    func unpack(_ fragment: PackageFragment) throws -> Unpacked {
        guard let path = store.path(of: fragment.layer.digest) else {
            throw Failure(
                .storeDamaged, "the layer of \(fragment.name) is gone", at: "\(fragment.layer.digest)",
                suggestion: "bake again")
        }
        let blob = try MappedBytes(file: path)
        let tar = try Decompressor.decompress(
            blob.bytes, limit: DebArchive.Limit.dataBytes, spoolFolder: spoolFolder)
        var places: [String: Range<Int>] = [:]
        var reader = TarReader(tar.bytes)
        while let (entry, content) = try reader.next() {
            if entry.kind == .file { places[entry.path] = content }
        }
        return Unpacked(tar: tar, places: places)
    }

    /// A file of one package, by its place in the list.
    func bytes(_ package: Int, _ path: String) throws -> [UInt8] {
        let fragment = fragments[package]
        guard let entry = fragment.entries.first(where: { $0.path == path }) else { return [] }
        let source = entry.kind == .hardLink ? entry.link : path
        if entry.kind != .file, entry.kind != .hardLink { return [] }
        if let kept = fragment.kept[source] { return kept }
        if last?.package != package { last = (package, try unpack(fragment)) }
        guard let unpacked = last?.unpacked, let place = unpacked.places[source] else { return [] }
        return Array(unpacked.tar.bytes[place])
    }
}
