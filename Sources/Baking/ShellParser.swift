/// Parses a script by the POSIX grammar, as far as maintainer scripts use it.
struct ShellParser {
    private var lexer: ShellLexer
    private var token: ShellLexer.Token = .newline
    private var line = 1
    private var depth = 0
    /// Here-documents by the number that stands in for them until their text is read.
    private static let documentMark = "\u{0}"

    private enum Limit {
        static let depth = 100
    }

    static func parse(_ script: String) throws -> ShellNode {
        var parser = ShellParser(lexer: ShellLexer(script))
        try parser.advance()
        let list = try parser.list(until: [])
        guard case .end = parser.token else { throw parser.problem("a word is out of place") }
        return parser.filled(list)
    }

    private init(lexer: ShellLexer) { self.lexer = lexer }

    private func problem(_ message: String) -> ShellSyntaxProblem {
        ShellSyntaxProblem(line: line, message: message)
    }

    private mutating func advance() throws {
        token = try lexer.next()
        line = lexer.line
    }

    private func isKeyword(_ word: String) -> Bool {
        switch token {
        case .word(let text): text.bareText == word
        case .symbol(let symbol): symbol == word
        default: false
        }
    }

    private mutating func expect(_ word: String) throws {
        guard isKeyword(word) else { throw problem("`\(word)` is missing") }
        try advance()
    }

    private mutating func skipNewlines() throws {
        while case .newline = token { try advance() }
    }

    private mutating func list(until ends: [String]) throws -> ShellNode {
        depth += 1
        defer { depth -= 1 }
        guard depth < Limit.depth else { throw problem("it is nested too deeply") }
        var nodes: [ShellNode] = []
        while true {
            while true {
                if case .newline = token {
                } else if case .symbol(";") = token {
                } else {
                    break
                }
                try advance()
            }
            if case .end = token { break }
            if ends.contains(where: isKeyword) { break }
            nodes.append(try andOr())
            switch token {
            case .newline, .symbol(";"), .symbol("&"): try advance()
            case .end: break
            default:
                guard ends.contains(where: isKeyword) else { throw problem("a word is out of place") }
            }
        }
        return .list(nodes)
    }

    private mutating func andOr() throws -> ShellNode {
        var node = try pipeline()
        while true {
            if case .symbol("&&") = token {
                try advance()
                try skipNewlines()
                node = .both(node, try pipeline())
            } else if case .symbol("||") = token {
                try advance()
                try skipNewlines()
                node = .either(node, try pipeline())
            } else {
                return node
            }
        }
    }

    private mutating func pipeline() throws -> ShellNode {
        var isNegated = false
        while isKeyword("!") {
            isNegated.toggle()
            try advance()
        }
        var nodes = [try command()]
        while case .symbol("|") = token {
            try advance()
            try skipNewlines()
            nodes.append(try command())
        }
        return nodes.count == 1 && !isNegated ? nodes[0] : .pipeline(nodes, isNegated: isNegated)
    }

    private mutating func command() throws -> ShellNode {
        var node: ShellNode
        switch token {
        case .symbol("("):
            try advance()
            node = .subshell(try list(until: [")"]))
            try expect(")")
        case .symbol("{"):
            try advance()
            node = try list(until: ["}"])
            try expect("}")
        case .word(let word):
            switch word.bareText {
            case "if": node = try branch()
            case "for": node = try each()
            case "while", "until":
                let isUntil = word.bareText == "until"
                try advance()
                let condition = try list(until: ["do"])
                node = .loop(condition: condition, isUntil: isUntil, body: try doBlock())
            case "case": node = try match()
            case "function":
                try advance()
                return try simpleOrFunction(isFunction: true)
            default: return try simpleOrFunction(isFunction: false)
            }
        default:
            return try simpleOrFunction(isFunction: false)
        }
        var redirections: [ShellRedirection] = []
        while true {
            if case .word(let word) = token, let number = word.bareText.flatMap(Int.init) {
                // A number counts only with a redirection right behind it.
                let here = self
                try advance()
                guard !lexer.hasSpace, let redirection = try redirection(descriptor: number) else {
                    self = here
                    break
                }
                redirections.append(redirection)
            } else if let redirection = try redirection(descriptor: nil) {
                redirections.append(redirection)
            } else {
                break
            }
        }
        return redirections.isEmpty ? node : .redirected(node, redirections)
    }

    private mutating func doBlock() throws -> ShellNode {
        while case .symbol(";") = token { try advance() }
        try skipNewlines()
        try expect("do")
        let body = try list(until: ["done"])
        try expect("done")
        return body
    }

    private mutating func branch() throws -> ShellNode {
        var branches: [(condition: ShellNode, body: ShellNode)] = []
        var otherwise: ShellNode?
        try advance()
        while true {
            let condition = try list(until: ["then"])
            try expect("then")
            branches.append((condition, try list(until: ["elif", "else", "fi"])))
            if isKeyword("elif") {
                try advance()
                continue
            }
            if isKeyword("else") {
                try advance()
                otherwise = try list(until: ["fi"])
            }
            try expect("fi")
            return .branch(branches, otherwise: otherwise)
        }
    }

    private mutating func each() throws -> ShellNode {
        try advance()
        guard case .word(let name) = token, let variable = name.bareText else {
            throw problem("a name is missing")
        }
        try advance()
        try skipNewlines()
        var words: [ShellWord]?
        if isKeyword("in") {
            try advance()
            words = []
            while case .word(let word) = token {
                words?.append(word)
                try advance()
            }
        }
        return .each(variable: variable, words: words, body: try doBlock())
    }

    private mutating func match() throws -> ShellNode {
        try advance()
        guard case .word(let subject) = token else { throw problem("a word is missing after `case`") }
        try advance()
        try skipNewlines()
        try expect("in")
        var rows: [(patterns: [ShellWord], body: ShellNode)] = []
        while true {
            try skipNewlines()
            if isKeyword("esac") { break }
            if case .symbol("(") = token { try advance() }
            var patterns: [ShellWord] = []
            while case .word(let pattern) = token {
                patterns.append(pattern)
                try advance()
                guard case .symbol("|") = token else { break }
                try advance()
            }
            try expect(")")
            rows.append((patterns, try list(until: [";;", "esac"])))
            if case .symbol(";;") = token { try advance() }
        }
        try expect("esac")
        return .match(subject, rows)
    }

    private mutating func simpleOrFunction(isFunction: Bool) throws -> ShellNode {
        let start = line
        var command = ShellNode.SimpleCommand(assignments: [], words: [], redirections: [], line: start)
        while true {
            if case .word(let word) = token {
                try advance()
                if let number = word.bareText.flatMap(Int.init), !lexer.hasSpace,
                    case .symbol(let symbol) = token,
                    symbol.first == "<" || symbol.first == ">"
                {
                    if let redirection = try redirection(descriptor: number) {
                        command.redirections.append(redirection)
                    }
                    continue
                }
                if command.words.isEmpty, let assignment = ShellParser.assignment(word) {
                    command.assignments.append(assignment)
                } else {
                    command.words.append(word)
                }
                let isFirst = command.words.count == 1 && command.assignments.isEmpty
                if isFirst, let name = word.bareText {
                    if case .symbol("(") = token {
                        try advance()
                        try expect(")")
                        try skipNewlines()
                        return .function(name: name, body: try self.command())
                    }
                    if isFunction {
                        try skipNewlines()
                        return .function(name: name, body: try self.command())
                    }
                }
            } else if case .symbol(let brace) = token, brace == "{" || brace == "}", !command.words.isEmpty {
                command.words.append(ShellWord([.text(brace, isQuoted: true)]))
                try advance()
            } else if let redirection = try redirection(descriptor: nil) {
                command.redirections.append(redirection)
            } else {
                break
            }
        }
        guard !command.words.isEmpty || !command.assignments.isEmpty || !command.redirections.isEmpty else {
            throw problem("a command is missing")
        }
        return .simple(command)
    }

    /// `name=value` in front of a command.
    static func assignment(_ word: ShellWord) -> (name: String, value: ShellWord)? {
        guard case .text(let text, isQuoted: false)? = word.parts.first,
            let equals = text.firstIndex(of: "="),
            equals > text.startIndex, !text.first!.isNumber,
            text[..<equals].allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_") })
        else { return nil }
        let rest = String(text[text.index(after: equals)...])
        let tail = Array(word.parts.dropFirst())
        return (
            String(text[..<equals]), ShellWord((rest.isEmpty ? [] : [.text(rest, isQuoted: false)]) + tail)
        )
    }

    private mutating func redirection(descriptor: Int?) throws -> ShellRedirection? {
        guard case .symbol(let symbol) = token, symbol.first == "<" || symbol.first == ">" else { return nil }
        try advance()
        guard case .word(let target) = token else { throw problem("a file is missing after \(symbol)") }
        if symbol.hasPrefix("<<") {
            // The text comes after this line: a mark stands for it until then. Registered before the next token is
            // read, since that may be the newline.
            let id = lexer.expectDocument(delimiter: target, stripsTabs: symbol == "<<-")
            try advance()
            let mark = ShellWord([.text(ShellParser.documentMark + String(id), isQuoted: true)])
            return ShellRedirection(descriptor: descriptor, kind: .here, target: mark)
        }
        try advance()
        let kind: ShellRedirection.Kind =
            switch symbol {
            case "<", "<>": .input
            case ">>": .append
            case ">&", "<&": .duplicate
            default: .output
            }
        return ShellRedirection(descriptor: descriptor, kind: kind, target: target)
    }
}

extension ShellParser {
    /// Puts the texts of here-documents into their places.
    private func filled(_ node: ShellNode) -> ShellNode {
        switch node {
        case .simple(var command):
            command.redirections = command.redirections.map(filled)
            return .simple(command)
        case .pipeline(let nodes, let isNegated): return .pipeline(nodes.map(filled), isNegated: isNegated)
        case .both(let left, let right): return .both(filled(left), filled(right))
        case .either(let left, let right): return .either(filled(left), filled(right))
        case .list(let nodes): return .list(nodes.map(filled))
        case .branch(let branches, let otherwise):
            return .branch(
                branches.map { (filled($0.condition), filled($0.body)) }, otherwise: otherwise.map(filled))
        case .each(let variable, let words, let body):
            return .each(variable: variable, words: words, body: filled(body))
        case .loop(let condition, let isUntil, let body):
            return .loop(condition: filled(condition), isUntil: isUntil, body: filled(body))
        case .match(let subject, let rows):
            return .match(subject, rows.map { ($0.patterns, filled($0.body)) })
        case .subshell(let body): return .subshell(filled(body))
        case .function(let name, let body): return .function(name: name, body: filled(body))
        case .redirected(let body, let redirections):
            return .redirected(filled(body), redirections.map(filled))
        }
    }

    private func filled(_ redirection: ShellRedirection) -> ShellRedirection {
        guard redirection.kind == .here, case .text(let mark, _)? = redirection.target.parts.first,
            let id = Int(mark.dropFirst()), let text = lexer.documents[id]
        else { return redirection }
        var copy = redirection
        copy.target = text
        return copy
    }
}
