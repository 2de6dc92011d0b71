package import Model

/// What an OCI image layout holds: one image or index under a name, and every blob that belongs to it.
package struct LayoutContent {
    /// What the layout's own index points to.
    package var root: OCIDescriptor
    /// The name of the root among others in a layout; nil for none.
    package var tag: String?
    /// Small blobs: manifests, indexes, configs.
    package var documents: [[UInt8]]
    package var blobs: [Digest: BlobBytes] = [:]

    package init(root: OCIDescriptor, tag: String?, documents: [[UInt8]]) {
        self.root = root
        self.tag = tag
        self.documents = documents
    }

    package static let tagAnnotation = "org.opencontainers.image.ref.name"
    /// The file that says that a folder is a layout.
    package static let mark = Array(#"{"imageLayoutVersion":"1.0.0"}"#.utf8)

    /// The root as the layout's index lists it.
    package var entry: OCIDescriptor {
        var entry = root
        entry.annotations = tag.map { [LayoutContent.tagAnnotation: $0] } ?? [:]
        return entry
    }

    /// The layout of OCI image spec, image-layout.md.
    func write(into output: any LayoutOutput) throws {
        try output.folder("blobs")
        try output.folder("blobs/sha256")
        let small = Dictionary(documents.map { (Digest.sha256($0), $0) }) { first, _ in first }
        for digest in Set(small.keys).union(blobs.keys).sorted() {
            let name = "blobs/sha256/\(digest.hex)"
            if let bytes = small[digest] {
                try output.file(name, bytes)
            } else {
                try blobs[digest]?.withBytes {
                    try LayoutContent.check($0, digest)
                    try output.file(name, $0)
                }
            }
        }
        try output.file("index.json", OCIIndex(manifests: [entry]).bytes)
        try output.file("oci-layout", LayoutContent.mark)
    }

    static func check(_ bytes: UnsafeRawBufferPointer, _ digest: Digest) throws {
        guard Digest.sha256(bytes) == digest else {
            throw Failure(
                .storeDamaged, "a layer does not have the content of its digest", at: "\(digest)",
                suggestion: "remove the blob and bake or fetch the image again")
        }
    }
}
