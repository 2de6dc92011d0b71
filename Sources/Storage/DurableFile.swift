internal import Glibc
internal import Model

/// File operations whose result is on disk when they return. A file is replaced whole or not at all.
package enum DurableFile {
    /// What the names end with of files that are not in place yet.
    static let unfinished = ".new"

    /// Writes `bytes` beside `path`, or to `temporary` on the same disk; flushes, renames over `path` and flushes the
    /// folder.
    package static func write(_ bytes: [UInt8], to path: String, through temporary: String? = nil) throws {
        let temporary = temporary ?? "\(path).\(getpid())-\(UInt32.random(in: 0 ... .max))\(unfinished)"
        do {
            try create(temporary, bytes)
            try move(temporary, to: path)
        } catch {
            unlink(temporary)
            throw error
        }
    }

    /// Moves a finished file to `path` on the same disk; its content and its name are both flushed.
    package static func move(_ source: String, to path: String) throws {
        try flush(source)
        guard rename(source, path) == 0 else { throw systemFailure("cannot rename to", path) }
        try flush(folder(of: path))
    }

    /// Reads a whole file of at most `limit` bytes; nil where there is none.
    package static func read(_ path: String, limit: Int) throws -> [UInt8]? {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else {
            if errno == ENOENT { return nil }
            throw systemFailure("cannot open", path)
        }
        defer { close(file) }
        var status = stat()
        guard fstat(file, &status) == 0 else { throw systemFailure("cannot read", path) }
        let size = Int(status.st_size)
        guard size <= limit else {
            throw Failure(.storeDamaged, "\(size) bytes where at most \(limit) belong", at: path)
        }
        return try [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
            while count < size {
                let got = Glibc.read(file, buffer.baseAddress! + count, size - count)
                if got < 0, errno == EINTR { continue }
                guard got >= 0 else { throw systemFailure("cannot read", path) }
                if got == 0 { break }
                count += got
            }
        }
    }

    /// Makes a folder and those above it.
    package static func makeFolder(_ path: String) throws {
        if mkdir(path, 0o755) == 0 || errno == EEXIST { return }
        guard errno == ENOENT, path != "/", !path.isEmpty else {
            throw systemFailure("cannot make folder", path)
        }
        try makeFolder(folder(of: path))
        guard mkdir(path, 0o755) == 0 || errno == EEXIST else {
            throw systemFailure("cannot make folder", path)
        }
    }

    static func folder(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    private static func create(_ path: String, _ bytes: [UInt8]) throws {
        let file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
        guard file >= 0 else { throw systemFailure("cannot create", path) }
        defer { close(file) }
        var written = 0
        while written < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.write(file, $0.baseAddress! + written, bytes.count - written)
            }
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw systemFailure("cannot write", path) }
            written += count
        }
    }

    private static func flush(_ path: String) throws {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw systemFailure("cannot open", path) }
        defer { close(file) }
        guard fsync(file) == 0 else { throw systemFailure("cannot flush", path) }
    }

    /// The failure of the system call that just set `errno`.
    static func systemFailure(_ what: String, _ path: String) -> Failure {
        let number = errno
        let text = String(cString: strerror(number))
        switch number {
        case ENOSPC, EDQUOT:
            return Failure(
                .diskFull, "\(what) this: the disk is full", at: path,
                suggestion: "free some room; nothing half-written was kept")
        case EACCES, EPERM, EROFS:
            return Failure(
                .notPermitted, "\(what) this: \(text)", at: path,
                suggestion: "run as root, or name a folder of yours with --root")
        case ENOENT: return Failure(.fileMissing, "\(what) this: \(text)", at: path)
        default: return Failure(.internalError, "\(what) this: \(text)", at: path)
        }
    }
}
