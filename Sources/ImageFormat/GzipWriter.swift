import CDeflate
import CLibdeflate
import Model

/// Writes one gzip member whose bytes depend on the content alone: not on how it was cut into writes, and not
/// on the host, its libraries or the time. Members joined one after the other are a valid gzip file again.
package struct GzipWriter: ~Copyable {
    /// Takes compressed bytes as they come; they are valid during the call only.
    package typealias Sink = (UnsafeRawBufferPointer) throws -> Void

    private let sink: Sink
    private let deflate: OpaquePointer?
    /// One chunk of input that is not compressed yet, and room for what comes out of it.
    private let buffer: UnsafeMutableRawBufferPointer
    private let output: UnsafeMutableRawBufferPointer
    private var pending = 0
    private var checksum: UInt32 = 0
    private var count = 0

    private static let chunk = 256 * 1024

    /// No name, no time, maximal-speed flag, unknown system (RFC 1952).
    private static let header: [UInt8] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255]

    package init(sink: @escaping Sink) throws {
        self.sink = sink
        deflate = kiln_deflate_create()
        buffer = .allocate(byteCount: GzipWriter.chunk, alignment: 16)
        output = .allocate(byteCount: kiln_deflate_bound(), alignment: 16)
        guard deflate != nil else { throw Failure(.internalError, "no memory for compressing") }
        try GzipWriter.header.withUnsafeBytes(sink)
    }

    deinit {
        kiln_deflate_destroy(deflate)
        buffer.deallocate()
        output.deallocate()
    }

    package mutating func write(_ bytes: UnsafeRawBufferPointer) throws {
        checksum = libdeflate_crc32(
            checksum, bytes.baseAddress ?? UnsafeRawPointer(buffer.baseAddress!), bytes.count)
        count += bytes.count
        var rest = bytes
        while !rest.isEmpty {
            if pending == GzipWriter.chunk { try compressPending(isLast: false) }
            // Whole chunks need no copy.
            if pending == 0, rest.count > GzipWriter.chunk {
                try compress(UnsafeRawBufferPointer(rebasing: rest[..<GzipWriter.chunk]), isLast: false)
                rest = UnsafeRawBufferPointer(rebasing: rest[GzipWriter.chunk...])
                continue
            }
            let size = min(rest.count, GzipWriter.chunk - pending)
            UnsafeMutableRawBufferPointer(rebasing: buffer[pending..<pending + size])
                .copyMemory(from: UnsafeRawBufferPointer(rebasing: rest[..<size]))
            pending += size
            rest = UnsafeRawBufferPointer(rebasing: rest[size...])
        }
    }

    package mutating func write(_ bytes: [UInt8]) throws { try bytes.withUnsafeBytes { try write($0) } }

    /// Ends the member. Nothing can be written after it.
    package consuming func finish() throws {
        try compressPending(isLast: true)
        var trailer: [UInt8] = []
        for number in [checksum, UInt32(truncatingIfNeeded: count)] {
            for shift in stride(from: 0, to: 32, by: 8) { trailer.append(UInt8(number >> shift & 0xff)) }
        }
        try trailer.withUnsafeBytes(sink)
    }

    private mutating func compressPending(isLast: Bool) throws {
        try compress(UnsafeRawBufferPointer(rebasing: buffer[..<pending]), isLast: isLast)
        pending = 0
    }

    private func compress(_ bytes: UnsafeRawBufferPointer, isLast: Bool) throws {
        let size = kiln_deflate_run(
            deflate, bytes.bindMemory(to: UInt8.self).baseAddress, bytes.count, isLast ? 1 : 0,
            output.bindMemory(to: UInt8.self).baseAddress)
        if size > 0 { try sink(UnsafeRawBufferPointer(rebasing: output[..<size])) }
    }
}
