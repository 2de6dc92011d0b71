import Glibc
import Model

@testable import Baking

/// A folder of a test's own, gone when the test is.
final class TemporaryFolder: Sendable {
    let path: String

    init() throws {
        var template = Array("/tmp/kiln-baking-XXXXXX".utf8CString)
        guard let made = mkdtemp(&template) else { throw Failure(.internalError, "no temporary folder") }
        path = String(cString: made)
    }

    deinit { TemporaryFolder.remove(path) }

    /// Writes a file and the folders above it; returns its path.
    @discardableResult
    func write(_ name: String, _ text: String, mode: mode_t = 0o644) throws -> String {
        try write(name, Array(text.utf8), mode: mode)
    }

    @discardableResult
    func write(_ name: String, _ bytes: [UInt8], mode: mode_t = 0o644) throws -> String {
        let file = "\(path)/\(name)"
        try HostFiles.makeFolder(HostFiles.parent(of: file))
        try HostFiles.put(file, bytes)
        chmod(file, mode)
        return file
    }

    func link(_ name: String, to target: String) throws {
        try HostFiles.makeFolder(HostFiles.parent(of: "\(path)/\(name)"))
        guard symlink(target, "\(path)/\(name)") == 0 else { throw Failure(.internalError, "no link") }
    }

    private static func remove(_ path: String) {
        var status = stat()
        if lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR {
            for name in HostFiles.names(in: path) { remove("\(path)/\(name)") }
            rmdir(path)
        } else {
            unlink(path)
        }
    }
}

/// The failures that a piece of work ends with; empty where it succeeds.
func failures(_ body: () async throws -> Void) async -> [Failure] {
    do {
        try await body()
        return []
    } catch {
        return Failure.list(error)
    }
}
