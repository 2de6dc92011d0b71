import Glibc
import ImageFormat
import Model

/// What lies in a folder that scripts ran in, seen from outside. The kernel dates every change of a file's content,
/// owner or mode, and no script can set that date: two scans tell what was touched.
struct TreeScan {
    struct Row: Hashable {
        var kind: TarEntry.Kind?
        var mode: Int
        var user: Int
        var group: Int
        var size: Int
        var modified: [Int]
        var changed: [Int]
        var inode: UInt64

        /// Whether nothing of it was touched in between.
        func isUntouched(since old: Row) -> Bool { inode == old.inode && changed == old.changed }
    }

    enum Limit {
        static let entries = 500_000
        /// Bytes of all files that one package's scripts may write.
        static let content = 128 << 20
    }

    /// By path, without the root itself.
    private(set) var rows: [String: Row] = [:]
    private let root: String
    private let firstOwner: Int

    /// Throws where names are no text, folders lie too deep, or there is too much.
    init(_ root: String, firstOwner: Int) throws {
        self.root = root
        self.firstOwner = firstOwner
        let descriptor = open(root, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        guard descriptor >= 0 else { throw HostFiles.failure(errno, "the folder cannot be read", at: root) }
        defer { close(descriptor) }
        try scan(descriptor, path: "", depth: 1)
    }

    private static func refuse(_ what: String, _ path: String) -> Failure {
        Failure(.unsafePath, what, at: "/" + path)
    }

    private mutating func scan(_ descriptor: Int32, path: String, depth: Int) throws {
        guard depth <= FileTree.Limit.depth else {
            throw TreeScan.refuse("it lies more than \(FileTree.Limit.depth) folders deep", path)
        }
        for raw in FolderWalk.names(in: descriptor) {
            let bytes = raw.dropLast().map { UInt8(bitPattern: $0) }
            guard let name = String(validating: bytes, as: UTF8.self) else {
                throw TreeScan.refuse("a name in it is not UTF-8", path)
            }
            let place = path.isEmpty ? name : path + "/" + name
            guard place.utf8.count <= TarEntry.Limit.pathBytes else {
                throw TreeScan.refuse("its path is too long", path)
            }
            if name.hasPrefix(".wh.") {
                throw TreeScan.refuse("its name is that of a layer's whiteout", place)
            }
            var status = stat()
            guard fstatat(descriptor, raw, &status, AT_SYMLINK_NOFOLLOW) == 0 else { continue }
            let row = row(status)
            rows[place] = row
            guard rows.count <= Limit.entries else {
                throw TreeScan.refuse("there are more than \(Limit.entries) files", place)
            }
            guard row.kind == .directory else { continue }
            let folder = FolderWalk.openFolder(raw, in: descriptor)
            guard folder >= 0 else { throw HostFiles.failure(errno, "it cannot be read", at: "/" + place) }
            defer { close(folder) }
            try scan(folder, path: place, depth: depth + 1)
        }
    }

    private func row(_ status: stat) -> Row {
        let kind: TarEntry.Kind? =
            switch status.st_mode & S_IFMT {
            case S_IFREG: .file
            case S_IFDIR: .directory
            case S_IFLNK: .symlink
            case S_IFIFO: .fifo
            case S_IFCHR: .characterDevice
            case S_IFBLK: .blockDevice
            default: nil
            }
        return Row(
            kind: kind, mode: Int(status.st_mode) & 0o7777, user: Int(status.st_uid) - firstOwner,
            group: Int(status.st_gid) - firstOwner, size: Int(status.st_size),
            modified: [status.st_mtim.tv_sec, status.st_mtim.tv_nsec],
            changed: [status.st_ctim.tv_sec, status.st_ctim.tv_nsec], inode: UInt64(status.st_ino))
    }

    /// The content of a scanned file. Nothing runs in the folder any more, so every folder above is still one.
    func bytes(_ path: String) throws -> [UInt8] {
        let descriptor = open(root + "/" + path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
        guard descriptor >= 0 else { throw HostFiles.failure(errno, "it cannot be read", at: "/" + path) }
        defer { close(descriptor) }
        return try HostFiles.read(descriptor, limit: Limit.content, at: "/" + path)
    }

    /// The file capability of a scanned file.
    func capability(_ path: String) -> [UInt8]? {
        let descriptor = open(root + "/" + path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        return FileCapability.of(descriptor)
    }

    func link(_ path: String) throws -> String {
        var buffer = [UInt8](repeating: 0, count: TarEntry.Limit.pathBytes + 1)
        let count = buffer.withUnsafeMutableBytes {
            readlink(root + "/" + path, $0.baseAddress!.assumingMemoryBound(to: CChar.self), $0.count)
        }
        guard count > 0, let text = String(validating: buffer[..<count], as: UTF8.self) else {
            throw TreeScan.refuse("its link leads to no text", path)
        }
        return text
    }
}
