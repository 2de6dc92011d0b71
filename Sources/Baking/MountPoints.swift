import ImageFormat

/// What a runtime mounts an instance's own file systems and files over. A read-only root has to have them already:
/// images of packages get them from their effects, an image below may lack them.
enum MountPoints {
    static let folders = [("dev", 0o755), ("proc", 0o555), ("run", 0o755), ("sys", 0o555), ("tmp", 0o1777)]

    /// Files that no package has and installers of whole systems write.
    static let files = [
        ("etc/hostname", ""), ("etc/hosts", "127.0.0.1\tlocalhost\n::1\tlocalhost\n"),
        ("etc/resolv.conf", ""),
    ]

    /// Whether an image below must tell of this path for `missing` to know of it.
    static func isFile(_ path: String) -> Bool { files.contains { $0.0 == path } }

    /// What an image lacks, folders first. Where its /etc is no folder it gets no files.
    static func missing(in lookup: ImageLookup) -> [(entry: TarEntry, content: [UInt8])] {
        var found = folders.filter { lookup[$0.0] == nil }.map {
            (entry: TarEntry(path: $0.0, kind: .directory, mode: $0.1), content: [UInt8]())
        }
        let etc = lookup["etc"]
        guard etc == nil || etc?.kind == .directory else { return found }
        let files = files.filter { lookup[$0.0] == nil }.map { path, text in
            let bytes = Array(text.utf8)
            return (
                entry: TarEntry(
                    path: path, kind: .file, mode: 0o644, size: bytes.count,
                    modifiedAt: FilesLayer.modificationTime(.sha256(bytes))), content: bytes
            )
        }
        if !files.isEmpty {
            found.append((etc ?? TarEntry(path: "etc", kind: .directory, mode: 0o755), []))
        }
        return found + files
    }
}
