internal import Foundation
internal import Glibc
package import Model
package import Ports
internal import Trust

/// What `kiln store` needs beyond what bakes and the daemon do.
extension ContentStore: CollectibleStore {
    /// Rounds of `lockPause` to wait for bakes that are under way: a minute.
    private static let patience = 3_000

    package func blobs() throws -> [StoredFile<Digest>] {
        try files("\(root)/blobs/sha256").compactMap { name, path in
            guard let digest = try? Digest(hex: name) else { return nil }
            return stored(digest, path)
        }
    }

    package func cachedKeys() throws -> [StoredFile<String>] {
        try files("\(root)/cache").compactMap { stored($0.name, $0.path) }
    }

    package func leftovers() throws -> [StoredFile<String>] {
        try FileManager.default.contentsOfDirectory(atPath: "\(root)/tmp").sorted().compactMap { name in
            guard let owner = Int32(name.prefix { $0 != "-" }), kill(owner, 0) != 0, errno == ESRCH else {
                return nil
            }
            let path = "\(root)/tmp/\(name)"
            guard var leftover = stored(path, path) else { return nil }
            leftover.size += sizes(below: path)
            return leftover
        }
    }

    package func damagedRecords() throws -> [String] {
        try files("\(root)/images").filter { name, path in
            guard name.hasSuffix(".json"),
                let bytes = try? DurableFile.read(path, limit: ContentStore.longestRecord),
                let record = try? CanonicalJSON.decode(ImageRecord.self, from: Data(bytes))
            else { return true }
            return name != "\(record.digest.hex).json"
        }.map(\.path)
    }

    package func remove(blob: Digest) throws { try remove(blobPath(blob)) }
    package func remove(cached key: String) throws { try remove("\(root)/cache/\(key)") }
    package func remove(leftover path: String) throws {
        // A sandbox's root is a whole folder.
        do {
            try FileManager.default.removeItem(atPath: path)
        } catch CocoaError.fileNoSuchFile {
            return
        }
    }
    package func remove(record path: String) throws { try remove(path) }
    package func forget(image: Digest) throws { try remove("\(root)/images/\(image.hex).json") }

    package func collecting<Result: Sendable>(
        _ body: () async throws -> Result
    ) async throws -> Result {
        do {
            return try await holding(
                ContentStore.collection, LOCK_EX, rounds: ContentStore.patience, orElse: "", body)
        } catch let failure as Failure where failure.code == .timedOut && failure.message.isEmpty {
            throw Failure(
                .conflict, "a bake, push or pull uses this store", at: root,
                suggestion: "wait for its end, then try again")
        }
    }

    private func remove(_ path: String) throws {
        guard unlink(path) != 0, errno != ENOENT else { return }
        throw DurableFile.systemFailure("cannot remove", path)
    }

    private func stored<Name>(_ name: Name, _ path: String) -> StoredFile<Name>? {
        var status = stat()
        // Gone since: somebody else removed it.
        guard lstat(path, &status) == 0 else { return nil }
        let used = max(status.st_atim.tv_sec, status.st_mtim.tv_sec)
        return StoredFile(
            name: name, size: Int(status.st_blocks) * 512, usedAt: Instant(milliseconds: used * 1000))
    }

    private func sizes(below folder: String) -> Int {
        guard let names = FileManager.default.enumerator(atPath: folder) else { return 0 }
        return names.lazy.compactMap { $0 as? String }.reduce(0) { sum, name in
            sum + (stored(name, "\(folder)/\(name)")?.size ?? 0)
        }
    }

    /// All files below a folder, by their paths in it, sorted.
    private func files(_ folder: String) throws -> [(name: String, path: String)] {
        let names = try FileManager.default.subpathsOfDirectory(atPath: folder)
        return names.sorted().map { ($0, "\(folder)/\($0)") }.filter { _, path in
            var status = stat()
            return lstat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
        }
    }
}
