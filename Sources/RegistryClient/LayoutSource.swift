package import ImageFormat
internal import Model

/// An image of an OCI layout, as a folder or as an archive.
package struct LayoutSource: ImageSource {
    private let files: any LayoutFiles
    private let tag: String?
    package let place: String

    package init(folder: String, tag: String?) {
        files = FolderFiles(place: folder)
        self.tag = tag
        place = "oci:\(folder)" + (tag.map { ":\($0)" } ?? "")
    }

    package init(archive: String, tag: String?) throws {
        files = try TarFiles(archive)
        self.tag = tag
        place = "oci-archive:\(archive)" + (tag.map { ":\($0)" } ?? "")
    }

    package func root() async throws -> ImageDocument {
        let entries = try OCIIndex(parsing: files.document("index.json")).manifests
        let name = { (entry: OCIDescriptor) in entry.annotations[LayoutContent.tagAnnotation] }
        let fitting = tag.map { tag in entries.filter { name($0) == tag } } ?? entries
        guard let entry = fitting.first, fitting.count == 1 || Set(fitting.map(\.digest)).count == 1 else {
            let tags = entries.compactMap(name).sorted().joined(separator: ", ")
            throw Failure(
                .notFound,
                tag == nil
                    ? "it holds \(entries.count) images, and none is named"
                    : "it holds no image of this name",
                at: place,
                suggestion: tags.isEmpty ? "leave out the name" : "name one of them after a colon: \(tags)")
        }
        return try await document(entry)
    }

    package func document(_ entry: OCIDescriptor) async throws -> ImageDocument {
        let bytes = try files.document("blobs/sha256/\(entry.digest.hex)")
        guard Digest.sha256(bytes) == entry.digest else { throw BlobDamage.failure(entry, place) }
        return try ImageDocument(bytes, mediaType: entry.mediaType)
    }

    package func local(_ blob: OCIDescriptor) throws -> BlobBytes? {
        guard let bytes = try files.bytes("blobs/sha256/\(blob.digest.hex)") else {
            throw Failure(
                .corruptArchive, "a blob is missing: \(blob.digest)", at: place,
                suggestion: "make this copy of the image again")
        }
        return bytes
    }
}
