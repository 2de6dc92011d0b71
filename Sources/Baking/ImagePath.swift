import ImageFormat
import Model

/// Paths inside an image, in the form of `TarEntry.path`: relative to its root, which is "".
enum ImagePath {
    /// Links followed on one path before it counts as a loop.
    private static let mostLinks = 40

    /// Where a path leads, by what `entry` says is there; parts that do not exist are taken as they stand. Nil for a
    /// loop of links.
    static func resolve(
        _ path: String, followLast: Bool, at entry: (String) -> TarEntry?
    ) -> String? {
        var rest = Array(path.split(separator: "/").reversed())
        var done: [Substring] = []
        var links = 0
        while let part = rest.popLast() {
            if part == "." { continue }
            if part == ".." {
                _ = done.popLast()
                continue
            }
            done.append(part)
            if rest.isEmpty, !followLast { break }
            guard let found = entry(done.joined(separator: "/")), found.kind == .symlink else { continue }
            links += 1
            guard links <= mostLinks else { return nil }
            if found.link.hasPrefix("/") { done = [] } else { done.removeLast() }
            rest += found.link.split(separator: "/").reversed().map { Substring(String($0)) }
        }
        return done.joined(separator: "/")
    }

    /// Whether a layer with this path would hide another file instead of holding this one (OCI image spec, layer.md).
    static func isWhiteout(_ path: String) -> Bool {
        path.split(separator: "/").contains { $0.hasPrefix(".wh.") }
    }

    static func whiteout(_ path: String, of name: String) -> Failure {
        Failure(
            .unsafePath, "\(name) holds \(path), a name that hides other files in an image",
            suggestion: "rename the file")
    }

    /// Whether a link leads out of a tree; `depth` is how many folders of the tree hold it.
    static func leaves(_ link: String, depth: Int) -> Bool {
        if link.hasPrefix("/") { return true }
        var depth = depth
        for part in link.split(separator: "/") where part != "." {
            depth += part == ".." ? -1 : 1
            if depth < 0 { return true }
        }
        return false
    }

    /// The folders above a path, outermost first, without the root.
    static func parents(of path: String) -> [String] {
        var parents: [String] = []
        for index in path.utf8.indices where path.utf8[index] == UInt8(ascii: "/") {
            parents.append(String(path[..<index]))
        }
        return parents
    }

    static func parent(of path: String) -> String {
        guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return "" }
        return String(path[..<slash])
    }

    static func name(of path: String) -> String {
        guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return path }
        return String(path[path.utf8.index(after: slash)...])
    }

    /// Brings a path as a script or a spec writes it into the form used here, `..` resolved by its text.
    static func normalized(_ path: String) -> String {
        var parts: [Substring] = []
        for part in path.split(separator: "/") where part != "." {
            if part == ".." { _ = parts.popLast() } else { parts.append(part) }
        }
        return parts.joined(separator: "/")
    }
}
