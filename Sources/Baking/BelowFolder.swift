import Glibc
import Model

/// A folder of the user's own files, and all that lies below it.
struct BelowFolder {
    /// The spec's folder, and this one from there.
    let root: String
    let folder: String

    /// Opens a path below the folder, refusing links on the way.
    func open(_ source: String, place: String) throws -> Int32 {
        let top = folder.isEmpty ? root : root + "/" + folder
        var descriptor = Glibc.open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw HostFiles.failure(errno, "the folder cannot be read", at: top) }
        for part in source.split(separator: "/") {
            let next = openat(descriptor, String(part), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
            let number = errno
            var status = stat()
            let isLink =
                next < 0
                && fstatat(descriptor, String(part), &status, AT_SYMLINK_NOFOLLOW) == 0
                && status.st_mode & S_IFMT == S_IFLNK
            close(descriptor)
            guard next >= 0 else {
                if isLink {
                    throw Failure(
                        .unsafePath, "\(source) goes through the link \(part), which is not followed",
                        at: place,
                        suggestion: "name the file itself")
                }
                if number == ENOENT || number == ENOTDIR {
                    throw Failure(
                        .fileMissing,
                        "there is no \(source) \(folder.isEmpty ? "beside the spec" : "in \(folder)")",
                        at: place,
                        suggestion: CloseNames.question(
                            HostFiles.name(of: source),
                            among: HostFiles.names(in: top + "/" + HostFiles.parent(of: source)))
                            ?? "make the file, or mend `from`")
                }
                throw HostFiles.failure(number, "the file cannot be read", at: source)
            }
            descriptor = next
        }
        return descriptor
    }
}
