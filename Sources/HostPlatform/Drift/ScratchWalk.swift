internal import Crypto
internal import Glibc
internal import Model

/// Lists what an instance wrote to its scratch folders, with sizes and hashes. All of it is the instance's, which may go on
/// while it is read: no link is followed, no other file system entered, and everything is bounded.
struct ScratchWalk {
    /// What was found, by path.
    private(set) var files: [JSONValue] = []
    private let top: Descriptor
    private var entriesLeft = Limit.entries
    private var bytesLeft = Limit.hashedBytes

    private enum Limit {
        static let depth = 32
        static let files = 500
        /// Folders and files that are looked at, whether or not they are told.
        static let entries = 20_000
        /// Larger files are told without a hash.
        static let fileBytes = 8 << 20
        static let hashedBytes = 64 << 20
    }

    /// - Parameter root: an instance's, as the host sees it
    init(root: String) { top = Descriptor(open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) }

    /// Lists what is below one mount.
    mutating func visit(_ mount: String) {
        var folder = top
        for name in mount.split(separator: "/") {
            folder = ScratchWalk.folder(String(name), in: folder)
        }
        var info = stat()
        guard folder.number >= 0, folder.number != top.number, fstat(folder.number, &info) == 0 else {
            return
        }
        walk(folder, mount, info.st_dev, Limit.depth)
    }

    private static func folder(_ name: String, in folder: Descriptor) -> Descriptor {
        Descriptor(openat(folder.number, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC))
    }

    private mutating func walk(_ folder: Descriptor, _ path: String, _ device: dev_t, _ depth: Int) {
        guard depth > 0 else { return }
        for name in names(in: folder) where files.count < Limit.files {
            var info = stat()
            guard fstatat(folder.number, name, &info, AT_SYMLINK_NOFOLLOW) == 0, info.st_dev == device else {
                continue
            }
            let here = "\(path)/\(name)"
            switch info.st_mode & S_IFMT {
            case S_IFDIR:
                let next = ScratchWalk.folder(name, in: folder)
                guard next.number >= 0, fstat(next.number, &info) == 0, info.st_dev == device else {
                    continue
                }
                walk(next, here, device, depth - 1)
            case S_IFREG:
                var entry: [String: JSONValue] = [
                    "path": .string(here), "size": .number(Int(info.st_size)),
                    "mode": .string(String(info.st_mode & 0o7777, radix: 8)),
                ]
                entry["sha256"] = digest(of: name, in: folder).map { .string($0.hex) }
                files.append(.object(entry))
            case S_IFLNK:
                files.append(
                    .object([
                        "path": .string(here),
                        "link": .string(
                            String(
                                (ProcessFile.link("/proc/self/fd/\(folder.number)/\(name)") ?? "").prefix(
                                    Evidence.Limit.link))),
                    ]))
            default: files.append(.object(["path": .string(here)]))
            }
        }
    }

    /// Sorted, and no more than there is room for.
    private mutating func names(in folder: Descriptor) -> [String] {
        let copy = fcntl(folder.number, F_DUPFD_CLOEXEC, 0)
        guard copy >= 0 else { return [] }
        guard let stream = fdopendir(copy) else {
            close(copy)
            return []
        }
        defer { closedir(stream) }
        var names: [String] = []
        while entriesLeft > 0, let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                String(cString: UnsafeRawPointer($0).assumingMemoryBound(to: CChar.self))
            }
            if name == "." || name == ".." { continue }
            entriesLeft -= 1
            names.append(name)
        }
        return names.sorted()
    }

    /// nil where it is too large, or is no plain file any more.
    private mutating func digest(of name: String, in folder: Descriptor) -> Model.Digest? {
        let file = Descriptor(
            openat(folder.number, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC))
        var info = stat()
        guard file.number >= 0, fstat(file.number, &info) == 0, info.st_mode & S_IFMT == S_IFREG else {
            return nil
        }
        let size = Int(info.st_size)
        guard size <= min(Limit.fileBytes, bytesLeft),
            let bytes = Files.read(file.number, limit: size + 1)
        else { return nil }
        bytesLeft -= size
        return Model.Digest(bytes: SHA256.hash(data: bytes))
    }
}
