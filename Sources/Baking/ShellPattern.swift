/// Shell patterns (POSIX, section 2.13): `*`, `?`, `[…]`, and a backslash in front of a character that means itself.
enum ShellPattern {
    static func matches(_ pattern: String, _ text: String) -> Bool {
        matches(Array(pattern)[...], Array(text)[...])
    }

    static func isPattern(_ text: String) -> Bool { text.contains { "*?[".contains($0) } }

    /// Marks the special characters of a quoted text, so that they mean themselves.
    static func escape(_ text: String) -> String {
        var result = ""
        for character in text {
            if "*?[\\".contains(character) { result.append("\\") }
            result.append(character)
        }
        return result
    }

    private static func matches(_ pattern: ArraySlice<Character>, _ text: ArraySlice<Character>) -> Bool {
        var pattern = pattern
        var text = text
        // Where to go on if the rest does not fit: after the last star, one character further.
        var retry: (pattern: ArraySlice<Character>, text: ArraySlice<Character>)?
        while true {
            if pattern.first == "*" {
                pattern = pattern.dropFirst()
                retry = (pattern, text)
                continue
            }
            if pattern.isEmpty, text.isEmpty { return true }
            if let character = text.first, let rest = step(pattern, character) {
                pattern = rest
                text = text.dropFirst()
                continue
            }
            guard let (again, from) = retry, !from.isEmpty else { return false }
            pattern = again
            text = from.dropFirst()
            retry = (again, text)
        }
    }

    /// The pattern behind one that takes this character; nil where it does not fit.
    private static func step(_ pattern: ArraySlice<Character>, _ character: Character) -> ArraySlice<
        Character
    >? {
        guard let first = pattern.first else { return nil }
        let rest = pattern.dropFirst()
        switch first {
        case "?": return rest
        case "\\":
            guard let escaped = rest.first else { return character == "\\" ? rest : nil }
            return escaped == character ? rest.dropFirst() : nil
        case "[":
            guard let end = rest.dropFirst().firstIndex(of: "]") else { return character == "[" ? rest : nil }
            var set = rest[rest.startIndex..<end]
            let isNegated = set.first == "!" || set.first == "^"
            if isNegated { set = set.dropFirst() }
            var fits = false
            while let low = set.popFirst() {
                if set.first == "-", let high = set.dropFirst().first {
                    if low <= high, (low...high).contains(character) { fits = true }
                    set = set.dropFirst(2)
                } else if low == character {
                    fits = true
                }
            }
            return fits != isNegated ? rest[(end + 1)...] : nil
        default: return first == character ? rest : nil
        }
    }

    /// A pattern without pattern characters as the text that it means.
    static func unescape(_ text: String) -> String {
        guard text.contains("\\") else { return text }
        var result = ""
        var rest = Substring(text)
        while let character = rest.popFirst() {
            if character == "\\", let next = rest.first, "*?[\\".contains(next) {
                result.append(rest.removeFirst())
            } else {
                result.append(character)
            }
        }
        return result
    }
}
