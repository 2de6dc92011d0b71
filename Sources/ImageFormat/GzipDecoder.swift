import CLibdeflate
import Glibc
import Model

/// Decodes gzip members one after the other into one region; libdeflate checks each CRC-32 and length.
enum GzipDecoder {
    /// The best that deflate can do is a little over 1000:1; what claims more is no honest size.
    private static let bestRatio = 1032

    static func decode(_ input: UnsafeRawBufferPointer, limit: Int, spoolFolder: String) throws -> MappedBytes
    {
        guard let decoder = libdeflate_alloc_decompressor() else {
            throw Failure(.internalError, "no memory for unpacking gzip")
        }
        defer { libdeflate_free_decompressor(decoder) }
        // The last four bytes are the length of the last member: right at once in the usual case of one
        // member.
        let hint = input.suffix(4).reversed().reduce(0) { $0 << 8 | Int($1) }
        let most = min(limit, input.count.multipliedReportingOverflow(by: bestRatio).partialValue)
        var capacity = min(max(hint, 64), max(most, 64))
        var region = try Region(capacity: capacity, spoolFolder: spoolFolder)
        var consumed = 0
        var produced = 0
        while consumed < input.count {
            let rest = UnsafeRawBufferPointer(rebasing: input[consumed...])
            if consumed > 0, rest.allSatisfy({ $0 == 0 }) { break }
            var taken = 0
            var made = 0
            let status = libdeflate_gzip_decompress_ex(
                decoder, rest.baseAddress, rest.count, region.base + produced, capacity - produced, &taken,
                &made)
            switch status {
            case LIBDEFLATE_SUCCESS:
                region.settle(produced..<produced + made)
                consumed += taken
                produced += made
            case LIBDEFLATE_INSUFFICIENT_SPACE:
                guard capacity < most else { throw Spool.overflow(limit) }
                capacity = min(capacity * 2 + rest.count, most)
                var larger = try Region(capacity: capacity, spoolFolder: spoolFolder)
                larger.base.copyMemory(from: region.base, byteCount: produced)
                swap(&region, &larger)
            default:
                throw Decompressor.damaged(.gzip, "a member does not decode")
            }
        }
        if produced > limit { throw Spool.overflow(limit) }
        return region.release(count: produced)
    }

    /// A writable region: anonymous, or on a disk that has room for all of it.
    private struct Region: ~Copyable {
        let base: UnsafeMutableRawPointer
        private let capacity: Int
        private let isFile: Bool
        private var isReleased = false

        init(capacity: Int, spoolFolder: String) throws {
            self.capacity = capacity
            var flags = MAP_PRIVATE | MAP_ANONYMOUS
            var descriptor: Int32 = -1
            defer { if descriptor >= 0 { close(descriptor) } }
            if capacity > Spool.memoryLimit {
                descriptor = try Spool.unlinkedFile(in: spoolFolder)
                // Reserved at once: a page without a block would be a signal and not an error.
                let status = posix_fallocate(descriptor, 0, capacity)
                guard status == 0 else {
                    throw Failure.system(status, "no room for unpacking", at: spoolFolder)
                }
                flags = MAP_SHARED
            }
            let region = mmap(nil, capacity, PROT_READ | PROT_WRITE, flags, descriptor, 0)
            guard let region, region != MAP_FAILED else {
                throw Failure.system(errno, "no memory for unpacking", at: spoolFolder)
            }
            base = region
            isFile = descriptor >= 0
        }

        /// Leaves bytes that are made to the file, so that they take no memory until somebody reads them.
        func settle(_ range: Range<Int>) {
            guard isFile else { return }
            let page = Int(sysconf(Int32(_SC_PAGESIZE)))
            let start = range.lowerBound / page * page
            madvise(base + start, range.upperBound / page * page - start, MADV_DONTNEED)
        }

        deinit {
            if !isReleased { munmap(base, capacity) }
        }

        consuming func release(count: Int) -> MappedBytes {
            isReleased = true
            return MappedBytes(adopting: base, count: count, mapped: capacity, isFile: isFile)
        }
    }
}
