/// A POSIX shell script as a tree: what a maintainer script says, without running it.
indirect enum ShellNode {
    case simple(SimpleCommand)
    case pipeline([ShellNode], isNegated: Bool)
    case both(ShellNode, ShellNode)
    case either(ShellNode, ShellNode)
    case list([ShellNode])
    /// Conditions with their bodies in order, and the `else`.
    case branch([(condition: ShellNode, body: ShellNode)], otherwise: ShellNode?)
    case each(variable: String, words: [ShellWord]?, body: ShellNode)
    case loop(condition: ShellNode, isUntil: Bool, body: ShellNode)
    case match(ShellWord, [(patterns: [ShellWord], body: ShellNode)])
    case subshell(ShellNode)
    case function(name: String, body: ShellNode)
    case redirected(ShellNode, [ShellRedirection])

    struct SimpleCommand {
        var assignments: [(name: String, value: ShellWord)]
        var words: [ShellWord]
        var redirections: [ShellRedirection]
        /// Line in the script, counted from 1.
        var line: Int
    }
}

struct ShellRedirection {
    enum Kind { case input, output, append, duplicate, here }

    /// The file descriptor; nil for the usual one.
    var descriptor: Int?
    var kind: Kind
    /// The file, or the text of a here-document.
    var target: ShellWord
}

/// One word before expansion.
struct ShellWord {
    enum Part {
        case text(String, isQuoted: Bool)
        /// `$name`, or `${name<operation>word}` with the operation as it stands.
        case variable(String, operation: String, isQuoted: Bool)
        case command(String, isQuoted: Bool)
        case arithmetic(String)
    }

    var parts: [Part]

    init(_ parts: [Part] = []) { self.parts = parts }

    /// The text of a word that has no quotes and expansions: only such a one can be a keyword.
    var bareText: String? {
        guard parts.count == 1, case .text(let text, isQuoted: false) = parts[0] else { return nil }
        return text
    }
}

/// What the parser says of a script that it cannot read.
struct ShellSyntaxProblem: Error {
    var line: Int
    var message: String
}
