import ImageFormat
import Model

/// The merged /usr: `/bin`, `/sbin` and `/lib*` are links into `/usr`, and every path is written below `/usr`.
enum MergedUsr {
    static let folders = ["bin", "lib", "lib32", "lib64", "libx32", "sbin"]

    /// Links that every image has, whatever its packages hold.
    static let always: Set<String> = ["bin", "lib", "sbin"]

    /// The place of a path in a merged tree: `bin/sh` is `usr/bin/sh`.
    static func path(_ path: String) -> String {
        guard let first = path.first, first == "b" || first == "s" || first == "l" else { return path }
        let end = path.utf8.firstIndex(of: UInt8(ascii: "/")) ?? path.endIndex
        return folders.contains(String(path[..<end])) ? "usr/" + path : path
    }

    /// The links that belong into an image which has these folders.
    static func links(hasFolder: (String) -> Bool) -> [TarEntry] {
        folders.filter { always.contains($0) || hasFolder("usr/\($0)") }.map {
            TarEntry(path: $0, kind: .symlink, mode: 0o777, link: "usr/\($0)")
        }
    }

    /// Whether this entry of a package is one of the links themselves.
    static func isLink(_ entry: TarEntry) -> Bool {
        guard entry.kind == .symlink, folders.contains(entry.path) else { return false }
        return entry.link == "usr/\(entry.path)" || entry.link == "/usr/\(entry.path)"
    }
}
