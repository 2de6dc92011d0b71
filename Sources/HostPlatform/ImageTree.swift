internal import Glibc
internal import Model

/// Looks at the mounted tree of an image the way a process inside would see it.
struct ImageTree {
    let root: String

    struct Entry {
        var path: String
        var isFolder: Bool
        var mode: mode_t
    }

    /// As deep as the kernel follows links.
    private static let linksAtMost = 40

    /// What is at an absolute path of the image, with links followed inside the image only; nil where nothing is.
    func entry(_ path: String) -> Entry? {
        var pending = path.split(separator: "/").map(String.init).reversed() as [String]
        var done: [String] = []
        var links = 0
        while let name = pending.popLast() {
            if name == "." { continue }
            if name == ".." {
                _ = done.popLast()
                continue
            }
            let here = root + "/" + (done + [name]).joined(separator: "/")
            var info = stat()
            guard lstat(here, &info) == 0 else { return nil }
            guard info.st_mode & S_IFMT == S_IFLNK else {
                done.append(name)
                continue
            }
            links += 1
            guard links <= ImageTree.linksAtMost, let target = ProcessFile.link(here) else { return nil }
            if target.hasPrefix("/") { done = [] }
            pending += target.split(separator: "/").map(String.init).reversed()
        }
        let whole = root + "/" + done.joined(separator: "/")
        var info = stat()
        guard lstat(whole, &info) == 0 else { return nil }
        return Entry(
            path: "/" + done.joined(separator: "/"), isFolder: info.st_mode & S_IFMT == S_IFDIR,
            mode: info.st_mode & 0o7777)
    }
}
