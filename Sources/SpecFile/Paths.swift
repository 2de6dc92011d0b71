// Paths inside an image and beside kiln.yaml.

enum SpecPath {
    /// The parts of a path without empty ones and `.`; nil when one of them is `..`.
    static func parts(_ path: String) -> [Substring]? {
        let parts = path.split(separator: "/").filter { $0 != "." }
        return parts.contains("..") ? nil : parts
    }

    /// Whether `inner` is `outer` or lies below it. Both are absolute and normal.
    static func contains(_ outer: String, _ inner: String) -> Bool {
        outer == "/" || inner == outer || inner.hasPrefix(outer + "/")
    }

    /// What is wrong with any path.
    static func fault(_ path: String) -> String? {
        if path.utf8.count > Bounds.pathBytes { return "\(Bounds.pathBytes) bytes are the most" }
        if path.unicodeScalars.contains(where: { $0.properties.generalCategory == .control }) {
            return "line breaks and control characters are not allowed in a path"
        }
        return nil
    }
}

extension Form where Value == String {
    /// An absolute path without `..`, given back without a slash at the end.
    static func absolutePath(example: String) -> Form {
        text(pattern: "^/", example: example, check: absoluteFault).map { path, _, _, _ in
            "/" + SpecPath.parts(path)!.joined(separator: "/")
        }
    }

    /// As `absolutePath`, but a slash at the end is kept: it means "into this folder".
    static func targetPath(example: String) -> Form {
        text(pattern: "^/", example: example, check: absoluteFault).map { path, _, _, _ in
            let parts = SpecPath.parts(path)!
            return "/" + parts.joined(separator: "/") + (path.hasSuffix("/") && !parts.isEmpty ? "/" : "")
        }
    }

    @Sendable private static func absoluteFault(_ path: String) -> String? {
        if let fault = SpecPath.fault(path) { return fault }
        if !path.hasPrefix("/") { return "a path that begins with / is needed" }
        return SpecPath.parts(path) == nil ? "`..` is not allowed in a path" : nil
    }

    /// A path below the folder of kiln.yaml; a slash at its end is kept.
    static func localPath(example: String) -> Form {
        text(pattern: "^[^/]", example: example) { path in
            if let fault = SpecPath.fault(path) { return fault }
            if path.isEmpty || path.hasPrefix("/") {
                return "a path relative to the folder of this file is needed"
            }
            return SpecPath.parts(path) == nil ? "it leads out of the folder of this file" : nil
        }.map { path, _, _, _ in
            let parts = SpecPath.parts(path)!
            return parts.isEmpty ? "./" : parts.joined(separator: "/") + (path.hasSuffix("/") ? "/" : "")
        }
    }
}
