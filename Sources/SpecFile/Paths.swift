import Model

// Paths inside an image and beside kiln.yaml.

enum SpecPath {
    /// The parts of a path without empty ones and `.`; nil when one of them is `..`.
    static func parts(_ path: String) -> [Substring]? {
        let parts = path.split(separator: "/").filter { $0 != "." }
        return parts.contains("..") ? nil : parts
    }

    /// A path from a folder on, without `.`, and with `..` at its beginning only. Both are relative.
    static func joined(_ folder: String, _ path: String) -> String {
        var parts: [Substring] = []
        for part in (folder + "/" + path).split(separator: "/") where part != "." {
            if part == "..", let last = parts.last, last != ".." {
                parts.removeLast()
            } else {
                parts.append(part)
            }
        }
        return parts.joined(separator: "/")
    }

    /// The last part of a path.
    static func name(of path: String) -> String {
        path.lastIndex(of: "/").map { String(path[path.index(after: $0)...]) } ?? path
    }

    /// The folder that a path lies in; "" for a name alone.
    static func folder(of path: String) -> String {
        path.lastIndex(of: "/").map { String(path[..<$0]) } ?? ""
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

    /// A file relative to the folder of this one; it may lie above it.
    static func includePath(example: String) -> Form {
        text(pattern: "^[^/]", example: example) { path in
            if let fault = SpecPath.fault(path) { return fault }
            let isFile = !path.isEmpty && !path.hasSuffix("/") && ![".", ".."].contains(path)
            return isFile && !path.hasPrefix("/") && !path.hasSuffix("/..")
                ? nil : "a file relative to the folder of this one is needed"
        }
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

extension Form where Value == Recipe.ImageRequest {
    /// A Dockerfile below the folder of the file that names it.
    static func dockerfile(example: String) -> Form {
        Form<String>.localPath(example: example).map { path, line, label, problems in
            let place = SpecPath.joined(problems.folder(of: line), path)
            if !path.hasSuffix("/"), let request = try? Recipe.ImageRequest(dockerfile: place) {
                return request
            }
            problems.add(
                "\(label.text) is \(quoted(path)); a file without spaces and @ in its path is needed",
                line: line,
                suggestion: label.write(example))
            return nil
        }
    }
}
