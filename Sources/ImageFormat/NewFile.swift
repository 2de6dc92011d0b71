import Glibc
import Model

/// A file that is being made under a fresh name; removed again unless it is finished.
struct NewFile: ~Copyable {
    let path: String
    private let descriptor: Int32
    private var isFinished = false

    /// Refuses a name that exists, links included.
    init(path: String, mode: mode_t = 0o644) throws {
        descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode)
        guard descriptor >= 0 else { throw Failure.system(errno, "the file cannot be made", at: path) }
        self.path = path
        // Whatever the umask says: images are read by other users too.
        fchmod(descriptor, mode)
    }

    deinit {
        close(descriptor)
        if !isFinished { unlink(path) }
    }

    func write(_ bytes: UnsafeRawBufferPointer) throws { try writeAll(bytes, to: descriptor, at: path) }

    func write(_ bytes: [UInt8]) throws { try bytes.withUnsafeBytes { try write($0) } }

    /// Makes the content durable; the name is durable once its folder is synced.
    mutating func finish() throws {
        guard fsync(descriptor) == 0 else {
            throw Failure.system(errno, "the disk refused the file", at: path)
        }
        isFinished = true
    }
}
