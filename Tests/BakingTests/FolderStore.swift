import Glibc
import ImageFormat
import Model
import Ports
import Synchronization
import TestKit

/// A plain folder as an image store: what tests of this target bake into.
final class FolderStore: ImageStore {
    let root: String
    private let counter = Mutex(0)

    init(_ root: String) throws {
        self.root = root
        for name in ["blobs", "tmp", "cache", "tools", "images", "locks"] {
            try makeFolders("\(root)/\(name)")
        }
    }

    private func makeFolders(_ path: String) throws {
        var built = ""
        for part in path.split(separator: "/") {
            built += "/" + part
            guard mkdir(built, 0o755) == 0 || errno == EEXIST else {
                throw Failure(.internalError, "no folder: \(String(cString: strerror(errno)))", at: built)
            }
        }
    }

    private func bytes(_ path: String) -> [UInt8]? {
        guard let file = fopen(path, "r") else { return nil }
        defer { fclose(file) }
        var result: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = fread(&buffer, 1, buffer.count, file)
            if count == 0 { return result }
            result += buffer[..<count]
        }
    }

    private func put(_ bytes: [UInt8], at path: String) throws {
        let temporary = try temporaryPath()
        guard let file = fopen(temporary, "w") else {
            throw Failure(errno == ENOSPC ? .diskFull : .internalError, "cannot write", at: path)
        }
        let count = fwrite(bytes, 1, bytes.count, file)
        guard fclose(file) == 0, count == bytes.count else {
            unlink(temporary)
            throw Failure(.diskFull, "cannot write", at: path)
        }
        guard rename(temporary, path) == 0 else { throw Failure(.internalError, "cannot rename", at: path) }
    }

    func path(of blob: Digest) -> String? {
        let path = "\(root)/blobs/\(blob.hex)"
        return access(path, F_OK) == 0 ? path : nil
    }

    func read(_ blob: Digest, limit: Int) throws -> [UInt8] {
        guard let path = path(of: blob), let bytes = bytes(path) else {
            throw Failure(.notFound, "no blob", at: "\(blob)")
        }
        guard bytes.count <= limit, Digest.sha256(bytes) == blob else {
            throw Failure(.storeDamaged, "the blob is damaged", at: path)
        }
        return bytes
    }

    func write(_ bytes: [UInt8]) throws -> Digest {
        let digest = Digest.sha256(bytes)
        try put(bytes, at: "\(root)/blobs/\(digest.hex)")
        return digest
    }

    func temporaryPath() throws -> String {
        let number = counter.withLock {
            $0 += 1
            return $0
        }
        return "\(root)/tmp/\(getpid())-\(number)"
    }

    func adopt(_ temporaryPath: String, as blob: Digest) throws {
        guard rename(temporaryPath, "\(root)/blobs/\(blob.hex)") == 0 else {
            throw Failure(.internalError, "cannot adopt", at: temporaryPath)
        }
    }

    private func cachePath(_ key: String) -> String {
        "\(root)/cache/" + String(key.map { $0 == "/" ? "_" : $0 })
    }

    func cached(_ key: String) -> [UInt8]? { bytes(cachePath(key)) }
    func cache(_ key: String, _ bytes: [UInt8]) throws { try put(bytes, at: cachePath(key)) }

    func folder(_ name: String) throws -> String {
        try makeFolders("\(root)/tools/\(name)")
        return "\(root)/tools/\(name)"
    }

    private let records = Mutex<[ImageRecord]>([])
    func record(of image: Digest) throws -> ImageRecord? { try images().last { $0.digest == image } }
    func images() throws -> [ImageRecord] { records.withLock { $0 } }
    func record(_ image: ImageRecord) throws {
        records.withLock { records in
            records.removeAll { $0.digest == image.digest }
            records.append(image)
        }
    }

    func inUse<Result: Sendable>(_ body: () async throws -> Result) async throws -> Result {
        try await body()
    }

    func locked<Result: Sendable>(_ name: String, _ body: () async throws -> Result) async throws -> Result {
        let descriptor = open("\(root)/locks/\(name)", O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw Failure(.internalError, "no lock", at: name) }
        defer { close(descriptor) }
        while flock(descriptor, LOCK_EX | LOCK_NB) != 0 { try await Task.sleep(for: .milliseconds(5)) }
        return try await body()
    }
}
