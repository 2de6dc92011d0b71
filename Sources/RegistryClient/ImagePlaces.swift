package import ImageFormat
package import Model

/// Where an image is read from: a registry, a layout, an archive, the store.
package protocol ImageSource: Sendable {
    /// What people call it.
    var place: String { get }

    /// The manifest or index that the name stands for.
    func root() async throws -> ImageDocument

    /// A manifest or index that another one names, with the digest that it is named by.
    func document(_ entry: OCIDescriptor) async throws -> ImageDocument

    /// A blob where it lies on this machine, unchecked; nil where it has to be fetched.
    func local(_ blob: OCIDescriptor) throws -> BlobBytes?

    /// A config or another blob of at most 4 MiB, checked.
    func small(_ blob: OCIDescriptor) async throws -> [UInt8]

    /// Brings a blob into a new file, checked, and returns how many bytes had to move for it: fewer than it has where
    /// `held` gives some of them. The file may be left half-made where this throws.
    func fetch(_ blob: OCIDescriptor, held: [HeldSection], to path: String, meter: Meter) async throws -> Int
}

extension ImageSource {
    package func fetch(
        _ blob: OCIDescriptor, held: [HeldSection], to path: String, meter: Meter
    ) async throws -> Int {
        assertionFailure("what lies on this machine is not fetched")
        return 0
    }

    /// A config or another blob of at most 4 MiB, checked.
    package func small(_ blob: OCIDescriptor) async throws -> [UInt8] {
        guard blob.size <= ImageDocument.Limit.bytes else {
            throw Failure(.corruptArchive, "a config of \(blob.size) bytes is too large", at: place)
        }
        guard let bytes = try local(blob) else {
            throw Failure(.notFound, "a blob is missing: \(blob.digest)", at: place)
        }
        let array = bytes.withBytes { Array($0) }
        guard Digest.sha256(array) == blob.digest else { throw BlobDamage.failure(blob, place) }
        return array
    }
}

/// Where an image goes to. Blobs come first, then the documents that name them, the root last: whoever sees the
/// root sees all of the image.
package protocol ImageSink: Sendable {
    var place: String { get }

    /// Whether a document is there with all that it names.
    func holds(document: Digest) async throws -> Bool

    /// Whether a blob is there, or can be had without sending it.
    func holds(blob: OCIDescriptor) async throws -> Bool

    /// Bytes of an absent blob that are there within other blobs.
    func held(_ blob: OCIDescriptor) -> [HeldSection]

    /// A fresh path for a blob that is fetched, on the disk where it will stay.
    func temporaryPath() throws -> String

    /// Takes a checked file away from where it is.
    func take(file path: String, _ blob: OCIDescriptor, meter: Meter) async throws

    /// Copies from elsewhere on this machine, and checks on the way.
    func take(_ bytes: BlobBytes, _ blob: OCIDescriptor, meter: Meter) async throws

    func put(_ document: ImageDocument, isRoot: Bool) async throws

    /// Makes the image visible under its name. Nothing is before.
    func finish() async throws

    /// Takes back what was half-made.
    func discard()
}

extension ImageSink {
    package func held(_ blob: OCIDescriptor) -> [HeldSection] { [] }

    package func discard() {}
}

enum BlobDamage {
    static func failure(_ blob: OCIDescriptor, _ place: String) -> Failure {
        Failure(
            .hashMismatch, "a blob does not have the digest that it is named by",
            at: "\(place) \(blob.digest)",
            suggestion: "make this copy of the image again from a good one")
    }
}
