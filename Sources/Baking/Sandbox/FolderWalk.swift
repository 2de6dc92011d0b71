import Glibc
import ImageFormat
import Model

/// Folders that something hostile wrote into: names may be no text, links lead anywhere, and folders lie deeper than a
/// path can say. Nothing is followed, and no more than a few descriptors are open at once.
enum FolderWalk {
    enum Limit {
        /// Folders inside each other that are looked into.
        static let depth = FileTree.Limit.depth
    }

    /// The names in an open folder, as the kernel has them, without `.` and `..`.
    static func names(in descriptor: Int32) -> [[CChar]] {
        // A descriptor of its own: reading moves it, and closing the stream closes it.
        let copy = openat(descriptor, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard copy >= 0, let stream = fdopendir(copy) else { return [] }
        defer { closedir(stream) }
        var names: [[CChar]] = []
        while let row = readdir(stream) {
            let name = withUnsafeBytes(of: &row.pointee.d_name) { field in
                field.prefix { $0 != 0 }.map { CChar(bitPattern: $0) } + [0]
            }
            if name != [0x2e, 0], name != [0x2e, 0x2e, 0] { names.append(name) }
        }
        return names
    }

    static func openFolder(_ name: [CChar], in parent: Int32) -> Int32 {
        openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
    }

    /// The bytes on disk of all below a folder, as deep as is looked into.
    static func bytes(below path: String) -> Int {
        func sum(_ descriptor: Int32, _ depth: Int) -> Int {
            guard descriptor >= 0 else { return 0 }
            defer { close(descriptor) }
            return names(in: descriptor).reduce(0) { total, name in
                var status = stat()
                guard fstatat(descriptor, name, &status, AT_SYMLINK_NOFOLLOW) == 0 else { return total }
                let own = total + Int(status.st_blocks) * 512
                guard status.st_mode & S_IFMT == S_IFDIR, depth < Limit.depth else { return own }
                return own + sum(openFolder(name, in: descriptor), depth + 1)
            }
        }
        return sum(open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), 0)
    }

    /// Deletes a folder with all in it. What lies deep is moved up first, so depth does not matter.
    static func remove(_ path: String) {
        let base = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        guard base >= 0 else {
            unlink(path)
            return
        }
        var open = names(in: base)
        var moved = 0
        while let name = open.popLast() {
            if unlinkat(base, name, 0) == 0 { continue }
            let folder = openFolder(name, in: base)
            guard folder >= 0 else { continue }
            for inner in names(in: folder) {
                if unlinkat(folder, inner, 0) == 0 || unlinkat(folder, inner, AT_REMOVEDIR) == 0 { continue }
                moved += 1
                let place = Array("kiln-removed-\(moved)".utf8CString)
                if renameat(folder, inner, base, place) == 0 { open.append(place) }
            }
            close(folder)
            unlinkat(base, name, AT_REMOVEDIR)
        }
        close(base)
        rmdir(path)
    }
}

extension HostFiles {
    /// Whether a path is a folder, links followed.
    static func isFolder(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }
}
