package import ImageFormat
internal import Model

/// What a copy consists of, known before anything large moves.
package struct CopyPlan: Sendable {
    /// What will be there under the new name.
    package var root: ImageDocument
    /// The index that the root was chosen from; nil where nothing was chosen.
    package var index: ImageDocument?
    /// What the root names, the deepest first, the root not among them.
    package var documents: [ImageDocument] = []
    /// Each blob once, the largest first.
    package var blobs: [OCIDescriptor] = []

    /// Looks at what there is to copy.
    package static func of(_ source: any ImageSource, _ choice: PlatformChoice) async throws -> CopyPlan {
        var plan = CopyPlan(root: try await source.root())
        if case .one(let platform) = choice {
            for _ in 0..<ImageDocument.Limit.depth {
                guard case .index(let entries) = plan.root.content else { break }
                plan.index = plan.index ?? plan.root
                plan.root = try await source.document(try PlatformChoice.best(platform, in: entries))
            }
        }
        var seen: Set<Digest> = [plan.root.digest]
        var blobs: [Digest: OCIDescriptor] = [:]
        try await collect(plan.root, of: source, depth: 0, &plan.documents, &seen, &blobs)
        plan.blobs = blobs.values.sorted { ($0.size, $0.digest) > ($1.size, $1.digest) }
        return plan
    }

    private static func collect(
        _ document: ImageDocument, of source: any ImageSource, depth: Int, _ documents: inout [ImageDocument],
        _ seen: inout Set<Digest>,
        _ blobs: inout [Digest: OCIDescriptor]
    ) async throws {
        switch document.content {
        case .manifest(let entries): for entry in entries { blobs[entry.digest] = entry }
        case .index(let entries):
            guard depth < ImageDocument.Limit.depth,
                seen.count + entries.count <= ImageDocument.Limit.documents
            else {
                throw Failure(
                    .corruptArchive, "the image is an index of too many images, or nested too deeply",
                    at: source.place)
            }
            for entry in entries where seen.insert(entry.digest).inserted {
                let child = try await source.document(entry)
                try await collect(child, of: source, depth: depth + 1, &documents, &seen, &blobs)
                documents.append(child)
            }
        }
    }
}
