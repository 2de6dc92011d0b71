internal import Model
internal import Ports

/// How people name images of a store.
enum ImageName {
    /// The image that has this name, or whose digest begins so, or the newest one of a service. The digest of an
    /// index names the image of it that is here.
    static func find(_ text: String, in store: any ImageStore) throws -> ImageRecord {
        let images = try store.images()
        if let named = images.last(where: { $0.names?.contains(text) ?? false }) { return named }
        if let newest = images.last(where: { $0.service?.text == text }) { return newest }
        let beginning = text.hasPrefix("sha256:") ? String(text.dropFirst(7)) : text
        let found = images.filter { image in
            beginning.count >= 4
                && [image.digest, image.index].contains { $0?.hex.hasPrefix(beginning) ?? false }
        }
        guard let only = found.first, found.count == 1 else {
            let problem = found.isEmpty ? "the store holds no image" : "the store holds \(found.count) images"
            throw Failure(
                .notFound, "\(problem) that \"\(text)\" names", suggestion: "`kiln image list` lists them all"
            )
        }
        return only
    }
}

extension ImageRecord {
    /// What people know it by: its service and its names.
    var called: String {
        let all = [service?.text].compactMap { $0 } + (names ?? [])
        return all.isEmpty ? digest.short : all.joined(separator: ", ")
    }
}
