import ImageFormat
import Model
import Ports

/// The fragments of each layer, lowest first.
struct LayerGroups {
    private(set) var groups: [[PackageFragment]] = []

    /// All packages in the order of their layers; of a path that two hold the later one is seen.
    var ordered: [PackageFragment] { groups.flatMap(\.self) }

    /// Follows the plan of a lock. Where two packages of a layer hold the same path, the later one begins another
    /// layer: a layer holds each path once.
    init(_ fragments: [PackageFragment], plan: [[String]]) {
        let byName = Dictionary(fragments.map { ($0.name, $0) }) { first, _ in first }
        for names in plan {
            var group: [PackageFragment] = []
            var kinds: [String: TarEntry.Kind] = [:]
            for fragment in names.compactMap({ byName[$0] }) {
                let meets = fragment.entries.contains { entry in
                    kinds[entry.path].map { $0 != .directory || entry.kind != .directory } ?? false
                }
                if meets {
                    groups.append(group)
                    (group, kinds) = ([], [:])
                }
                group.append(fragment)
                for entry in fragment.entries { kinds[entry.path] = entry.kind }
            }
            if !group.isEmpty { groups.append(group) }
        }
    }
}

/// Makes one layer of several packages: their folders, then the files of each as they are packed already.
struct LayerJoin: Sendable {
    let store: any ImageStore

    /// Changes whenever the same packages give another layer.
    private static let version = 1

    private enum Limit {
        /// Layers that are made at the same time, each with one gzip member in memory.
        static let parallel = 4
    }

    /// The layers of all groups, in their order.
    func layers(_ groups: LayerGroups) async throws -> [ImageLayer] {
        // The largest first, so that none is left to run alone at the end.
        let sizes = groups.groups.map { group in
            group.count == 1 ? 0 : group.reduce(0) { $0 + $1.files.size }
        }
        let order = sizes.indices.sorted { (sizes[$0], $1) > (sizes[$1], $0) }
        let layers = try await inParallel(order, width: Limit.parallel) { try layer(groups.groups[$0]) }
        return zip(order, layers).sorted { $0.0 < $1.0 }.map(\.1)
    }

    private func layer(_ fragments: [PackageFragment]) throws -> ImageLayer {
        if fragments.count == 1 { return fragments[0].layer }
        var key = ByteWriter()
        key.put(LayerJoin.version)
        key.put(list: fragments) { $0.put($1.layer.digest) }
        let name = "joined/" + Digest.sha256(key.bytes).hex
        if let bytes = store.cached(name) {
            var reader = ByteReader(bytes)
            if let layer = try? reader.layer(), store.path(of: layer.digest) != nil { return layer }
        }
        let layer = try join(fragments)
        var record = ByteWriter()
        record.put(layer)
        try store.cache(name, record.bytes)
        return layer
    }

    private func join(_ fragments: [PackageFragment]) throws -> ImageLayer {
        var folders = PathTable<TarEntry>()
        for entry in fragments.flatMap(\.entries) where entry.kind == .directory && folders[entry.path] == nil
        {
            folders[entry.path] = entry
        }
        var sections: [ImageLayer.Section] = []
        var layer = try store.addLayer { writer in
            func note(_ section: LayerSection) {
                if section.size > 0 {
                    sections.append(ImageLayer.Section(size: section.size, digest: section.digest))
                }
            }
            for entry in folders.values.sorted(by: { TarEntry.precedes($0.path, $1.path) }) {
                try writer.append(entry)
            }
            note(try writer.endSection())
            for fragment in fragments {
                guard let path = store.path(of: fragment.layer.digest) else {
                    throw Failure(
                        .storeDamaged, "the layer of \(fragment.name) is gone",
                        at: "\(fragment.layer.digest)",
                        suggestion: "bake again")
                }
                try writer.append(fragment.files, of: try MappedBytes(file: path))
                note(fragment.files)
            }
        }
        layer.sections = sections
        return layer
    }
}
