import ImageFormat

/// Expansion of words (POSIX, section 2.6), where nil is a word that cannot be known.
extension ScriptEvaluator {
    /// The fields that a word becomes: split where it is not quoted, file names put in for patterns.
    mutating func expand(_ word: ShellWord) -> [String?] {
        if word.parts.count == 1, case .variable("@", _, isQuoted: true) = word.parts[0] { return arguments }
        if word.parts.count == 1, case .variable("@", _, isQuoted: false) = word.parts[0] { return arguments }
        var fields: [String?] = []
        var current: String? = ""
        var hasField = false
        var mayGlob = false
        for part in word.parts {
            let (text, isQuoted) = value(of: part)
            guard let text else {
                current = nil
                hasField = true
                continue
            }
            if isQuoted {
                hasField = true
                current = current.map { $0 + ShellPattern.escape(text) }
            } else if case .text = part {
                hasField = true
                mayGlob = mayGlob || ShellPattern.isPattern(text)
                current = current.map { $0 + text }
            } else {
                let pieces = text.split(whereSeparator: { $0.isWhitespace })
                if let first = text.first, first.isWhitespace, hasField {
                    fields.append(current)
                    (current, hasField) = ("", false)
                }
                for (index, piece) in pieces.enumerated() {
                    if index > 0 {
                        fields.append(current)
                        current = ""
                    }
                    mayGlob = mayGlob || ShellPattern.isPattern(String(piece))
                    current = current.map { $0 + piece }
                    hasField = true
                }
                if pieces.count > 0, let last = text.last, last.isWhitespace {
                    fields.append(current)
                    (current, hasField) = ("", false)
                }
            }
        }
        if hasField { fields.append(current) }
        return fields.flatMap { field -> [String?] in
            guard let field else { return [nil] }
            if mayGlob, let found = glob(field) { return found }
            return [ScriptEvaluator.unescape(field)]
        }
    }

    /// The word as one text, unsplit; as a pattern, quoted characters are marked to mean themselves.
    mutating func join(_ word: ShellWord, isPattern: Bool = false) -> String? {
        var result = ""
        for part in word.parts {
            let (text, isQuoted) = value(of: part)
            guard let text else { return nil }
            result += isPattern && isQuoted ? ShellPattern.escape(text) : text
        }
        return result
    }

    private static func unescape(_ text: String) -> String {
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

    private mutating func value(of part: ShellWord.Part) -> (text: String?, isQuoted: Bool) {
        switch part {
        case .text(let text, let isQuoted): return (text, isQuoted)
        case .arithmetic: return (nil, true)
        case .variable(let name, let operation, let isQuoted):
            return (variable(name, operation), isQuoted)
        case .command(let script, let isQuoted):
            guard let node = try? ShellParser.parse(script) else { return (nil, isQuoted) }
            let before = (variables, functions, flow, outerLine, currentLine)
            outerLine = outerLine ?? currentLine
            let result = capture { $0.evaluate(node) }
            (variables, functions, flow, outerLine, currentLine) = before
            var text = result.text
            while text?.last == "\n" { text?.removeLast() }
            return (text, isQuoted)
        }
    }

    private mutating func variable(_ name: String, _ operation: String) -> String? {
        var value: String?? = .none
        if let position = Int(name) {
            if position == 0 {
                value = .some("/script")
            } else if arguments.indices.contains(position - 1) {
                value = .some(arguments[position - 1])
            }
        } else {
            switch name {
            case "#": value = .some(String(arguments.count))
            case "@", "*":
                let known = arguments.compactMap { $0 }
                value = .some(known.count == arguments.count ? known.joined(separator: " ") : nil)
            case "?", "$", "!", "-", "PATH", "HOME", "IFS": value = .some(nil)
            default: value = variables[name]
            }
        }
        return apply(operation, to: value, name: name)
    }

    /// `${name:-word}` and its kin; `value` is absent where the variable is not set.
    private mutating func apply(_ operation: String, to value: String??, name: String) -> String? {
        guard !operation.isEmpty else { return value ?? "" }
        var rest = Substring(operation)
        let countsEmpty = rest.first == ":"
        if countsEmpty { rest = rest.dropFirst() }
        guard let kind = rest.popFirst() else { return nil }
        func other(_ evaluator: inout ScriptEvaluator) -> String? {
            guard let node = try? ShellParser.parse(": \"" + String(rest).filter { $0 != "\"" } + "\""),
                case .list(let nodes) = node, case .simple(let command)? = nodes.first,
                command.words.count == 2
            else { return nil }
            return evaluator.join(command.words[1])
        }
        if let known = value, known == nil { return nil }
        let text: String? = value ?? nil
        let isMissing = text == nil || (countsEmpty && text == "")
        switch kind {
        case "-": return isMissing ? other(&self) : text
        case "=":
            if isMissing {
                let new = other(&self)
                variables[name] = .some(new)
                return new
            }
            return text
        case "+": return isMissing ? "" : other(&self)
        case "?": return isMissing ? nil : text
        case "#", "%":
            guard let text else { return "" }
            let isLongest = rest.first == kind
            if isLongest { rest = rest.dropFirst() }
            guard let pattern = other(&self) else { return nil }
            return ScriptEvaluator.trim(text, pattern, fromStart: kind == "#", isLongest: isLongest)
        default: return nil
        }
    }

    private static func trim(_ text: String, _ pattern: String, fromStart: Bool, isLongest: Bool) -> String {
        let characters = Array(text)
        let counts = isLongest ? Array((0...characters.count).reversed()) : Array(0...characters.count)
        for count in counts {
            let piece = fromStart ? characters.prefix(count) : characters.suffix(count)
            if ShellPattern.matches(pattern, String(piece)) {
                return String(fromStart ? characters.dropFirst(count) : characters.dropLast(count))
            }
        }
        return text
    }

    /// The paths of the image that a pattern stands for; nil where there is none, and it stands for itself.
    private func glob(_ pattern: String) -> [String]? {
        let parts = pattern.split(separator: "/").map(String.init)
        guard pattern.hasPrefix("/") else { return nil }
        var found = [""]
        for part in parts {
            if ShellPattern.isPattern(part) {
                found = found.flatMap { folder -> [String] in
                    guard let place = effects.tree.resolve(folder) else { return [] }
                    let depth = place.isEmpty ? 0 : place.split(separator: "/").count
                    return effects.tree.paths(below: place).filter { path in
                        let name = ImagePath.name(of: path)
                        return path.split(separator: "/").count == depth + 1
                            && ShellPattern.matches(part, name)
                            && (part.hasPrefix(".") || !name.hasPrefix("."))
                    }.map { folder + "/" + ImagePath.name(of: $0) }
                }
            } else {
                found = found.map { $0 + "/" + ScriptEvaluator.unescape(part) }
            }
        }
        found = found.filter { effects.tree.find($0) != nil }
        return found.isEmpty ? nil : found
    }
}
