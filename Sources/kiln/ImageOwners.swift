internal import Baking
internal import Model
internal import Ports

/// Says whose a file of an image is, for what drifts: the package, or the part of the recipe.
enum ImageOwners {
    /// nil where the image has no such file, or cannot be read.
    static func owner(of path: String, in image: Digest, _ store: any ImageStore) -> String? {
        guard let contents = try? ImageContents(image, store: store), let found = try? contents.why(path)
        else {
            return nil
        }
        if !found.packages.isEmpty { return found.packages.joined(separator: ", ") }
        return switch found.origin {
        case .packages(let names): names.joined(separator: ", ")
        case .effects: "effects of the packages' scripts"
        case .built(let labels): labels.joined(separator: ", ")
        case .recipe: "`files` of the recipe"
        case .unknown: nil
        }
    }
}
