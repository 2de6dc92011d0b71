import ImageFormat

/// Where what commands print goes, and where what they read comes from.
extension ScriptEvaluator {
    /// Runs `body` with its output going where the redirections say.
    mutating func redirected(
        _ redirections: [ShellRedirection], line: Int?, _ body: (inout ScriptEvaluator) -> Bool?
    ) -> Bool? {
        var target: String??
        var isAppending = false
        var input: String??
        for redirection in redirections {
            switch redirection.kind {
            case .here: input = .some(join(redirection.target))
            case .input: input = .some(join(redirection.target).flatMap { standardInput($0) })
            case .duplicate: if redirection.descriptor ?? 1 == 1 { target = .some("/dev/stderr") }
            case .output, .append:
                guard redirection.descriptor ?? 1 == 1 else { continue }
                target = .some(join(redirection.target))
                isAppending = redirection.kind == .append
            }
        }
        let stdin = variables["\u{0}stdin"]
        if let input { variables["\u{0}stdin"] = input }
        defer { if input != nil { variables["\u{0}stdin"] = stdin } }
        guard let target else { return body(&self) }
        let result = capture(body)
        if let path = target, path.hasPrefix("/dev/") { return result.status }
        guard let path = target.flatMap({ $0 }).flatMap(absolute), let text = result.text, doubts == 0,
            put(text, into: path, isAppending: isAppending)
        else {
            let path = target.flatMap { $0 } ?? ""
            if LeftOut.isElsewhere(path) || (isTainted && result.text == nil) { return result.status }
            if !covered.contains(where: { "> \(path)".hasPrefix($0) }) { miss(line ?? currentLine) }
            return result.status
        }
        return result.status
    }

    private mutating func put(_ text: String, into path: String, isAppending: Bool) -> Bool {
        var bytes = Array(text.utf8)
        if isAppending, effects.tree.find(path) != nil {
            guard let old = effects.tree.bytes(path) else { return false }
            bytes = old + bytes
        }
        guard bytes.count <= Limit.textBytes else { return false }
        return effects.tree.write(path, bytes, mode: 0o666 & ~umask)
    }

    /// What a command reads from a file; nil where that cannot be known.
    private func standardInput(_ path: String) -> String? {
        if path == "/dev/null" { return "" }
        guard let path = absolute(path), !path.hasPrefix("/dev/"), !path.hasPrefix("/proc/") else {
            return nil
        }
        return effects.tree.text(path)
    }

    /// A path from the root on; nil where the folder that it begins in is not known.
    func absolute(_ path: String) -> String? {
        if path.hasPrefix("/") { return path }
        guard let folder else { return nil }
        return folder == "/" ? "/" + path : folder + "/" + path
    }
}
