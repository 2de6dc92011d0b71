package import Model

/// What lies beside an image in a store and speaks for it, as documents. Anybody may put something there: it is worth
/// what its signature is worth to whoever decides.
extension ImageStore {
    /// Those of an image, the first ones where there are more than `limit`. One that is gone is passed over, and one
    /// that was altered throws `storeDamaged`.
    package func evidence(for image: Digest, limit: Int) throws -> [[UInt8]] {
        try record(of: image).map { try evidence(of: $0, limit: limit) } ?? []
    }

    /// The same for an image whose record is at hand.
    package func evidence(of record: ImageRecord, limit: Int) throws -> [[UInt8]] {
        try (record.evidence ?? []).prefix(limit).compactMap {
            path(of: $0) == nil ? nil : try read($0, limit: EvidenceLimit.bytes)
        }
    }

    /// The images that an index of the store names. None where it is not here, or cannot be read.
    package func listed(in index: Digest) throws -> [Digest] {
        guard path(of: index) != nil,
            let json = try? JSONValue(parsing: try read(index, limit: JSONValue.Limit.bytes))
        else { return [] }
        return (json["manifests"]?.elements ?? []).compactMap {
            $0["digest"]?.text.flatMap { try? Digest(parsing: $0) }
        }
    }

    /// Puts documents beside an image. Those that are there already stay once. Returns how many are new.
    @discardableResult
    package func add(evidence documents: [[UInt8]], to image: Digest) async throws -> Int {
        try await locked("images") {
            guard var record = try record(of: image) else {
                throw Failure(
                    .notFound, "the store holds no image \(image)",
                    suggestion: "`kiln image list` lists its images")
            }
            let known = record.evidence ?? []
            var fresh: [Digest] = []
            for document in documents {
                let digest = try write(document)
                if !known.contains(digest), !fresh.contains(digest) { fresh.append(digest) }
            }
            guard !fresh.isEmpty else { return 0 }
            guard known.count + fresh.count <= EvidenceLimit.documents else {
                throw Failure(
                    .conflict, "more than \(EvidenceLimit.documents) documents would lie beside the image",
                    at: image.short,
                    suggestion:
                        "delete from the registry those that nobody needs; then remove the image and pull it")
            }
            record.evidence = known + fresh
            try self.record(record)
            return fresh.count
        }
    }
}

extension ImageStore {
    /// Records an image that was made here. Whoever changes a record meanwhile, to give a name or to sign, is waited
    /// for: of two who read, change and write at once, one would forget what the other wrote.
    package func enter(_ record: ImageRecord) async throws {
        try await locked("images") { try self.record(record) }
    }
}

private enum EvidenceLimit {
    /// One document.
    static let bytes = 4 << 20
    /// Of one image. Anybody who can write to a registry can put things beside an image.
    static let documents = 400
}
