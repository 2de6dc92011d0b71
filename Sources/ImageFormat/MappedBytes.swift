import Glibc
import Model

/// Bytes that the kernel pages: a file mapped for reading, or the output of a decompressor. Unmapped with the
/// object.
package final class MappedBytes: @unchecked Sendable {
    // Unchecked: the region is never written after init.
    private let base: UnsafeMutableRawPointer?
    private let mapped: Int
    /// Whether the bytes are in a file, where they can be read again.
    private let isFile: Bool
    package let count: Int

    /// Valid for as long as this object lives: hold it in a property, or prefer `withBytes`. Swift may end a
    /// local variable's life after its last use, before the pointer's.
    package var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: count) }

    /// Lends the bytes for the length of a call.
    package func withBytes<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result {
        try withExtendedLifetime(self) { try body(bytes) }
    }

    /// Gives the memory of bytes back that were read: whoever reads them again gets them from the file again. What
    /// lies in memory only stays there. This is what bounds the memory of a bake, however large the packages.
    package func forget(_ range: Range<Int>) {
        guard isFile, let base else { return }
        // Whole pages only; those at the ends may hold what others still read.
        let page = Int(sysconf(Int32(_SC_PAGESIZE)))
        let start = (range.lowerBound + page - 1) / page * page
        let end = range.upperBound >= count ? mapped : range.upperBound / page * page
        if end > start { madvise(base + start, end - start, MADV_DONTNEED) }
    }

    package func forget() { forget(0..<count) }

    /// Takes over a region of `mapped` bytes of which the first `count` matter; `isFile`: a shared file is behind it.
    init(adopting base: UnsafeMutableRawPointer?, count: Int, mapped: Int, isFile: Bool = false) {
        self.isFile = isFile
        self.base = base
        self.count = count
        self.mapped = mapped
    }

    /// A copy of bytes in memory.
    package convenience init(copying bytes: [UInt8]) throws {
        guard !bytes.isEmpty else {
            self.init(adopting: nil, count: 0, mapped: 0)
            return
        }
        let flags = MAP_PRIVATE | MAP_ANONYMOUS
        guard let region = mmap(nil, bytes.count, PROT_READ | PROT_WRITE, flags, -1, 0), region != MAP_FAILED
        else { throw Failure.system(errno, "no memory", at: "\(bytes.count) bytes") }
        bytes.withUnsafeBytes { region.copyMemory(from: $0.baseAddress!, byteCount: bytes.count) }
        self.init(adopting: region, count: bytes.count, mapped: bytes.count)
    }

    /// Maps a whole file for reading. Nobody may shorten the file meanwhile: it must belong to us.
    package convenience init(file path: String) throws {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw Failure.system(errno, "the file cannot be opened", at: path) }
        defer { close(descriptor) }
        try self.init(descriptor: descriptor, at: path)
    }

    /// Maps what an open file holds; the descriptor stays the caller's.
    convenience init(descriptor: Int32, at place: String) throws {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else {
            throw Failure.system(errno, "the file cannot be read", at: place)
        }
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw Failure(.invalidArgument, "this is not a regular file", at: place)
        }
        let size = Int(status.st_size)
        guard size > 0 else {
            self.init(adopting: nil, count: 0, mapped: 0)
            return
        }
        let region = mmap(nil, size, PROT_READ, MAP_PRIVATE, descriptor, 0)
        guard let region, region != MAP_FAILED else {
            throw Failure.system(errno, "the file cannot be mapped", at: place)
        }
        self.init(adopting: region, count: size, mapped: size, isFile: true)
    }

    deinit {
        if let base { munmap(base, mapped) }
    }
}
