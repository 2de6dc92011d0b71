internal import CLinux
internal import Glibc
internal import Model

/// File access without Foundation's overhead: whole files, bounded reads, folders.
enum Files {
    /// Makes a folder and its parents. One that exists is fine.
    static func makeFolder(_ path: String, mode: mode_t = 0o755) throws {
        if mkdir(path, mode) == 0 || errno == EEXIST { return }
        guard errno == ENOENT, let parent = path.lastIndex(of: "/"), parent > path.startIndex else {
            throw SystemFailure.failure(errno, "cannot make the folder", at: path)
        }
        try makeFolder(String(path[..<parent]), mode: mode)
        guard mkdir(path, mode) == 0 || errno == EEXIST else {
            throw SystemFailure.failure(errno, "cannot make the folder", at: path)
        }
    }

    /// Replaces a file whole. With `durably`, it survives a crash of the host; without, a crash of this process.
    static func replace(_ path: String, with bytes: [UInt8], durably: Bool, mode: mode_t = 0o644) throws {
        let temporary = path + ".new"
        let file = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode)
        guard file >= 0 else { throw SystemFailure.failure(errno, "cannot write", at: path) }
        do {
            try write(bytes, to: file, at: path)
            if durably, fsync(file) != 0 { throw SystemFailure.failure(errno, "cannot write", at: path) }
        } catch {
            close(file)
            unlink(temporary)
            throw error
        }
        close(file)
        guard rename(temporary, path) == 0 else {
            let code = errno
            unlink(temporary)
            throw SystemFailure.failure(code, "cannot write", at: path)
        }
        if durably { syncFolder(of: path) }
    }

    static func replace(_ path: String, with text: String, durably: Bool, mode: mode_t = 0o644) throws {
        try replace(path, with: Array(text.utf8), durably: durably, mode: mode)
    }

    private static func write(_ bytes: [UInt8], to file: Int32, at path: String) throws {
        try bytes.withUnsafeBytes { buffer in
            var offset = 0
            while offset < buffer.count {
                let count = Glibc.write(file, buffer.baseAddress! + offset, buffer.count - offset)
                if count < 0, errno == EINTR { continue }
                guard count > 0 else { throw SystemFailure.failure(errno, "cannot write", at: path) }
                offset += count
            }
        }
    }

    static func sync(_ path: String) throws {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw SystemFailure.failure(errno, "cannot open", at: path) }
        defer { close(file) }
        guard fsync(file) == 0 else { throw SystemFailure.failure(errno, "cannot write", at: path) }
    }

    static func syncFolder(of path: String) {
        guard let slash = path.lastIndex(of: "/") else { return }
        try? sync(String(path[..<slash]))
    }

    /// At most `limit` bytes of a file, or nil where it cannot be read.
    static func read(_ path: String, limit: Int = 1 << 20) -> [UInt8]? {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { close(file) }
        return read(file, limit: limit)
    }

    /// What is left in an open file, at most `limit` bytes.
    static func read(_ file: Int32, limit: Int) -> [UInt8]? {
        var bytes: [UInt8] = []
        while bytes.count < limit {
            let size = min(16_384, limit - bytes.count)
            let chunk = [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
                count = max(0, Glibc.read(file, buffer.baseAddress, size))
            }
            if chunk.isEmpty { break }
            bytes += chunk
        }
        return bytes
    }

    static func text(_ path: String, limit: Int = 1 << 20) -> String? {
        read(path, limit: limit).map { String(decoding: $0, as: UTF8.self) }
    }

    /// The names in a folder, sorted; empty where it does not exist.
    ///
    /// - Parameter most: no more than so many are read, whichever come first
    static func names(in folder: String, most: Int = .max) -> [String] {
        guard let stream = opendir(folder) else { return [] }
        defer { closedir(stream) }
        var names: [String] = []
        while names.count < most, let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    /// Removes a folder and all below it, never crossing into another file system.
    static func removeTree(_ path: String) throws {
        let code = kiln_remove_tree(path)
        guard code == 0 else { throw SystemFailure.failure(code, "cannot remove", at: path) }
    }

    /// Whether something is mounted at a folder.
    static func isMountPoint(_ path: String) -> Bool {
        var own = stat()
        var parent = stat()
        guard lstat(path, &own) == 0, lstat(path + "/..", &parent) == 0 else { return false }
        return own.st_dev != parent.st_dev
    }
}

/// Failures of system calls.
enum SystemFailure {
    static func text(_ code: Int32) -> String {
        var buffer = [CChar](repeating: 0, count: 256)
        guard strerror_r(code, &buffer, buffer.count) == 0 else { return "error \(code)" }
        return buffer.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
    }

    /// A failure with the code and the advice that fit an errno.
    static func failure(_ code: Int32, _ message: String, at place: String? = nil) -> Failure {
        let whole = "\(message): \(text(code))"
        switch code {
        case ENOSPC, EDQUOT:
            return Failure(.diskFull, whole, at: place, suggestion: "free some space, then try again")
        case EACCES, EPERM:
            return Failure(.notPermitted, whole, at: place, suggestion: "run the daemon as root")
        case ENOENT: return Failure(.fileMissing, whole, at: place)
        default: return Failure(.internalError, whole, at: place)
        }
    }
}
