/// Cuts a script into words, operators and here-documents (POSIX shell command language, section 2.3).
struct ShellLexer {
    enum Token {
        case word(ShellWord)
        case symbol(String)
        case newline
        case end
    }

    private let text: [Character]
    private var offset = 0
    private(set) var line = 1
    /// Whether space stands before the last token: only `2>` is a descriptor, `2 >` is a word.
    private(set) var hasSpace = false
    /// Here-documents whose text begins after the next newline.
    private var pending: [(delimiter: String, isQuoted: Bool, stripsTabs: Bool, id: Int)] = []
    private(set) var documents: [Int: ShellWord] = [:]
    private var nextDocument = 0

    private static let symbols = ["&&", "||", ";;", "<<-", "<<", ">>", ">&", "<&", ">|", "<>"]

    init(_ script: String) { text = Array(script) }

    private var current: Character? { offset < text.count ? text[offset] : nil }

    private func follows(_ symbol: String) -> Bool {
        symbol.enumerated().allSatisfy { position, character in
            offset + position < text.count && text[offset + position] == character
        }
    }

    mutating func next() throws -> Token {
        let start = offset
        while let character = current {
            if character == " " || character == "\t" || character == "\r" {
                offset += 1
            } else if character == "\\", offset + 1 < text.count, text[offset + 1] == "\n" {
                offset += 2
                line += 1
            } else if character == "#" {
                while let other = current, other != "\n" { offset += 1 }
            } else {
                break
            }
        }
        hasSpace = offset > start
        guard let character = current else { return .end }
        if character == "\n" || character == "\r\n" {
            offset += 1
            line += 1
            try readDocuments()
            return .newline
        }
        for symbol in ShellLexer.symbols where follows(symbol) {
            offset += symbol.count
            return .symbol(symbol)
        }
        if "&|;<>(){}".contains(character) {
            // Braces are words unless they stand alone.
            let following = offset + 1 < text.count ? text[offset + 1] : "\n"
            if !"{}".contains(character) || " \t\n;".contains(following)
                || (character == "}" && following == ")")
            {
                offset += 1
                return .symbol(String(character))
            }
        }
        return .word(try word())
    }

    /// Registers a here-document and returns the number that its text will be known by.
    mutating func expectDocument(delimiter: ShellWord, stripsTabs: Bool) -> Int {
        var name = ""
        var isQuoted = false
        for case .text(let text, let quoted) in delimiter.parts {
            name += text
            isQuoted = isQuoted || quoted
        }
        nextDocument += 1
        pending.append((name, isQuoted, stripsTabs, nextDocument))
        return nextDocument
    }

    private mutating func readDocuments() throws {
        for document in pending {
            var body = ""
            while true {
                guard offset < text.count else { break }
                var row = ""
                while let character = current, character != "\n" {
                    row.append(character)
                    offset += 1
                }
                offset += 1
                line += 1
                if document.stripsTabs { row = String(row.drop { $0 == "\t" }) }
                if row == document.delimiter { break }
                body += row + "\n"
            }
            if document.isQuoted {
                documents[document.id] = ShellWord([.text(body, isQuoted: true)])
            } else {
                var inner = ShellLexer(body)
                documents[document.id] = ShellWord(try inner.quoted(until: nil))
            }
        }
        pending = []
    }

    private func problem(_ message: String) -> ShellSyntaxProblem {
        ShellSyntaxProblem(line: line, message: message)
    }

    private mutating func word() throws -> ShellWord {
        var parts: [ShellWord.Part] = []
        var plain = ""
        func flush() {
            if !plain.isEmpty { parts.append(.text(plain, isQuoted: false)) }
            plain = ""
        }
        while let character = current {
            switch character {
            case " ", "\t", "\n", "\r", "\r\n", "&", "|", ";", "<", ">", "(", ")":
                flush()
                return ShellWord(parts)
            case "\\":
                offset += 1
                guard let escaped = current else { break }
                offset += 1
                if escaped == "\n" {
                    line += 1
                } else {
                    flush()
                    parts.append(.text(String(escaped), isQuoted: true))
                }
            case "'":
                flush()
                offset += 1
                var quotedText = ""
                while let inner = current, inner != "'" {
                    if inner == "\n" { line += 1 }
                    quotedText.append(inner)
                    offset += 1
                }
                guard current == "'" else { throw problem("a quote has no end") }
                offset += 1
                parts.append(.text(quotedText, isQuoted: true))
            case "\"":
                flush()
                offset += 1
                let inner = try quoted(until: "\"")
                parts += inner.isEmpty ? [.text("", isQuoted: true)] : inner
            case "$", "`":
                if let part = try expansion(isQuoted: false) {
                    flush()
                    parts.append(part)
                } else {
                    plain.append("$")
                }
            default:
                plain.append(character)
                offset += 1
            }
        }
        flush()
        return ShellWord(parts)
    }

    /// The parts inside double quotes or an unquoted here-document, up to and with the end mark.
    private mutating func quoted(until end: Character?) throws -> [ShellWord.Part] {
        var parts: [ShellWord.Part] = []
        var plain = ""
        func flush() {
            if !plain.isEmpty { parts.append(.text(plain, isQuoted: true)) }
            plain = ""
        }
        while let character = current {
            if character == end {
                offset += 1
                flush()
                return parts
            }
            switch character {
            case "\\":
                offset += 1
                guard let escaped = current else { break }
                offset += 1
                if escaped == "\n" {
                    line += 1
                } else if "$`\"\\".contains(escaped) {
                    plain.append(escaped)
                } else {
                    plain.append("\\")
                    plain.append(escaped)
                }
            case "$", "`":
                if let part = try expansion(isQuoted: true) {
                    flush()
                    parts.append(part)
                } else {
                    plain.append("$")
                }
            default:
                if character == "\n" { line += 1 }
                plain.append(character)
                offset += 1
            }
        }
        guard end == nil else { throw problem("a quote has no end") }
        flush()
        return parts
    }

    /// A `$…` or backquoted part; nil for a dollar sign that means itself.
    private mutating func expansion(isQuoted: Bool) throws -> ShellWord.Part? {
        if current == "`" {
            offset += 1
            var inner = ""
            while let character = current, character != "`" {
                if character == "\n" { line += 1 }
                inner.append(character)
                offset += 1
            }
            guard current == "`" else { throw problem("a backquote has no end") }
            offset += 1
            return .command(inner, isQuoted: isQuoted)
        }
        offset += 1
        guard let character = current else { return nil }
        if follows("((") {
            return .arithmetic(try nested("(", ")"))
        }
        if character == "(" { return .command(try nested("(", ")"), isQuoted: isQuoted) }
        if character == "{" {
            let inner = try nested("{", "}")
            if inner.hasPrefix("#"), inner.count > 1 { return .arithmetic(inner) }
            let name = inner.prefix { $0.isLetter || $0.isNumber || $0 == "_" }
            if name.isEmpty, let first = inner.first {
                return .variable(String(first), operation: String(inner.dropFirst()), isQuoted: isQuoted)
            }
            return .variable(
                String(name), operation: String(inner.dropFirst(name.count)), isQuoted: isQuoted)
        }
        if "@*#?$!-0123456789".contains(character) {
            offset += 1
            return .variable(String(character), operation: "", isQuoted: isQuoted)
        }
        var name = ""
        while let next = current, next == "_" || (next.isASCII && (next.isLetter || next.isNumber)) {
            name.append(next)
            offset += 1
        }
        return name.isEmpty ? nil : .variable(name, operation: "", isQuoted: isQuoted)
    }

    /// The text between balanced brackets, quotes inside respected.
    private mutating func nested(_ open: Character, _ close: Character) throws -> String {
        var depth = 0
        var inner = ""
        var quote: Character?
        while let character = current {
            offset += 1
            if character == "\n" { line += 1 }
            if character == "\\", quote != "'", let escaped = current {
                inner.append(character)
                inner.append(escaped)
                offset += 1
                continue
            }
            if let mark = quote {
                if character == mark { quote = nil }
            } else if character == "'" || character == "\"" {
                quote = character
            } else if character == open {
                depth += 1
                if depth == 1 { continue }
            } else if character == close {
                depth -= 1
                if depth == 0 { return inner }
            }
            inner.append(character)
        }
        throw problem("a bracket has no end")
    }
}
