import Glibc
import Model

extension Failure {
    /// A system call that failed, in the words of the user: a full disk and missing rights have codes of
    /// their own.
    static func system(_ number: Int32, _ what: String, at place: String) -> Failure {
        let text = String(cString: strerror(number))
        return switch number {
        case ENOSPC, EDQUOT:
            Failure(
                .diskFull, "\(what): \(text)", at: place,
                suggestion: "free some space on this disk; nothing half-made is left in use")
        case EACCES, EPERM, EROFS:
            Failure(
                .notPermitted, "\(what): \(text)", at: place, suggestion: "check the owner, or run as root")
        case ENOENT, ENOTDIR: Failure(.fileMissing, "\(what): \(text)", at: place)
        case EEXIST: Failure(.conflict, "\(what): \(text)", at: place)
        default: Failure(.internalError, "\(what): \(text)", at: place)
        }
    }
}

/// Writes all bytes, however the kernel cuts them.
func writeAll(_ bytes: UnsafeRawBufferPointer, to descriptor: Int32, at place: String) throws {
    var rest = bytes
    while !rest.isEmpty {
        let count = write(descriptor, rest.baseAddress, rest.count)
        if count < 0 {
            if errno == EINTR { continue }
            throw Failure.system(errno, "writing failed", at: place)
        }
        rest = UnsafeRawBufferPointer(rebasing: rest[count...])
    }
}
