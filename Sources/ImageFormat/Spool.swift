import Glibc
import Model

/// Collects output of unknown length: in memory while it is small, in an unlinked file once it is not, so
/// that what stays resident is bounded. Writes through `write`, so that a full disk is an error and not a
/// signal.
struct Spool: ~Copyable {
    /// Outputs up to this many bytes stay in memory.
    static let memoryLimit = 32 << 20

    private let limit: Int
    private let folder: String
    private var memory: UnsafeMutableRawPointer
    private var descriptor: Int32 = -1
    private(set) var count = 0
    /// Bytes in `memory` that the file does not have yet.
    private var pending = 0
    private var isReleased = false

    private static let chunk = 1 << 20

    init(limit: Int, folder: String) throws {
        self.limit = limit
        self.folder = folder
        let region = mmap(
            nil, Spool.memoryLimit, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0
        )
        guard let region, region != MAP_FAILED else {
            throw Failure.system(errno, "no memory for unpacking", at: folder)
        }
        memory = region
    }

    deinit {
        if !isReleased { munmap(memory, Spool.memoryLimit) }
        if descriptor >= 0 { close(descriptor) }
    }

    /// Room for the next output; never empty. Follow with `commit`.
    mutating func room() throws -> UnsafeMutableRawBufferPointer {
        let capacity = descriptor < 0 ? Spool.memoryLimit : Spool.chunk
        if pending == capacity {
            if descriptor < 0 { descriptor = try Spool.unlinkedFile(in: folder) }
            try writeAll(UnsafeRawBufferPointer(start: memory, count: pending), to: descriptor, at: folder)
            if pending > Spool.chunk { madvise(memory, pending, MADV_DONTNEED) }
            pending = 0
            return try room()
        }
        return UnsafeMutableRawBufferPointer(start: memory + pending, count: capacity - pending)
    }

    /// Counts `size` bytes that were put into the room; throws where that is more than the limit.
    mutating func commit(_ size: Int) throws {
        pending += size
        count += size
        if count > limit { throw Spool.overflow(limit) }
    }

    mutating func append(_ bytes: UnsafeRawBufferPointer) throws {
        var rest = bytes
        while !rest.isEmpty {
            let target = try room()
            let size = min(target.count, rest.count)
            target.copyMemory(from: UnsafeRawBufferPointer(rebasing: rest[..<size]))
            try commit(size)
            rest = UnsafeRawBufferPointer(rebasing: rest[size...])
        }
    }

    /// The whole output. Nothing can be added after it.
    consuming func finish() throws -> MappedBytes {
        if descriptor >= 0 {
            try writeAll(UnsafeRawBufferPointer(start: memory, count: pending), to: descriptor, at: folder)
            return try MappedBytes(descriptor: descriptor, at: folder)
        }
        guard count > 0 else { return MappedBytes(adopting: nil, count: 0, mapped: 0) }
        isReleased = true
        return MappedBytes(adopting: memory, count: count, mapped: Spool.memoryLimit)
    }

    static func overflow(_ limit: Int) -> Failure {
        Failure(
            .corruptArchive, "it unpacks to more than the \(limit) bytes that are allowed",
            suggestion: "do not use this file: it may be made to fill the disk")
    }

    /// A file that vanishes with its descriptor.
    static func unlinkedFile(in folder: String) throws -> Int32 {
        let path = folder + "/spool-" + String(UInt64.random(in: .min ... .max), radix: 36)
        let descriptor = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw Failure.system(errno, "a temporary file cannot be made", at: folder)
        }
        unlink(path)
        return descriptor
    }
}
