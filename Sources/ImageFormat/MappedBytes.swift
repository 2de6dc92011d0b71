import Glibc
import Model

/// Bytes that the kernel pages: a file mapped for reading, or the output of a decompressor. Unmapped with the
/// object.
package final class MappedBytes: @unchecked Sendable {
    // Unchecked: the region is never written after init.
    private let base: UnsafeMutableRawPointer?
    private let mapped: Int
    package let count: Int

    /// Valid for as long as this object lives: hold it in a property, or prefer `withBytes`. Swift may end a
    /// local variable's life after its last use, before the pointer's.
    package var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: count) }

    /// Lends the bytes for the length of a call.
    package func withBytes<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result {
        try withExtendedLifetime(self) { try body(bytes) }
    }

    /// Takes over a region of `mapped` bytes of which the first `count` matter.
    init(adopting base: UnsafeMutableRawPointer?, count: Int, mapped: Int) {
        self.base = base
        self.count = count
        self.mapped = mapped
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
        self.init(adopting: region, count: size, mapped: size)
    }

    deinit {
        if let base { munmap(base, mapped) }
    }
}
