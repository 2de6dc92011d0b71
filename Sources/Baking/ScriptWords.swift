import ImageFormat

/// Expansion of words (POSIX, section 2.6), where nil is a word that cannot be known.
extension ScriptEvaluator {
    /// The fields that words become; an unknown one where they are too many, as of arguments that double in a loop.
    mutating func expand(_ words: [ShellWord]) -> [String?] {
        var fields: [String?] = []
        for word in words {
            fields += expand(word)
            guard fields.count <= Limit.words else { return [nil] }
        }
        return fields
    }

    /// Whether a value of so many bytes may be made: one that doubles in a loop would soon fill the memory.
    private mutating func mayMake(_ bytes: Int) -> Bool {
        guard bytes <= Limit.textBytes, made + bytes <= Limit.madeBytes else { return false }
        made += bytes
        return true
    }

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
            guard let text, mayMake((current?.utf8.count ?? 0) + text.utf8.count) else {
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
                let separators = variables["IFS"].map { $0 } ?? " \t\n"
                guard let separators else {
                    current = nil
                    hasField = true
                    continue
                }
                let pieces = text.split(whereSeparator: { separators.contains($0) })
                if let first = text.first, separators.contains(first), hasField {
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
                if pieces.count > 0, let last = text.last, separators.contains(last) {
                    fields.append(current)
                    (current, hasField) = ("", false)
                }
            }
        }
        if hasField { fields.append(current) }
        if case .text(let text, isQuoted: false)? = word.parts.first, text.hasPrefix("~"),
            let first = fields.first,
            let path = first.flatMap({ $0 })
        {
            fields[0] = home(path)
        }
        return fields.flatMap { field -> [String?] in
            guard let field else { return [nil] }
            if mayGlob, let found = glob(field) { return found }
            return [ShellPattern.unescape(field)]
        }
    }

    /// The word as one text, unsplit; as a pattern, quoted characters are marked to mean themselves.
    mutating func join(_ word: ShellWord, isPattern: Bool = false) -> String? {
        var result = ""
        for part in word.parts {
            let (text, isQuoted) = value(of: part)
            guard let text, mayMake(result.utf8.count + text.utf8.count) else { return nil }
            result += isPattern && isQuoted ? ShellPattern.escape(text) : text
        }
        return result
    }

    /// `~user/…` with the home of the user; nil where nobody knows it.
    private func home(_ path: String) -> String? {
        let name = String(path.dropFirst().prefix { $0 != "/" })
        let rest = path.dropFirst(1 + name.count)
        if name.isEmpty || name == "root" { return "/root" + rest }
        return effects.accounts.users[name].map { $0.home + rest }
    }

    /// `$((…))` of whole numbers: sums, products and comparisons; nil where a number is not known.
    private mutating func arithmetic(_ text: String) -> String? {
        guard !text.hasPrefix("#") else {
            return variables[String(text.dropFirst())].flatMap { $0 }.map { String($0.count) }
        }
        guard let node = try? ShellParser.parse(": \"" + text.filter { $0 != "\"" } + "\""),
            case .list(let nodes) = node, case .simple(let command)? = nodes.first, command.words.count == 2,
            let plain = join(command.words[1])
        else { return nil }
        let known = variables
        var formula = ShellArithmetic(plain) { name in known[name].flatMap { $0 }.flatMap { Int($0) } }
        return formula.value().map(String.init)
    }

    private mutating func value(of part: ShellWord.Part) -> (text: String?, isQuoted: Bool) {
        switch part {
        case .text(let text, let isQuoted): return (text, isQuoted)
        case .arithmetic(let text): return (arithmetic(text), true)
        case .variable(let name, let operation, let isQuoted):
            return (variable(name, operation), isQuoted)
        case .command(let script, let isQuoted):
            guard let node = try? ShellParser.parse(script) else { return (nil, isQuoted) }
            let before = (outerLine, currentLine)
            outerLine = outerLine ?? currentLine
            let result = capture { evaluator in evaluator.apart { $0.evaluate(node) } }
            (outerLine, currentLine) = before
            substitutionStatus = result.status
            var text = result.text
            while text?.last == "\n" { text?.removeLast() }
            return (text, isQuoted)
        }
    }

    private mutating func variable(_ name: String, _ operation: String) -> String? {
        var value: String?? = .none
        if let position = Int(name) {
            if position == 0 {
                value = .some(scriptName)
            } else if arguments.indices.contains(position - 1) {
                value = .some(arguments[position - 1])
            }
        } else {
            switch name {
            case "#": value = .some(String(arguments.count))
            case "@", "*":
                let known = arguments.compactMap { $0 }
                value = .some(known.count == arguments.count ? known.joined(separator: " ") : nil)
            case "?": value = .some(lastStatus.map { $0 ? "0" : "1" })
            case "PATH": value = .some("/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            case "HOME": value = .some("/root")
            // A number that is never two processes' at once: here there is only one.
            case "$": value = .some("1")
            case "IFS": value = variables["IFS"] ?? .some(" \t\n")
            case "!", "-": value = .some(nil)
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
        if pattern.hasPrefix("/") {
            let found = effects.tree.matches(pattern)
            return found.isEmpty ? nil : found
        }
        guard let start = absolute("") else { return nil }
        let found = effects.tree.matches(start + pattern).map { String($0.dropFirst(start.count)) }
        return found.isEmpty ? nil : found
    }
}
