package import Model

/// Content-addressed files on disk, shared by bakes and the daemon. Safe for several processes at once.
package protocol ImageStore: Sendable {
    /// The file that holds a blob, or nil where it is absent. Its content never changes.
    func path(of blob: Digest) -> String?

    /// Reads a whole small blob (manifests, configs), at most `limit` bytes, and checks its digest.
    func read(_ blob: Digest, limit: Int) throws -> [UInt8]

    /// Writes a small blob durably and returns its digest.
    func write(_ bytes: [UInt8]) throws -> Digest

    /// A fresh path for a large file that is being made, on the same disk. Gone at the next clean-up if never adopted.
    func temporaryPath() throws -> String

    /// Moves a finished file into the store under a digest that the caller computed from the bytes it wrote. Durable on return.
    func adopt(_ temporaryPath: String, as blob: Digest) throws

    /// A small derived value remembered under a key (`fragment/<digest>`); nil where unknown. May vanish at any time.
    func cached(_ key: String) -> [UInt8]?
    func cache(_ key: String, _ bytes: [UInt8]) throws

    /// A folder for the keeping of one tool's own files (apt's lists), made on first use.
    func folder(_ name: String) throws -> String

    func images() throws -> [ImageRecord]
    /// nil where the store has no such image.
    func record(of image: Digest) throws -> ImageRecord?
    func record(_ image: ImageRecord) throws

    /// Holds one named lock among all processes that share this store, for as long as `body` runs.
    func locked<Result: Sendable>(_ name: String, _ body: () async throws -> Result) async throws -> Result

    /// Keeps the store from being cleared of what nobody needs while `body` makes or takes something that nothing
    /// names yet. Any number at once.
    func inUse<Result: Sendable>(_ body: () async throws -> Result) async throws -> Result
}

/// A store that can be looked through, and cleared of what nobody needs.
package protocol CollectibleStore: ImageStore {
    func blobs() throws -> [StoredFile<Digest>]
    func cachedKeys() throws -> [StoredFile<String>]
    /// Files that a process which no longer runs left half-made, and their bytes.
    func leftovers() throws -> [StoredFile<String>]
    /// What tools keep in their folders from one bake to the next, by its place: a repository, the lists of an archive,
    /// a file that has arrived in part.
    func toolFiles() throws -> [StoredFile<String>]
    /// Records of images that cannot be read, by their place.
    func damagedRecords() throws -> [String]

    /// Each is no failure where it is gone already.
    func remove(blob: Digest) throws
    func remove(cached key: String) throws
    func remove(leftover path: String) throws
    func remove(record path: String) throws
    func forget(image: Digest) throws

    /// Runs `body` while nobody is in `inUse`. Throws `conflict` where somebody stays there.
    func collecting<Result: Sendable>(_ body: () async throws -> Result) async throws -> Result
}

/// A file of a store by what names it.
package struct StoredFile<Name: Hashable & Sendable>: Hashable, Sendable {
    package var name: Name
    package var size: Int
    /// When it was read or written last, as far as the disk tells: to the day, on most.
    package var usedAt: Instant

    package init(name: Name, size: Int, usedAt: Instant) {
        self.name = name
        self.size = size
        self.usedAt = usedAt
    }
}

/// Reads the images that a store holds.
package protocol ImageReader: Sendable {
    /// Manifest and config of an image. Throws `notFound`, or `storeDamaged` where a digest does not fit.
    func image(_ digest: Digest) throws -> Image

    /// Writes the whole file tree of an image below an existing empty folder, with owners and modes (needs root).
    /// Never writes outside it, whatever the layers hold.
    func unpack(_ digest: Digest, into folder: String) async throws
}
