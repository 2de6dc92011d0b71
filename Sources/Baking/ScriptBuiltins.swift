import ImageFormat

/// The commands of the shell itself.
extension ScriptEvaluator {
    /// The outer nil: it is none of them.
    mutating func builtin(_ name: String, _ arguments: [String?], line: Int) -> Bool?? {
        switch name {
        case ":", "true", "trap", "ulimit", "setup_colors": return .some(true)
        case "cd":
            folder = arguments.isEmpty ? "/root" : arguments[0].flatMap(absolute)
            return .some(folder.map { effects.tree.find($0)?.kind == .directory } ?? nil)
        case "exec": return arguments.isEmpty ? .some(true) : .none
        case "set":
            if let end = arguments.firstIndex(of: "--") {
                self.arguments = Array(arguments[(end + 1)...])
            } else if let first = arguments.first, first.map({ !"-+".contains($0.prefix(1)) }) ?? true {
                self.arguments = arguments
            }
            return .some(true)
        case "false": return .some(false)
        case "exit", "return":
            returned = arguments.isEmpty ? lastStatus : arguments[0].flatMap { Int($0) }.map { $0 == 0 }
            flow = name == "exit" ? .exit : .leaveFunction
        case "break":
            flow = .leaveLoop
            loopsToLeave = (arguments.first ?? "1").flatMap { Int($0) } ?? 1
        case "continue": flow = .nextRound
        case "shift":
            let count = (arguments.first ?? "1").flatMap { Int($0) } ?? 1
            self.arguments.removeFirst(min(self.arguments.count, max(0, count)))
            return .some(true)
        case "unset":
            for case let argument? in arguments where !argument.hasPrefix("-") { variables[argument] = nil }
            return .some(true)
        case "umask":
            if let mask = arguments.first.flatMap({ $0 }).flatMap({ Int($0, radix: 8) }) {
                umask = mask & 0o777
            }
            return .some(true)
        case "echo", "printf":
            emit(print(name, arguments))
            return .some(true)
        case "read": return .some(read(arguments))
        case "[", "test":
            let operands = name == "[" && arguments.last == "]" ? Array(arguments.dropLast()) : arguments
            return .some(test(operands))
        case ".", "source": return source(arguments)
        case "getopts": return .some(nextOption(arguments))
        case "eval":
            guard !arguments.contains(nil) else { return .none }
            return evaluate(text: arguments.compactMap { $0 }.joined(separator: " ")).map { .some($0) }
                ?? .none
        case "alias":
            for case let argument? in arguments {
                let parts = argument.split(separator: "=", maxSplits: 1).map(String.init)
                guard parts.count == 2, let body = try? ShellParser.parse(parts[1] + " \"$@\"") else {
                    continue
                }
                functions[parts[0]] = body
            }
            return .some(true)
        default: return .none
        }
        return .some(nil)
    }

    /// `getopts OPTIONS NAME`: the next option of the arguments. Nil where one is not known.
    private mutating func nextOption(_ words: [String?]) -> Bool? {
        let known = arguments.compactMap { $0 }
        guard words.count == 2, let letters = words[0], let name = words[1], known.count == arguments.count
        else {
            return nil
        }
        let index = (variables["OPTIND"] ?? nil).flatMap { Int($0) } ?? 1
        // How far inside `-abc` it is.
        let inside = (variables["\u{0}option"] ?? nil).flatMap { Int($0) } ?? 1
        guard index >= 1, index <= known.count, known[index - 1].hasPrefix("-"),
            known[index - 1].count > inside,
            known[index - 1] != "--"
        else {
            variables[name] = .some("?")
            let isEnd = index >= 1 && index <= known.count && known[index - 1] == "--"
            variables["OPTIND"] = .some(String(isEnd ? index + 1 : index))
            return false
        }
        let word = Array(known[index - 1])
        let letter = word[inside]
        var next = inside + 1 < word.count ? (index, inside + 1) : (index + 1, 1)
        let place = letters.firstIndex(of: letter)
        let takesValue = place.map { letters[letters.index(after: $0)...].first == ":" } ?? false
        if takesValue {
            let rest = String(word[(inside + 1)...])
            let value = rest.isEmpty && index < known.count ? known[index] : rest
            variables["OPTARG"] = .some(value)
            next = (rest.isEmpty ? index + 2 : index + 1, 1)
        }
        variables[name] = .some(place == nil || letter == ":" ? "?" : String(letter))
        variables["OPTIND"] = .some(String(next.0))
        variables["\u{0}option"] = .some(String(next.1))
        return true
    }

    func print(_ name: String, _ arguments: [String?]) -> String? {
        let known = arguments.compactMap { $0 }
        guard known.count == arguments.count else { return nil }
        if name == "echo" {
            return known.first == "-n"
                ? known.dropFirst().joined(separator: " ") : known.joined(separator: " ") + "\n"
        }
        guard let format = known.first else { return "" }
        return ShellFormat.text(format, Array(known.dropFirst()))
    }

    /// `read a b`: takes a line of what the command reads. Nil where that is not known.
    private mutating func read(_ arguments: [String?]) -> Bool? {
        let names = arguments.compactMap { $0 }.filter { !$0.hasPrefix("-") }
        guard let input = variables["\u{0}stdin"] ?? nil else {
            for name in names { variables[name] = .some(nil) }
            return nil
        }
        guard !input.isEmpty else {
            for name in names { variables[name] = .some("") }
            return false
        }
        let line = input.prefix { $0 != "\n" }
        let isWhole = line.endIndex < input.endIndex
        variables["\u{0}stdin"] = .some(String(input[line.endIndex...].dropFirst()))
        let separators: String? = variables["IFS"].map { $0 } ?? " \t"
        guard let separators else {
            for name in names { variables[name] = .some(nil) }
            return isWhole
        }
        var rest = line
        func trim() { rest = rest.drop { separators.contains($0) && $0.isWhitespace } }
        for (index, name) in names.enumerated() {
            trim()
            if index == names.count - 1 {
                while let last = rest.last, separators.contains(last), last.isWhitespace { rest.removeLast() }
                variables[name] = .some(String(rest))
            } else {
                let word = rest.prefix { !separators.contains($0) }
                rest = rest.dropFirst(word.count)
                trim()
                if let first = rest.first, separators.contains(first) { rest = rest.dropFirst() }
                variables[name] = .some(String(word))
            }
        }
        return isWhole
    }
}

/// What `printf` prints, as far as scripts use it.
enum ShellFormat {
    /// The text of a format and its arguments, the format used again while arguments are left; nil for a conversion
    /// other than strings and whole numbers.
    static func text(_ format: String, _ arguments: [String]) -> String? {
        var rest = arguments[...]
        var result = ""
        repeat {
            let before = rest.count
            guard let piece = once(format, &rest) else { return nil }
            result += piece
            if rest.count == before { break }
        } while !rest.isEmpty
        return result
    }

    private static func once(_ format: String, _ arguments: inout ArraySlice<String>) -> String? {
        var result = ""
        var rest = Substring(format)
        while let character = rest.popFirst() {
            if character == "%" {
                guard let kind = rest.popFirst() else { return nil }
                switch kind {
                case "%": result.append("%")
                case "s": result += arguments.popFirst() ?? ""
                case "d", "i":
                    guard let number = Int(arguments.popFirst() ?? "0") else { return nil }
                    result += String(number)
                default: return nil
                }
            } else if character == "\\", let escaped = rest.popFirst() {
                switch escaped {
                case "n": result.append("\n")
                case "t": result.append("\t")
                case "\\", "\"", "'": result.append(escaped)
                default: return nil
                }
            } else {
                result.append(character)
            }
        }
        return result
    }
}
