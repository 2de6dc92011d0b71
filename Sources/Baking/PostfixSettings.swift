import ImageFormat

/// `/etc/postfix/main.cf`, as `postconf` reads and edits it.
enum PostfixSettings {
    private static let file = "/etc/postfix/main.cf"

    /// `postconf -e name=value …`: a line of the name is replaced, another is added at the end. Nil for another call.
    static func edit(_ arguments: [String], in tree: inout EffectTree) -> Bool? {
        guard arguments.first == "-e" else { return nil }
        guard var text = tree.text(file) else { return false }
        for setting in arguments.dropFirst() {
            let parts = setting.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                .map { String($0).trimmed }
            guard parts.count == 2, !parts[0].isEmpty else { return nil }
            var rows: [String] = []
            var (isWritten, isInside) = (false, false)
            for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
                // Further lines of a value begin with space.
                if isInside, line.first == " " || line.first == "\t" { continue }
                isInside = name(line) == parts[0]
                if isInside, isWritten { continue }
                rows.append(isInside ? "\(parts[0]) = \(parts[1])" : String(line))
                isWritten = isWritten || isInside
            }
            if !isWritten {
                if rows.last?.isEmpty == true { rows.removeLast() }
                rows += ["\(parts[0]) = \(parts[1])", ""]
            }
            text = rows.joined(separator: "\n")
        }
        return tree.write(file, Array(text.utf8))
    }

    /// The value of a name that the file has.
    static func value(_ wanted: String, in tree: EffectTree) -> String? {
        tree.text(file)?.split(separator: "\n").last { name($0) == wanted }.map {
            String($0[$0.index(after: $0.firstIndex(of: "=") ?? $0.startIndex)...]).trimmed
        }
    }

    private static func name(_ line: Substring) -> String? {
        guard let first = line.first, !first.isWhitespace, first != "#", let end = line.firstIndex(of: "=")
        else {
            return nil
        }
        return String(line[..<end]).trimmed
    }
}

extension String {
    fileprivate var trimmed: String {
        var text = drop { $0.isWhitespace }
        while text.last?.isWhitespace == true { text.removeLast() }
        return String(text)
    }
}
