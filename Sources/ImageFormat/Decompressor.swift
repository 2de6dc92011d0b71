import CLZMA
import CLibdeflate
import CZstd
import Glibc
import Model

/// Unpacks xz, zstd and gzip by their magic numbers; passes on what has none.
package enum Decompressor {
    package enum Format: String, Hashable, Sendable { case xz, zstd, gzip, none }

    /// Memory that a damaged or hostile xz header may make the decoder ask for; `xz -9` needs 65 MiB.
    static let xzMemoryLimit: UInt64 = 512 << 20

    /// `LZMA_CONCATENATED`, a macro that is not imported: an xz file may hold several streams.
    private static let concatenated: UInt32 = 8

    package static func format(of input: UnsafeRawBufferPointer) -> Format {
        if input.starts(with: [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]) { return .xz }
        if input.starts(with: [0x1f, 0x8b]) { return .gzip }
        if input.starts(with: [0x28, 0xb5, 0x2f, 0xfd]) { return .zstd }
        let isSkippable = input.count >= 4 && input[0] & 0xf0 == 0x50
        if isSkippable, input.dropFirst().starts(with: [0x2a, 0x4d, 0x18]) { return .zstd }
        return .none
    }

    /// The whole output, at most `limit` bytes; one above some 32 MiB lies in an unlinked file in
    /// `spoolFolder`. Throws `corruptArchive` for damage, a cut-off end and an output over the limit,
    /// `diskFull` where it is. `consumed` is told how much of an xz input is not looked at again.
    package static func decompress(
        _ input: UnsafeRawBufferPointer, limit: Int, spoolFolder: String, consumed: (Int) -> Void = { _ in }
    ) throws -> MappedBytes {
        switch format(of: input) {
        case .xz:
            var spool = try Spool(limit: limit, folder: spoolFolder)
            try decodeXZ(input, into: &spool, consumed)
            return try spool.finish()
        case .zstd:
            var spool = try Spool(limit: limit, folder: spoolFolder)
            try decodeZstd(input, into: &spool)
            return try spool.finish()
        case .gzip:
            return try GzipDecoder.decode(input, limit: limit, spoolFolder: spoolFolder)
        case .none:
            if input.starts(with: "BZh".utf8) || input.starts(with: [0x5d, 0, 0]) {
                throw Failure(
                    .corruptArchive, "it is packed with bzip2 or lzma, which is not read",
                    suggestion: "pack it with xz, zstd or gzip")
            }
            var spool = try Spool(limit: limit, folder: spoolFolder)
            try spool.append(input)
            return try spool.finish()
        }
    }

    static func damaged(_ format: Format, _ why: String) -> Failure {
        Failure(
            .corruptArchive, "the \(format.rawValue) data is damaged: \(why)",
            suggestion: "fetch or make the file again")
    }

    private static func decodeXZ(
        _ input: UnsafeRawBufferPointer, into spool: inout Spool, _ consumed: (Int) -> Void
    ) throws {
        var stream = lzma_stream()
        guard lzma_stream_decoder(&stream, xzMemoryLimit, concatenated) == LZMA_OK else {
            throw Failure(.internalError, "no memory for unpacking xz")
        }
        defer { lzma_end(&stream) }
        stream.next_in = input.bindMemory(to: UInt8.self).baseAddress
        stream.avail_in = input.count
        while true {
            let room = try spool.room()
            stream.next_out = room.bindMemory(to: UInt8.self).baseAddress
            stream.avail_out = room.count
            let status = lzma_code(&stream, LZMA_FINISH)
            try spool.commit(room.count - stream.avail_out)
            consumed(input.count - stream.avail_in)
            switch status {
            case LZMA_OK: continue
            case LZMA_STREAM_END: return
            case LZMA_MEMLIMIT_ERROR: throw damaged(.xz, "it asks for too much memory")
            case LZMA_BUF_ERROR: throw damaged(.xz, "it is cut off")
            default: throw damaged(.xz, "decoding ended with status \(status.rawValue)")
            }
        }
    }

    private static func decodeZstd(_ input: UnsafeRawBufferPointer, into spool: inout Spool) throws {
        guard let context = ZSTD_createDCtx() else {
            throw Failure(.internalError, "no memory for unpacking zstd")
        }
        defer { ZSTD_freeDCtx(context) }
        var source = ZSTD_inBuffer(src: input.baseAddress, size: input.count, pos: 0)
        while true {
            let room = try spool.room()
            var target = ZSTD_outBuffer(dst: room.baseAddress, size: room.count, pos: 0)
            let before = source.pos
            let status = ZSTD_decompressStream(context, &target, &source)
            if ZSTD_isError(status) != 0 {
                throw damaged(.zstd, String(cString: ZSTD_getErrorName(status)))
            }
            try spool.commit(target.pos)
            // Zero: a frame ended and all of it came out.
            if source.pos == source.size, status == 0 { return }
            if source.pos == before, target.pos == 0 { throw damaged(.zstd, "it is cut off") }
        }
    }
}
