package import Model

/// A tar of nothing but names and content: no owners, no times, and of permissions whether a file is executable. The
/// same files give the same bytes.
package enum PlainTar {
    /// Makes a new file; it vanishes again where this throws.
    package static func write(_ tree: FileTree, to path: String) throws -> (digest: Digest, size: Int) {
        var file = try NewFile(path: path)
        var hash = RunningDigest()
        for (path, found) in tree.files.sorted(by: { TarEntry.precedes($0.key, $1.key) }) {
            var entry = TarEntry(path: path, kind: found.entry.kind, link: found.entry.link)
            entry.mode =
                switch entry.kind {
                case .directory: 0o755
                case .symlink: 0o777
                default: found.entry.mode & 0o100 != 0 ? 0o755 : 0o644
                }
            entry.size = found.content.count
            for bytes in [
                TarWriter.header(for: entry), Array(found.content), TarWriter.padding(after: entry.size),
            ] {
                hash.update(bytes)
                try file.write(bytes)
            }
        }
        hash.update(TarWriter.trailer)
        try file.write(TarWriter.trailer)
        try file.finish()
        return (hash.digest(), hash.count)
    }
}
