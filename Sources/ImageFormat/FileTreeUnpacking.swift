import CDeflate
import Glibc
import Model

extension FileTree {
    /// Writes the tree below an existing empty folder, with owners, modes, times, attributes and links; needs
    /// root.
    ///
    /// Every file is made new and relative to its open folder, so nothing outside can be written. Throws
    /// `diskFull` and others with the path; what was written by then stays for the caller to remove. `ownersFrom`:
    /// the number on this host of the tree's user and group 0, for a tree that a user namespace is made over.
    package func unpack(into folder: String, ownersFrom first: Int = 0) throws {
        let root = open(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        guard root >= 0 else { throw Failure.system(errno, "the folder cannot be opened", at: folder) }
        defer { close(root) }
        try withExtendedLifetime(layers) {
            var unpacking = Unpacking(tree: self, root: root, firstOwner: first)
            try unpacking.fill(0, descriptor: root, path: "")
        }
    }

    private struct Unpacking {
        let tree: FileTree
        let root: Int32
        let firstOwner: Int
        /// Where a file with several names was written first.
        var written: [Int: String] = [:]

        /// Writes what a folder holds, then what belongs to the folder itself: its time changes with each new
        /// name.
        mutating func fill(_ index: Int, descriptor: Int32, path: String) throws {
            let children = tree.inodes[index].children.sorted { TarEntry.precedes($0.key.text, $1.key.text) }
            for (name, child) in children {
                try make(
                    child.inode, name.text, in: descriptor,
                    path: path.isEmpty ? name.text : path + "/" + name.text)
            }
            let entry = tree.inodes[index].entry
            try check(fchown(descriptor, uid_t(firstOwner + entry.uid), gid_t(firstOwner + entry.gid)), path)
            try check(fchmod(descriptor, mode_t(entry.mode)), path)
            try setAttributes(entry, path) { kiln_set_attribute(descriptor, $0, $1.baseAddress, $1.count) }
            try setTime(entry) { futimens(descriptor, $0) }
        }

        private mutating func make(_ index: Int, _ name: String, in folder: Int32, path: String) throws {
            let inode = tree.inodes[index]
            let entry = inode.entry
            if inode.names > 1 {
                if let first = written[index] {
                    return try check(linkat(root, first, folder, name, 0), path)
                }
                written[index] = path
            }
            switch entry.kind {
            case .directory:
                try check(mkdirat(folder, name, 0o700), path)
                let descriptor = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
                try check(descriptor, path)
                defer { close(descriptor) }
                try fill(index, descriptor: descriptor, path: path)
            case .file:
                let descriptor = openat(
                    folder, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
                try check(descriptor, path)
                defer { close(descriptor) }
                try writeAll(tree.content(of: inode), to: descriptor, at: path)
                // Owner first: changing it takes set-id bits and capabilities away.
                try check(
                    fchown(descriptor, uid_t(firstOwner + entry.uid), gid_t(firstOwner + entry.gid)), path)
                try check(fchmod(descriptor, mode_t(entry.mode)), path)
                try setAttributes(entry, path) {
                    kiln_set_attribute(descriptor, $0, $1.baseAddress, $1.count)
                }
                try setTime(entry) { futimens(descriptor, $0) }
            case .symlink:
                try check(symlinkat(entry.link, folder, name), path)
                try finish(entry, name, in: folder, path, isLink: true)
            case .characterDevice, .blockDevice, .fifo:
                let type =
                    switch entry.kind {
                    case .characterDevice: S_IFCHR
                    case .blockDevice: S_IFBLK
                    default: S_IFIFO
                    }
                // As Linux packs it: twelve bits of major, twenty of minor, the minor's upper bits on top.
                let device = dev_t(
                    entry.deviceMajor << 8 | entry.deviceMinor & 0xff | (entry.deviceMinor & ~0xff) << 12)
                try check(mknodat(folder, name, type | 0o600, device), path)
                try finish(entry, name, in: folder, path, isLink: false)
            case .hardLink:
                assertionFailure("a hard link is a name and never a node")
            }
        }

        /// Owner, mode and time of what cannot be opened without acting on it.
        private func finish(
            _ entry: TarEntry, _ name: String, in folder: Int32, _ path: String, isLink: Bool
        ) throws {
            let flags = AT_SYMLINK_NOFOLLOW
            try check(
                fchownat(folder, name, uid_t(firstOwner + entry.uid), gid_t(firstOwner + entry.gid), flags),
                path)
            // It was just made here and is no link, so there is nothing to follow.
            if !isLink { try check(fchmodat(folder, name, mode_t(entry.mode), 0), path) }
            try setAttributes(entry, path) {
                kiln_set_link_attribute("/proc/self/fd/\(folder)/\(name)", $0, $1.baseAddress, $1.count)
            }
            try setTime(entry) { utimensat(folder, name, $0, flags) }
        }

        private func setAttributes(
            _ entry: TarEntry, _ path: String, _ set: (String, UnsafeRawBufferPointer) -> Int32
        ) throws {
            if entry.attributes.isEmpty { return }
            for (name, value) in entry.attributes.sorted(by: { TarEntry.precedes($0.key, $1.key) }) {
                if value.withUnsafeBytes({ set(name, $0) }) < 0 {
                    throw Failure.system(errno, "the attribute \(name) cannot be set", at: path)
                }
            }
        }

        private func setTime(_ entry: TarEntry, _ set: (UnsafePointer<timespec>) -> Int32) throws {
            let time = timespec(tv_sec: entry.modifiedAt, tv_nsec: 0)
            try check(withUnsafeTemporaryTimes(time, set), entry.path)
        }

        private func withUnsafeTemporaryTimes(
            _ time: timespec, _ body: (UnsafePointer<timespec>) -> Int32
        ) -> Int32 {
            [time, time].withUnsafeBufferPointer { body($0.baseAddress!) }
        }

        private func check(_ status: Int32, _ path: String) throws {
            if status < 0 {
                throw Failure.system(errno, "it cannot be unpacked", at: path.isEmpty ? "/" : path)
            }
        }
    }
}
