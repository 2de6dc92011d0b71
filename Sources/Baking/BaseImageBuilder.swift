import ImageFormat
import Model
import Ports

/// Makes the base image of a lock: layers of packages, and one for what their scripts would have done.
struct BaseImageBuilder: Sendable {
    /// Changes whenever the same lock gives another base image than before.
    static let version = 6

    let store: any ImageStore
    let spoolFolder: String
    /// Those of the recipe, which are trusted as the packages' own are.
    var certificates: [OwnCertificate] = []

    /// What decides about a base image with everything that is not in the lock.
    private func key(_ lock: Lock) -> String {
        let key = BaseImageBuilder.key(lock)
        guard !certificates.isEmpty else { return key }
        var writer = ByteWriter()
        writer.put(list: certificates) {
            $0.put($1.path)
            $0.put(Digest.sha256($1.bytes))
        }
        return "\(key)-\(Digest.sha256(writer.bytes).short)"
    }

    static func key(_ lock: Lock) -> String {
        var writer = ByteWriter()
        writer.put(version)
        writer.put(PackageFragment.version)
        writer.put(lock.architecture.rawValue)
        if let from = lock.from {
            writer.put(FromImage.version)
            writer.put(from.digest)
        }
        writer.put(list: lock.packages) {
            $0.put($1.name)
            $0.put($1.sha256)
        }
        writer.put(list: lock.layers) { $0.put(list: $1) { $0.put($1) } }
        writer.put(list: lock.accounts.sorted { $0.key < $1.key }) {
            $0.put($1.key)
            $0.put($1.value)
        }
        lock.scripts.write(to: &writer)
        return "base/" + Digest.sha256(writer.bytes).hex
    }

    /// The base image as it was made before; nil where a part of it is gone.
    func cached(_ lock: Lock) -> BaseImage? {
        guard let bytes = store.cached(key(lock)),
            let base = try? BaseImage(decoding: bytes),
            base.layers.allSatisfy({ store.path(of: $0.digest) != nil })
        else { return nil }
        return base
    }

    /// What shapes the bytes of an image besides its inputs.
    static let tools = ["effects": version, "packages": PackageFragment.version]

    /// `below`: the image that the packages lie on.
    func build(
        _ fragments: [PackageFragment], lock: Lock, below: BelowPackages? = nil
    ) async throws -> BaseImage {
        let groups = LayerGroups(fragments, plan: lock.layers)
        let ordered = (below.map { [$0.fragment(below: fragments)] } ?? []) + groups.ordered
        // Joined while the scripts are followed: neither needs the other.
        async let joined = LayerJoin(store: store).layers(groups)
        let contents = FragmentContents(ordered, below: below, store: store, spoolFolder: spoolFolder)
        let tree = try ImageTree(ordered, content: contents.bytes)
        let tracer = PackageTracer(
            ordered, lock: lock, tree: tree, contents: contents, store: store, spoolFolder: spoolFolder,
            key: BaseImageBuilder.key(lock))
        let outcome = try Effects.settle(
            ordered, base: tree, architecture: lock.architecture, ids: lock.accounts, below: below,
            rules: lock.scripts, certificates: certificates, trace: tracer.record
        ) { path in
            tree.nodes[path].flatMap { try? contents.bytes($0.package, path) }
        }
        let effects = try effectsLayer(outcome.tree, tree, contents)
        let layers = try await (below?.image.base.layers ?? []) + joined + [effects]
        var entries = PathTable<TarEntry>()
        for (path, node) in tree.nodes where BaseImage.isKept(node.entry) { entries[path] = node.entry }
        for path in outcome.tree.gone { entries[path] = nil }
        for (path, change) in outcome.tree.changes {
            entries[path] = BaseImage.isKept(change.entry) ? change.entry : nil
        }
        let base = BaseImage(
            layers: layers, accounts: outcome.accounts, givenIDs: outcome.givenIDs,
            warnings: outcome.warnings, notes: outcome.notes, traced: outcome.traced,
            entries: entries.values.sorted { TarEntry.precedes($0.path, $1.path) })
        try store.cache(key(lock), base.encoded())
        try store.cache(EffectMakers.key(effects.digest), EffectMakers(outcome.tree.makers).encoded)
        return base
    }

    private func effectsLayer(
        _ effects: EffectTree, _ tree: ImageTree, _ contents: FragmentContents
    ) throws -> ImageLayer {
        var rows = try EffectRows(effects, over: tree, contents)
        rows.addParents(of: effects)
        return try store.addLayer { writer in
            for row in rows.sorted { try writer.append(row.entry, content: row.content) }
        }
    }
}

/// The bytes of files in package layers, read from the store when they are asked for.
final class FragmentContents {
    /// A layer, unpacked, with the place of every file.
    struct Unpacked {
        let tar: MappedBytes
        let places: PathTable<Range<Int>>

        func content(_ entry: TarEntry) -> UnsafeRawBufferPointer {
            guard entry.kind == .file, let place = places[entry.path] else {
                return UnsafeRawBufferPointer(start: nil, count: 0)
            }
            return UnsafeRawBufferPointer(rebasing: tar.bytes[place])
        }
    }

    private let fragments: [PackageFragment]
    private let below: BelowPackages?
    private let store: any ImageStore
    private let spoolFolder: String
    private var last: (package: Int, unpacked: Unpacked)?
    /// What was put into the store's cache: scripts read the same file again and again.
    private var remembered: Set<String> = []

    init(
        _ fragments: [PackageFragment], below: BelowPackages? = nil, store: any ImageStore,
        spoolFolder: String
    ) {
        self.below = below
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
        let tar = try blob.withBytes {
            try Decompressor.decompress($0, limit: DebArchive.Limit.dataBytes, spoolFolder: spoolFolder)
        }
        var places = PathTable<Range<Int>>()
        var reader = TarReader(tar.bytes)
        while let (entry, content) = try reader.next() {
            if entry.kind == .file { places[entry.path] = content }
        }
        return Unpacked(tar: tar, places: places)
    }

    /// A file of one package, by its place in the list.
    func bytes(_ package: Int, _ path: String) throws -> [UInt8] {
        let fragment = fragments[package]
        if let below, fragment.name == BelowPackages.name { return below.bytes(path) }
        guard let entry = fragment.entries.first(where: { FileName($0.path) == FileName(path) }) else {
            return []
        }
        let source = entry.kind == .hardLink ? entry.link : path
        if entry.kind != .file, entry.kind != .hardLink { return [] }
        if let kept = fragment.kept[source] { return kept }
        // To unpack a large package for one file takes longer than to follow all scripts: what they read is remembered.
        var key = ByteWriter()
        key.put(fragment.layer.digest)
        key.put(source)
        let name = "content/" + Digest.sha256(key.bytes).hex
        if last?.package != package {
            if let known = store.cached(name) { return known }
            last = (package, try unpack(fragment))
        }
        guard let unpacked = last?.unpacked, let place = unpacked.places[source] else { return [] }
        let content = Array(unpacked.tar.bytes[place])
        if content.count <= EffectTree.Limit.readBytes, remembered.insert(name).inserted {
            try store.cache(name, content)
        }
        return content
    }
}
