import ImageFormat
import Model

/// Which layer of an image holds results of build steps, and which step made what: kept in the image's manifest.
struct BuildOrigin: Hashable {
    /// The annotation that holds `text`.
    static let annotation = "io.kiln.build"

    let layer: Digest
    /// What each result is called by and where it was put, absolute.
    private let rows: [Row]

    private struct Row: Hashable {
        var label: String
        var target: String
    }

    init(_ recipe: Recipe, layer: Digest) {
        self.layer = layer
        rows = recipe.builds.enumerated().flatMap { index, step in
            step.copies.map { Row(label: step.label(index), target: $0.to) }
        }
    }

    /// nil where the image has no such results, or does not say so in our words.
    init?(_ manifest: OCIManifest) {
        let lines =
            manifest.annotations[BuildOrigin.annotation]?.split(separator: "\n").map(String.init) ?? []
        guard let first = lines.first, let layer = try? Digest(parsing: first) else { return nil }
        self.layer = layer
        rows = lines.dropFirst().compactMap { line in
            let parts = line.split(separator: "\t", maxSplits: 1).map(String.init)
            return parts.count == 2 ? Row(label: parts[0], target: parts[1]) : nil
        }
    }

    /// The layer, then a line for each result.
    var text: String { (["\(layer)"] + rows.map { "\($0.label)\t\($0.target)" }).joined(separator: "\n") }

    /// What the steps are called, each once.
    var labels: [String] {
        rows.map(\.label).enumerated().filter { place, label in
            rows.firstIndex { $0.label == label } == place
        }.map(\.element)
    }

    /// The step that a file of the layer is from.
    func label(of path: String) -> String? {
        let isInside = { (target: String) in
            [ImagePath.normalized(target), MergedUsr.path(ImagePath.normalized(target))].contains {
                path == $0 || path.hasPrefix($0 + "/") || $0.isEmpty
            }
        }
        return rows.filter { isInside($0.target) }.max { $0.target.utf8.count < $1.target.utf8.count }?.label
    }
}
