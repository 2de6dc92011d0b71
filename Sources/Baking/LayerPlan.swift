package import Model

/// Which packages share a layer: those that change together, so that an update changes few layers and few bytes.
///
/// Packages of one source are built and updated together: they are never parted. Where there are more sources than
/// layers, the large and restless ones have a layer each; of the rest, those that were updated since their release are
/// kept apart from those that never were.
package enum LayerPlan {
    /// Layers that are not of packages: the effects of scripts, and the user's files.
    static let otherLayers = 2
    /// How much more an update of what was updated before is to be expected.
    private static let restlessness = 4

    /// The packages of each layer, lowest first. `old` is kept as far as it goes: packages that are gone leave it, new
    /// ones go to the layer of their source, else to a free layer, else to the one of the most sources.
    static func make(
        _ packages: [Lock.Package], budget: Int, restless: (Lock.Package) -> Bool,
        keeping old: [[String]] = []
    ) -> [[String]] {
        let slots = max(1, budget - otherLayers)
        let byName = Dictionary(packages.map { ($0.name, $0) }) { first, _ in first }
        var layers = old.map { $0.filter { byName[$0] != nil } }.filter { !$0.isEmpty }
        guard !layers.isEmpty, layers.count <= slots else {
            return fresh(packages, slots: slots, restless: restless)
        }
        let placed = Set(layers.joined())
        for package in packages where !placed.contains(package.name) {
            func sources(_ layer: [String]) -> Set<String> { Set(layer.compactMap { byName[$0]?.source }) }
            let own = layers.firstIndex { sources($0).contains(package.source) }
            if own == nil, layers.count < slots {
                layers.append([package.name])
                continue
            }
            let place =
                own ?? layers.indices.max { sources(layers[$0]).count < sources(layers[$1]).count } ?? 0
            layers[place] = (layers[place] + [package.name]).sorted()
        }
        return layers
    }

    private static func fresh(
        _ packages: [Lock.Package], slots: Int, restless: (Lock.Package) -> Bool
    ) -> [[String]] {
        struct Source {
            var names: [String]
            var isRestless: Bool
            var weight: Int
            /// base-files: its folders are those that all others lie in.
            var isFirst: Bool

            static func outweighs(_ left: Source, _ right: Source) -> Bool {
                if left.isFirst != right.isFirst { return left.isFirst }
                if left.weight != right.weight { return left.weight > right.weight }
                return left.names[0] < right.names[0]
            }
        }
        let sources = Dictionary(grouping: packages, by: \.source).values.map { packages in
            let isRestless = packages.contains(where: restless)
            let size = packages.reduce(0) { $0 + $1.size }
            return Source(
                names: packages.map(\.name).sorted(), isRestless: isRestless,
                weight: isRestless ? size * restlessness : size,
                isFirst: packages.contains { $0.name == "base-files" })
        }.sorted { $0.names.lexicographicallyPrecedes($1.names) }
        func split(_ shared: Int) -> (alone: [Source], joined: [[String]]) {
            let heaviest = Set(
                sources.sorted(by: Source.outweighs).prefix(slots - shared).map { $0.names[0] })
            let rest = sources.filter { !heaviest.contains($0.names[0]) }
            let parts = shared == 1 ? [rest] : [rest.filter { !$0.isRestless }, rest.filter(\.isRestless)]
            return (
                sources.filter { heaviest.contains($0.names[0]) },
                parts.map { $0.flatMap(\.names).sorted() }.filter { !$0.isEmpty }
            )
        }
        var (alone, joined) = (sources, [[String]]())
        if sources.count > slots {
            (alone, joined) = split(min(2, slots))
            // All of the rest are alike: they need one layer only.
            if joined.count < 2 { (alone, joined) = split(1) }
        }
        return alone.filter(\.isFirst).map(\.names) + alone.filter { !$0.isFirst }.map(\.names) + joined
    }
}

extension Lock {
    /// Whether a package was updated since its distribution came out, by a point release or for its security.
    func isRestless(_ package: Package) -> Bool {
        isInSecurityArchive(package) || package.version.contains(/[+~]deb\d+u\d/)
            || package.version.contains(/ubuntu\d+\.\d/)
    }

    /// Plans the layers anew; `old` says what stays.
    package mutating func planLayers(budget: Int, keeping old: Lock? = nil) {
        layerBudget = budget
        let kept = old.flatMap { $0.layerBudget == budget ? $0.layers : nil } ?? []
        layers = LayerPlan.make(packages, budget: budget, restless: isRestless, keeping: kept)
    }
}

extension Lock.Package {
    /// What it is built from, by the folder that archives keep it in (`pool/main/o/openssl/…`,
    /// `pool/updates/main/o/openssl/…`); in an archive without such folders the package is a source of its own.
    var source: String {
        let parts = path.split(separator: "/")
        return parts.count >= 5 && parts[0] == "pool" ? String(parts[parts.count - 2]) : name
    }
}
