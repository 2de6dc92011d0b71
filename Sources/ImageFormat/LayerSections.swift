package import Model

/// The annotation of a layer that lists its sections: `SIZE:SHA256` of each, separated by commas. A host that holds
/// a section in another layer asks a registry for the other bytes only.
package enum LayerSections {
    package static let annotation = "io.kiln.layer.sections"

    private enum Limit {
        /// Far more than packages in a layer.
        static let sections = 10_000
    }

    static func annotations(_ sections: [ImageLayer.Section]) -> [String: String] {
        if sections.isEmpty { return [:] }
        return [annotation: sections.map { "\($0.size):\($0.digest.hex)" }.joined(separator: ",")]
    }

    /// What a manifest says; empty where it says nothing, or what cannot be.
    package static func of(_ layer: OCIDescriptor) -> [ImageLayer.Section] {
        let words = (layer.annotations[annotation] ?? "").split(separator: ",")
        guard words.count <= Limit.sections else { return [] }
        var sections: [ImageLayer.Section] = []
        var rest = layer.size
        for word in words {
            let parts = word.split(separator: ":")
            guard parts.count == 2, let size = Int(parts[0]), size > 0, size <= rest,
                let digest = try? Digest(hex: String(parts[1]))
            else { return [] }
            rest -= size
            sections.append(ImageLayer.Section(size: size, digest: digest))
        }
        return sections
    }

    /// The same, each with where it lies in the layer.
    package static func placed(in layer: OCIDescriptor) -> [(section: ImageLayer.Section, range: Range<Int>)]
    {
        var offset = 0
        return of(layer).map { section in
            defer { offset += section.size }
            return (section, offset..<offset + section.size)
        }
    }
}
