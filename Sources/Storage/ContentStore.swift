internal import Foundation
internal import Glibc
package import Model
internal import Ports
internal import Trust

/// Blobs by digest in the layout that OCI tools use, with what was derived from them beside it.
/// Every write is whole or absent, so several processes may share a store and any may be killed.
package struct ContentStore: ImageStore {
    package let root: String

    /// How long to wait for another process that holds a lock, in rounds of `lockPause`.
    static let lockRounds = 90_000
    static let lockPause = Duration.milliseconds(20)
    /// Derived values are small; a larger one is damage.
    static let longestCached = 64 << 20
    static let longestRecord = 1 << 20

    /// Opens or makes a store in the folder `root`.
    package init(_ root: String) throws {
        self.root = root
        for folder in ["blobs/sha256", "tmp", "cache", "images", "locks", "folders"] {
            try DurableFile.makeFolder("\(root)/\(folder)")
        }
    }

    package func path(of blob: Digest) -> String? {
        let path = blobPath(blob)
        guard access(path, R_OK) == 0 else { return nil }
        LastUse.note(path)
        return path
    }

    package func read(_ blob: Digest, limit: Int) throws -> [UInt8] {
        guard let bytes = try DurableFile.read(blobPath(blob), limit: limit) else {
            throw Failure(
                .notFound, "the store holds no blob \(blob)", suggestion: "`kiln image list` lists its images"
            )
        }
        guard Digest.sha256(of: bytes) == blob else {
            throw Failure(
                .storeDamaged, "a blob no longer has the digest that it is named by", at: blobPath(blob),
                suggestion: "delete the file and bake again")
        }
        return bytes
    }

    package func write(_ bytes: [UInt8]) throws -> Digest {
        let digest = Digest.sha256(of: bytes)
        if path(of: digest) == nil { try put(bytes, at: blobPath(digest)) }
        return digest
    }

    /// What a killed process leaves of it lies in `tmp`, where it is found and cleared.
    private func put(_ bytes: [UInt8], at path: String) throws {
        try DurableFile.write(bytes, to: path, through: try temporaryPath())
    }

    package func temporaryPath() throws -> String {
        "\(root)/tmp/\(getpid())-\(UInt64.random(in: 0 ... .max))"
    }

    package func adopt(_ temporaryPath: String, as blob: Digest) throws {
        try DurableFile.move(temporaryPath, to: blobPath(blob))
    }

    package func cached(_ key: String) -> [UInt8]? {
        let path = "\(root)/cache/\(key)"
        guard let bytes = try? DurableFile.read(path, limit: ContentStore.longestCached) else { return nil }
        LastUse.note(path)
        return bytes
    }

    package func cache(_ key: String, _ bytes: [UInt8]) throws {
        let path = "\(root)/cache/\(key)"
        try DurableFile.makeFolder(DurableFile.folder(of: path))
        try put(bytes, at: path)
    }

    package func folder(_ name: String) throws -> String {
        let path = "\(root)/folders/\(name)"
        try DurableFile.makeFolder(path)
        return path
    }

    package func images() throws -> [ImageRecord] {
        let names = try FileManager.default.contentsOfDirectory(atPath: "\(root)/images")
        return try names.filter { $0.hasSuffix(".json") }.compactMap { try record(named: $0) }.sorted {
            ($0.bakedAt, $0.digest) < ($1.bakedAt, $1.digest)
        }
    }

    package func record(of image: Digest) throws -> ImageRecord? { try record(named: "\(image.hex).json") }

    private func record(named name: String) throws -> ImageRecord? {
        let bytes = try DurableFile.read("\(root)/images/\(name)", limit: ContentStore.longestRecord)
        return try bytes.map { try CanonicalJSON.decode(ImageRecord.self, from: Data($0)) }
    }

    package func record(_ image: ImageRecord) throws {
        var image = image
        // An image may be baked and pulled: neither forgets what the other knew.
        if let known = try? record(of: image.digest) {
            image.service = image.service ?? known.service
            image.names = image.names ?? known.names
            image.index = image.index ?? known.index
            let old = known.evidence ?? []
            let evidence = old + (image.evidence ?? []).filter { !old.contains($0) }
            image.evidence = evidence.isEmpty ? nil : evidence
        }
        try put([UInt8](try CanonicalJSON.encode(image)), at: "\(root)/images/\(image.digest.hex).json")
    }

    package func locked<Result: Sendable>(
        _ name: String, _ body: () async throws -> Result
    ) async throws -> Result {
        try await holding(
            name.replacing("/", with: "-"), LOCK_EX, rounds: ContentStore.lockRounds,
            orElse: "another kiln has held this lock for too long", body)
    }

    package func inUse<Result: Sendable>(_ body: () async throws -> Result) async throws -> Result {
        try await holding(
            ContentStore.collection, LOCK_SH, rounds: ContentStore.lockRounds,
            orElse: "another kiln has been clearing this store for too long", body)
    }

    static let collection = "collection"

    func holding<Result: Sendable>(
        _ name: String, _ kind: Int32, rounds: Int, orElse complaint: String,
        _ body: () async throws -> Result
    ) async throws -> Result {
        let path = "\(root)/locks/\(name).lock"
        let file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        guard file >= 0 else { throw DurableFile.systemFailure("cannot open", path) }
        defer { close(file) }
        for _ in 1...rounds {
            if flock(file, kind | LOCK_NB) == 0 { return try await body() }
            try await Task.sleep(for: ContentStore.lockPause)
        }
        throw Failure(
            .timedOut, complaint, at: path,
            suggestion: "see who holds it with `fuser \(path)`, and end what hangs")
    }

    /// Deletes the temporary files of processes that no longer run.
    package func sweep() throws {
        for file in try leftovers() { try? remove(leftover: file.name) }
    }

    func blobPath(_ blob: Digest) -> String { "\(root)/blobs/sha256/\(blob.hex)" }
}
