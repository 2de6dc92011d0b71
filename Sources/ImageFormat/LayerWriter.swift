import CLibdeflate
import Glibc
package import Model

/// A run of whole gzip members in a layer, which another layer can take over as it is.
package struct LayerSection: Hashable, Sendable {
    /// One gzip member: its bytes in the layer, and those that it unpacks to.
    package struct Member: Hashable, Sendable {
        package var packed: Int
        package var unpacked: Int

        package init(packed: Int, unpacked: Int) {
            self.packed = packed
            self.unpacked = unpacked
        }
    }

    /// Where it begins in the layer.
    package var offset: Int
    package var members: [Member]
    /// SHA-256 of its bytes as they stand in the layer.
    package var digest: Digest

    package var size: Int { members.reduce(0) { $0 + $1.packed } }

    package init(offset: Int, members: [Member], digest: Digest) {
        self.offset = offset
        self.members = members
        self.digest = digest
    }
}

/// Writes one image layer, a gzip-packed tar, and hashes both forms on the way.
///
/// A layer is a chain of gzip members, each of at most `memberBytes` of tar: a reader needs to hold one of them only,
/// and whole runs of them (sections) can be taken over into another layer without packing them again. Within a section
/// entries come in the order of `TarEntry.precedes`, each path once in the layer, a hard link after its target: equal
/// calls give equal bytes on every host.
package final class LayerWriter {
    /// Tar bytes in a gzip member, at most.
    package static let memberBytes = 4 << 20

    private let output: Output
    private var gzip: GzipWriter?
    private var tar = RunningDigest()
    private var lastPath: String?
    private var unpacked = 0
    private var memberStart = 0
    private var sectionStart = 0
    private var members: [LayerSection.Member] = []

    /// The file that is written; it vanishes again unless `finish` succeeds.
    private final class Output {
        var file: NewFile
        var digest = RunningDigest()
        var section = RunningDigest()

        init(path: String) throws { file = try NewFile(path: path) }

        func write(_ bytes: UnsafeRawBufferPointer) throws {
            digest.update(bytes)
            section.update(bytes)
            try file.write(bytes)
        }
    }

    /// Makes a new file of mode 0644; throws `conflict` where one exists.
    package init(path: String) throws { output = try Output(path: path) }

    /// Adds a member; only a file has content, of exactly `entry.size` bytes.
    package func append(_ entry: TarEntry, content: UnsafeRawBufferPointer) throws {
        try begin(entry, size: content.count)
        try write(content)
        try TarWriter.padding(after: content.count).withUnsafeBytes { try write($0) }
    }

    /// Adds a member whose content lies in a file; the memory of what is written is given back on the way.
    package func append(_ entry: TarEntry, content: MappedBytes, _ range: Range<Int>) throws {
        try begin(entry, size: range.count)
        for start in stride(from: range.lowerBound, to: range.upperBound, by: LayerWriter.memberBytes) {
            let part = start..<min(start + LayerWriter.memberBytes, range.upperBound)
            try content.withBytes { try write(UnsafeRawBufferPointer(rebasing: $0[part])) }
            content.forget(part)
        }
        try TarWriter.padding(after: range.count).withUnsafeBytes { try write($0) }
    }

    /// Adds a file whose content comes in pieces, exactly `entry.size` bytes in all; nothing is kept in memory. Throws
    /// `conflict` where there are more or fewer.
    package func append(
        _ entry: TarEntry, pieces: (_ take: (UnsafeRawBufferPointer) throws -> Void) throws -> Void
    ) throws {
        try begin(entry, size: entry.size)
        var rest = entry.size
        try pieces { piece in
            guard piece.count <= rest else { throw LayerWriter.changed }
            rest -= piece.count
            try write(piece)
        }
        guard rest == 0 else { throw LayerWriter.changed }
        try TarWriter.padding(after: entry.size).withUnsafeBytes { try write($0) }
    }

    private static let changed = Failure(
        .conflict, "the file changed while it was baked", suggestion: "bake again")

    private func begin(_ entry: TarEntry, size: Int) throws {
        assert(
            lastPath.map { TarEntry.precedes($0, entry.path) } ?? true, "sections are sorted, each path once")
        precondition(size == (entry.kind == .file ? entry.size : 0), "an entry states its size")
        lastPath = entry.path
        try TarWriter.header(for: entry).withUnsafeBytes { try write($0) }
    }

    package func append(_ entry: TarEntry, content: [UInt8] = []) throws {
        try content.withUnsafeBytes { try append(entry, content: $0) }
    }

    /// Ends the section: what was written since the last one can be taken over by other layers. An empty one has no
    /// members.
    @discardableResult
    package func endSection() throws -> LayerSection {
        try endMember()
        let section = LayerSection(
            offset: sectionStart, members: members, digest: output.section.digest())
        sectionStart = output.digest.count
        members = []
        output.section = RunningDigest()
        lastPath = nil
        return section
    }

    /// Takes over a section of another layer as it is packed. Throws `storeDamaged` where it is not what was written
    /// once.
    package func append(_ section: LayerSection, of layer: MappedBytes) throws {
        try endSection()
        guard section.offset >= 0, section.offset + section.size <= layer.count else {
            throw LayerWriter.damaged(section)
        }
        guard let decoder = libdeflate_alloc_decompressor() else {
            throw Failure(.internalError, "no memory for unpacking gzip")
        }
        defer { libdeflate_free_decompressor(decoder) }
        let room = UnsafeMutableRawBufferPointer.allocate(byteCount: LayerWriter.memberBytes, alignment: 16)
        defer { room.deallocate() }
        var offset = section.offset
        for member in section.members {
            try layer.withBytes { bytes in
                let packed = UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + member.packed])
                var (taken, made) = (0, 0)
                let status = libdeflate_gzip_decompress_ex(
                    decoder, packed.baseAddress, packed.count, room.baseAddress, room.count, &taken, &made)
                guard status == LIBDEFLATE_SUCCESS, taken == packed.count, made == member.unpacked else {
                    throw LayerWriter.damaged(section)
                }
                tar.update(UnsafeRawBufferPointer(rebasing: room[..<made]))
                try output.write(packed)
            }
            layer.forget(offset..<offset + member.packed)
            offset += member.packed
        }
        guard output.section.digest() == section.digest else { throw LayerWriter.damaged(section) }
        members = section.members
        memberStart = output.digest.count
        try endSection()
    }

    private static func damaged(_ section: LayerSection) -> Failure {
        Failure(
            .storeDamaged, "a part of a layer is not as it was written", at: "\(section.digest)",
            suggestion: "see what is damaged with `kiln store check`, then bake again")
    }

    /// Ends the layer and makes the file durable.
    package func finish() throws -> ImageLayer {
        try TarWriter.trailer.withUnsafeBytes { try write($0) }
        try endMember()
        try output.file.finish()
        return ImageLayer(
            digest: output.digest.digest(), size: output.digest.count, diffID: tar.digest())
    }

    private func write(_ bytes: UnsafeRawBufferPointer) throws {
        tar.update(bytes)
        var rest = bytes
        while !rest.isEmpty {
            if unpacked == LayerWriter.memberBytes { try endMember() }
            if gzip == nil {
                let output = output
                gzip = try GzipWriter { try output.write($0) }
            }
            let size = min(rest.count, LayerWriter.memberBytes - unpacked)
            try gzip?.write(UnsafeRawBufferPointer(rebasing: rest[..<size]))
            unpacked += size
            rest = UnsafeRawBufferPointer(rebasing: rest[size...])
        }
    }

    private func endMember() throws {
        guard unpacked > 0 else { return }
        try gzip.take()?.finish()
        members.append(LayerSection.Member(packed: output.digest.count - memberStart, unpacked: unpacked))
        memberStart = output.digest.count
        unpacked = 0
    }
}
