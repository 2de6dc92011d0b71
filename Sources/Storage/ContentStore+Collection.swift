internal import Foundation
internal import Glibc
package import Model
package import Ports
internal import Trust

/// What `kiln store` needs beyond what bakes and the daemon do.
extension ContentStore: CollectibleStore {
    /// Rounds of `lockPause` to wait for bakes that are under way: a minute.
    private static let patience = 3_000
    /// Seconds after which a temporary file is nobody's any more: no bake or build step takes longer.
    private static let oldest = 7 * 86_400

    package func blobs() throws -> [StoredFile<Digest>] {
        try files("\(root)/blobs/sha256").compactMap { name, path in
            guard let digest = try? Digest(hex: name) else { return nil }
            return stored(digest, path)
        }
    }

    package func cachedKeys() throws -> [StoredFile<String>] {
        try files("\(root)/cache").filter { !$0.name.hasSuffix(DurableFile.unfinished) }
            .compactMap { stored($0.name, $0.path) }
    }

    package func leftovers() throws -> [StoredFile<String>] {
        try temporaryFiles().compactMap { path, owner in
            guard var leftover = stored(path, path) else { return nil }
            // A number may have been given to another process since.
            let isOld = leftover.usedAt.milliseconds / 1000 + ContentStore.oldest < time(nil)
            guard isOld || owner.map({ kill($0, 0) != 0 && errno == ESRCH }) ?? false else { return nil }
            leftover.size += sizes(below: path)
            return leftover
        }
    }

    /// Files and folders that are not in place yet, and the process that makes each.
    private func temporaryFiles() throws -> [(path: String, owner: Int32?)] {
        let temporary = try FileManager.default.contentsOfDirectory(atPath: "\(root)/tmp").sorted()
        return temporary.map { ("\(root)/tmp/\($0)", Int32($0.prefix { $0 != "-" })) }
            + (try unfinishedFiles())
    }

    /// What Kilns before this one wrote beside the file in whose place it comes: `NAME.PID-NUMBER.new`.
    private func unfinishedFiles() throws -> [(path: String, owner: Int32?)] {
        try ["blobs", "cache", "images"].flatMap { try files("\(root)/\($0)") }.compactMap { name, path in
            guard name.hasSuffix(DurableFile.unfinished) else { return nil }
            let owner = name.dropLast(DurableFile.unfinished.count).split(separator: ".").last
            return (path, owner.flatMap { Int32($0.prefix { $0 != "-" }) })
        }
    }

    package func toolFiles() throws -> [StoredFile<String>] {
        let tools = try FileManager.default.contentsOfDirectory(atPath: "\(root)/folders").sorted()
        return try tools.flatMap { tool in
            try FileManager.default.contentsOfDirectory(atPath: "\(root)/folders/\(tool)").sorted().compactMap
            {
                let path = "\(root)/folders/\(tool)/\($0)"
                guard var file = stored(path, path) else { return nil }
                for inner in all(below: path) {
                    file.size += inner.size
                    file.usedAt = max(file.usedAt, inner.usedAt)
                }
                return file
            }
        }
    }

    package func damagedRecords() throws -> [String] {
        try files("\(root)/images").filter { name, path in
            if name.hasSuffix(DurableFile.unfinished) { return false }
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
        return StoredFile(
            name: name, size: Int(status.st_blocks) * 512,
            usedAt: Instant(milliseconds: LastUse.seconds(status) * 1000))
    }

    private func sizes(below folder: String) -> Int { all(below: folder).reduce(0) { $0 + $1.size } }

    private func all(below folder: String) -> [StoredFile<String>] {
        guard let names = FileManager.default.enumerator(atPath: folder) else { return [] }
        return names.compactMap { $0 as? String }.compactMap { stored($0, "\(folder)/\($0)") }
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
