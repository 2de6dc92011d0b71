internal import Glibc

/// When a file was used last, by its times. A disk that is mounted with `noatime` does not note that it is read.
enum LastUse {
    /// As exact as the kernel's own way (`relatime`): a use in this time is not noted again.
    private static let grain = 86_400

    /// Notes a use now. That it cannot be noted, on a disk that is read-only, is no failure.
    static func note(_ path: String) {
        var status = stat()
        guard lstat(path, &status) == 0, seconds(status) + grain < time(nil) else { return }
        let times = [timespec(tv_sec: 0, tv_nsec: utimeNow), timespec(tv_sec: 0, tv_nsec: utimeOmit)]
        utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW)
    }

    static func seconds(_ status: stat) -> Int { max(status.st_atim.tv_sec, status.st_mtim.tv_sec) }

    // Swift does not import these macros of <sys/stat.h>.
    private static let utimeNow = (1 << 30) - 1
    private static let utimeOmit = (1 << 30) - 2
}
