import ImageFormat
import Model
import Ports

/// The blobs that images of a store consist of.
struct ImageParts {
    private let store: any ImageStore

    init(_ store: any ImageStore) { self.store = store }

    /// The documents and blobs of an image, or of those images of an index that are there. Throws `storeDamaged` where
    /// its document cannot be read: nobody can say then what it needs.
    func of(_ digest: Digest) throws -> Set<Digest> {
        guard let bytes = try document(digest) else { return [digest] }
        if let manifest = try? OCIManifest(parsing: bytes) {
            return try parts(manifest, digest)
        }
        guard let index = try? OCIIndex(parsing: bytes) else {
            throw ImageParts.damaged("the document of an image is no manifest and no index", digest)
        }
        var parts: Set<Digest> = [digest]
        for entry in index.manifests {
            guard let bytes = try document(entry.digest) else { continue }
            parts.insert(entry.digest)
            if let manifest = try? OCIManifest(parsing: bytes) {
                parts.formUnion(try self.parts(manifest, entry.digest))
            }
        }
        return parts
    }

    /// The documents of an image that this one was built on, where they are here: its lock asks for them, and one that
    /// a Dockerfile gave can be had nowhere else.
    private func below(_ manifest: OCIManifest) throws -> Set<Digest> {
        guard let name = manifest.annotations[FromImage.annotation], let digest = try? Digest(parsing: name),
            let bytes = try document(digest), let below = try? OCIManifest(parsing: bytes)
        else { return [] }
        return Set([digest] + below.blobs)
    }

    private func parts(_ manifest: OCIManifest, _ digest: Digest) throws -> Set<Digest> {
        Set([digest] + manifest.blobs).union(try below(manifest))
    }

    /// nil where it is not there.
    private func document(_ digest: Digest) throws -> [UInt8]? {
        guard store.path(of: digest) != nil else { return nil }
        do {
            return try store.read(digest, limit: OCIManifest.Limit.bytes)
        } catch let failure as Failure where failure.code == .storeDamaged {
            throw ImageParts.damaged(failure.message, digest)
        }
    }

    private static func damaged(_ why: String, _ digest: Digest) -> Failure {
        Failure(
            .storeDamaged, why, at: "\(digest)",
            suggestion: "`kiln store check --repair` removes what is damaged")
    }
}
