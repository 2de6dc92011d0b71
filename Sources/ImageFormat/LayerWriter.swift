import Glibc
package import Model

/// Writes one image layer, a gzip-packed tar, and hashes both forms on the way.
///
/// Entries come in the order of `TarEntry.precedes`, each path once, a hard link after its target: equal
/// calls give equal bytes on every host.
package final class LayerWriter {
    private let output: Output
    private var gzip: GzipWriter?
    private var tar = RunningDigest()
    private var lastPath: String?

    /// The file that is written; it vanishes again unless `finish` succeeds.
    private final class Output {
        var file: NewFile
        var digest = RunningDigest()

        init(path: String) throws { file = try NewFile(path: path) }

        func write(_ bytes: UnsafeRawBufferPointer) throws {
            digest.update(bytes)
            try file.write(bytes)
        }
    }

    /// Makes a new file of mode 0644; throws `conflict` where one exists.
    package init(path: String) throws {
        let output = try Output(path: path)
        self.output = output
        gzip = try GzipWriter { try output.write($0) }
    }

    /// Adds a member; only a file has content, of exactly `entry.size` bytes.
    package func append(_ entry: TarEntry, content: UnsafeRawBufferPointer) throws {
        assert(
            lastPath.map { TarEntry.precedes($0, entry.path) } ?? true, "layers are sorted, each path once")
        precondition(content.count == (entry.kind == .file ? entry.size : 0), "an entry states its size")
        lastPath = entry.path
        try TarWriter.header(for: entry).withUnsafeBytes { try write($0) }
        guard !content.isEmpty else { return }
        try write(content)
        try TarWriter.padding(after: content.count).withUnsafeBytes { try write($0) }
    }

    package func append(_ entry: TarEntry, content: [UInt8] = []) throws {
        try content.withUnsafeBytes { try append(entry, content: $0) }
    }

    /// Ends the layer and makes the file durable.
    package func finish() throws -> ImageLayer {
        try TarWriter.trailer.withUnsafeBytes { try write($0) }
        try gzip.take()?.finish()
        try output.file.finish()
        return ImageLayer(
            digest: output.digest.digest(), size: output.digest.count, diffID: tar.digest())
    }

    private func write(_ bytes: UnsafeRawBufferPointer) throws {
        tar.update(bytes)
        try gzip?.write(bytes)
    }
}
