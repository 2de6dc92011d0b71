import Glibc
import Model

/// Whole files and folders of the host, by plain system calls.
enum HostFiles {
    /// A system call that failed, in the words of the user.
    static func failure(_ number: Int32, _ what: String, at place: String) -> Failure {
        let text = String(cString: strerror(number))
        return switch number {
        case ENOSPC, EDQUOT:
            Failure(
                .diskFull, "\(what): \(text)", at: place,
                suggestion: "free some space on this disk; nothing half-made is left in use")
        case EACCES, EPERM, EROFS:
            Failure(.notPermitted, "\(what): \(text)", at: place, suggestion: "check the owner and the mode")
        case ENOENT, ENOTDIR: Failure(.fileMissing, "\(what): \(text)", at: place)
        default: Failure(.internalError, "\(what): \(text)", at: place)
        }
    }

    static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    /// The bytes of a regular file, at most `limit`.
    static func read(_ path: String, limit: Int) throws -> [UInt8] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure(errno, "the file cannot be opened", at: path) }
        defer { close(descriptor) }
        return try read(descriptor, limit: limit, at: path)
    }

    static func read(_ descriptor: Int32, limit: Int, at place: String) throws -> [UInt8] {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else {
            throw failure(errno, "the file cannot be read", at: place)
        }
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw Failure(.invalidArgument, "this is not a regular file", at: place)
        }
        guard Int(status.st_size) <= limit else {
            throw Failure(.invalidArgument, "the file is larger than \(limit) bytes", at: place)
        }
        var bytes: [UInt8] = []
        // One byte more than its size shows a file that grew meanwhile.
        let capacity = Int(status.st_size) + 1
        bytes = try [UInt8](unsafeUninitializedCapacity: capacity) { buffer, count in
            count = 0
            while count < capacity {
                let got = Glibc.read(descriptor, buffer.baseAddress! + count, capacity - count)
                if got < 0, errno == EINTR { continue }
                guard got >= 0 else { throw failure(errno, "the file cannot be read", at: place) }
                if got == 0 { break }
                count += got
            }
        }
        guard bytes.count < capacity else {
            throw Failure(
                .invalidArgument, "the file changed while it was read", at: place, suggestion: "try again")
        }
        return bytes
    }

    /// Gives the bytes of an open regular file in pieces, at most `limit`.
    static func readPieces(
        _ descriptor: Int32, limit: Int, at place: String, take: (UnsafeRawBufferPointer) throws -> Void
    ) throws {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else {
            throw failure(errno, "the file cannot be read", at: place)
        }
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw Failure(.invalidArgument, "this is not a regular file", at: place)
        }
        let piece = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 16)
        defer { piece.deallocate() }
        var count = 0
        while true {
            let got = Glibc.read(descriptor, piece.baseAddress, piece.count)
            if got < 0, errno == EINTR { continue }
            guard got >= 0 else { throw failure(errno, "the file cannot be read", at: place) }
            if got == 0 { return }
            count += got
            guard count <= limit else {
                throw Failure(.invalidArgument, "the file is larger than \(limit) bytes", at: place)
            }
            try take(UnsafeRawBufferPointer(rebasing: piece[..<got]))
        }
    }

    /// Replaces a file whole: a temporary beside it, fsync, rename, fsync of the folder.
    static func replace(_ path: String, with bytes: some Sequence<UInt8>) throws {
        // A name that nobody could have put a link at.
        let temporary = path + ".\(getpid())-\(UInt64.random(in: 0 ... .max)).new"
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw failure(errno, "the file cannot be written", at: path) }
        do {
            try write(Array(bytes), to: descriptor, at: path)
            guard fsync(descriptor) == 0 else { throw failure(errno, "the file cannot be written", at: path) }
            close(descriptor)
        } catch {
            close(descriptor)
            unlink(temporary)
            throw error
        }
        guard rename(temporary, path) == 0 else {
            let number = errno
            unlink(temporary)
            throw failure(number, "the file cannot be written", at: path)
        }
        let folder = open(parent(of: path), O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        if folder >= 0 {
            fsync(folder)
            close(folder)
        }
    }

    /// Writes a file that may be lost in a crash: what a tool's own folder holds.
    static func put(_ path: String, _ bytes: some Sequence<UInt8>) throws {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw failure(errno, "the file cannot be written", at: path) }
        defer { close(descriptor) }
        try write(Array(bytes), to: descriptor, at: path)
    }

    static func write(_ bytes: [UInt8], to descriptor: Int32, at place: String) throws {
        try bytes.withUnsafeBytes { buffer in
            var rest = buffer[...]
            while !rest.isEmpty {
                let piece = UnsafeRawBufferPointer(rebasing: rest)
                let count = Glibc.write(descriptor, piece.baseAddress, piece.count)
                if count < 0 {
                    if errno == EINTR { continue }
                    throw failure(errno, "the file cannot be written", at: place)
                }
                rest = rest.dropFirst(count)
            }
        }
    }

    /// Makes a folder and those above it.
    static func makeFolder(_ path: String) throws {
        if mkdir(path, 0o755) == 0 || errno == EEXIST { return }
        guard errno == ENOENT, path != parent(of: path) else {
            throw failure(errno, "the folder cannot be made", at: path)
        }
        try makeFolder(parent(of: path))
        guard mkdir(path, 0o755) == 0 || errno == EEXIST else {
            throw failure(errno, "the folder cannot be made", at: path)
        }
    }

    /// Names in a folder, sorted by their bytes, without `.` and `..`; empty where there is no such folder.
    static func names(in folder: String) -> [String] {
        guard let stream = opendir(folder) else { return [] }
        defer { closedir(stream) }
        var names: [String] = []
        while let row = readdir(stream) {
            let name = withUnsafeBytes(of: &row.pointee.d_name) { field in
                String(decoding: field.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    }

    /// What a user without privileges may still write on the disk of this path.
    static func freeBytes(_ path: String) -> Int {
        var status = statvfs()
        guard statvfs(path, &status) == 0 else { return 0 }
        return Int(clamping: status.f_bavail) * Int(clamping: status.f_frsize)
    }

    static func parent(of path: String) -> String {
        guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    static func name(of path: String) -> String {
        String(path.split(separator: "/", omittingEmptySubsequences: true).last ?? "")
    }
}
