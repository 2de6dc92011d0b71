internal import Foundation
internal import Model
package import Trust

/// A folder of keys: `keys.json` says which are trusted for what, each private half is a file of its own that only its
/// owner can read, and the public halves lie beside them for other tools.
package struct KeyFolder: Sendable {
    let path: String

    package init(path: String) { self.path = path }

    private var ringPath: String { path + "/keys.json" }

    /// `ci-3f2a90c1d4e5`: what the files of a key are called.
    static func fileName(_ key: TrustedKey) -> String {
        "\(key.name)-\(Digest.sha256(of: key.publicKey.der).short)"
    }

    func privatePath(_ key: TrustedKey) -> String { "\(path)/\(KeyFolder.fileName(key)).key" }
    func publicPath(_ key: TrustedKey) -> String { "\(path)/\(KeyFolder.fileName(key)).pub" }

    /// Empty where the folder holds none.
    package func ring() throws -> KeyRing {
        guard let bytes = try KeyFolder.read(ringPath, limit: KeyRing.Limit.bytes) else { return KeyRing() }
        do {
            return try KeyRing(parsing: bytes)
        } catch let failure as Failure {
            throw failure.at(ringPath)
        }
    }

    /// Changes the ring while nobody else does.
    func change<Value>(_ body: (inout KeyRing) throws -> Value) throws -> Value {
        do {
            try FileManager.default.createDirectory(
                atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        } catch {
            throw Failure(
                .notPermitted, "the folder of keys cannot be made: \(error.localizedDescription)", at: path,
                suggestion: "run as root, or name a folder of yours with --keys")
        }
        let lock = open(path + "/.lock", O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard lock >= 0 else { throw KeyFolder.failure("cannot be written", path) }
        defer { close(lock) }
        guard flock(lock, LOCK_EX) == 0 else { throw KeyFolder.failure("cannot be locked", path) }
        var ring = try ring()
        let value = try body(&ring)
        try KeyFolder.write(ring.bytes, to: ringPath, mode: 0o600)
        return value
    }

    /// Writes both halves. Before the ring: a key that no ring has is trusted by nobody.
    func store(_ file: KeyFile, for key: TrustedKey) throws {
        try KeyFolder.write(file.bytes, to: privatePath(key), mode: 0o600)
        try storePublic(key)
    }

    func storePublic(_ key: TrustedKey) throws {
        try KeyFolder.write(Array(key.publicKey.pem.utf8), to: publicPath(key), mode: 0o644)
    }

    /// The private half of a key of this folder.
    func file(of key: TrustedKey) throws -> KeyFile { try KeyFolder.keyFile(privatePath(key)) }

    /// A key file anywhere. One that is open must be closed to others by its mode.
    static func keyFile(_ path: String) throws -> KeyFile {
        guard let bytes = try read(path, limit: KeyFile.Limit.bytes) else {
            throw Failure(.fileMissing, "there is no such key file", at: path)
        }
        do {
            let file = try KeyFile(parsing: bytes)
            var status = stat()
            if !file.isSealed, stat(path, &status) == 0, status.st_mode & 0o077 != 0 {
                throw Failure(
                    .notPermitted, "this key has no passphrase, and others can read it",
                    suggestion: "chmod 600 \(path), and rotate the key if others are not to be trusted")
            }
            return file
        } catch let failure as Failure {
            throw failure.at(path)
        }
    }

    /// nil only where there is no such file: a link that leads nowhere, or a folder that cannot be looked into, is a
    /// failure. Whoever puts something here that is no file cannot make its reader wait.
    static func read(_ path: String, limit: Int) throws -> [UInt8]? {
        let opened = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard opened >= 0 else {
            guard errno == ENOENT else { throw failure("cannot be read", path) }
            var status = stat()
            if lstat(path, &status) != 0, errno == ENOENT { return nil }
            throw Failure(.fileMissing, "this link leads to no file", at: path)
        }
        let file = FileHandle(fileDescriptor: opened, closeOnDealloc: true)
        var status = stat()
        guard fstat(opened, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            throw Failure(.invalidArgument, "this is no regular file", at: path)
        }
        let data = try file.read(upToCount: limit + 1) ?? Data()
        guard data.count <= limit else {
            throw Failure(.invalidArgument, "this has more than \(limit) bytes", at: path)
        }
        return Array(data)
    }

    /// Replaces a file whole.
    static func write(_ bytes: [UInt8], to path: String, mode: mode_t) throws {
        let temporary = "\(path).\(getpid())-\(UInt64.random(in: 0 ... .max)).new"
        let file = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode)
        guard file >= 0 else { throw failure("cannot be written", path) }
        let handle = FileHandle(fileDescriptor: file, closeOnDealloc: true)
        do {
            // The mode of one that was there already, and umask, are nobody's wish.
            guard fchmod(file, mode) == 0 else { throw failure("cannot be written", path) }
            try handle.write(contentsOf: bytes)
            try handle.synchronize()
        } catch {
            unlink(temporary)
            throw error is Failure ? error : failure("cannot be written", path)
        }
        guard rename(temporary, path) == 0 else {
            let failed = failure("cannot be written", path)
            unlink(temporary)
            throw failed
        }
        let folder = open((path as NSString).deletingLastPathComponent, O_RDONLY | O_CLOEXEC)
        guard folder >= 0 else { return }
        fsync(folder)
        close(folder)
    }

    private static func failure(_ what: String, _ path: String) -> Failure {
        let text = String(cString: strerror(errno))
        return Failure(
            .notPermitted, "this \(what): \(text)", at: path,
            suggestion: "run as root, or name a folder of yours with --keys")
    }
}
