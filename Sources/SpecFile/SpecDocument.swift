import Model
import Yams

/// Reads YAML into `SpecNode`s: the only place that knows the YAML library.
struct SpecDocument {
    /// Stands before the name of a key that is given again further down. A private-use character: no key has
    /// it.
    private static let repeatedMark: Unicode.Scalar = "\u{E000}"

    private var nodesLeft = Bounds.nodes
    private var problems: Problems

    /// What to do with a file that holds nothing.
    private let advice: String

    /// The document's root; nil when it cannot be read, and then `problems` says why.
    static func read(
        _ text: String, advice: String = "`kiln init` writes one to begin with", problems: inout Problems
    ) -> SpecNode? {
        guard text.utf8.count <= Bounds.documentBytes else {
            problems.add(
                "the file has \(text.utf8.count) bytes; 1 MiB is the most", line: 1,
                suggestion: "keep data out of it: name files under `files:` instead")
            return nil
        }
        if let line = lineOfAliasTooMany(in: text) {
            problems.add(
                "more than \(Bounds.aliases) YAML aliases (*name)", line: line,
                suggestion: "write the values out instead")
            return nil
        }
        var document = SpecDocument(problems: problems, advice: advice)
        defer { problems = document.problems }
        guard let root = document.compose(text) else { return nil }
        return document.node(root, line: root.mark?.line ?? 1, depth: 0)
    }

    private init(problems: Problems, advice: String) {
        self.problems = problems
        self.advice = advice
    }

    // MARK: Syntax

    private mutating func compose(_ original: String) -> Node? {
        var text = original
        var roundsLeft = min(
            Bounds.duplicateRounds, Bounds.bytesReadAgain / max(1, text.utf8.count))
        while true {
            do {
                // Without resolver rules every scalar stays the text that it was: `0644` must not become a
                // number.
                let parser = try Parser(yaml: text, resolver: .basic, encoding: .utf8)
                if let root = try parser.singleRoot() { return root }
                problems.add("the file is empty", line: 1, suggestion: advice)
                return nil
            } catch let error as YamlError {
                if case .duplicatedKeysInMapping(let names, let context) = error {
                    // The parser stops here; with the first of the two marked as repeated it reads on.
                    if roundsLeft > 0, let marked = SpecDocument.marking(names, in: text, at: context.mark) {
                        text = marked
                        roundsLeft -= 1
                        continue
                    }
                    problems.add(
                        "\(sentence(names.sorted().prefix(3).map(quoted))): a key is given twice",
                        line: max(1, context.mark.line), suggestion: "keep one of the two")
                    return nil
                }
                addSyntaxProblem(error, in: text)
                return nil
            } catch {
                problems.add(
                    "the file cannot be read: \(error)", line: 1, suggestion: "check that it is YAML")
                return nil
            }
        }
    }

    /// The text with a mark at the start of the key at `mark`; nil when there is no such plain or quoted key
    /// there.
    private static func marking(_ names: [String], in text: String, at mark: Mark) -> String? {
        var scalars = Array(text.unicodeScalars)
        var index = 0
        var line = 1
        while line < mark.line, index < scalars.count {
            if scalars[index] == "\r", index + 1 < scalars.count, scalars[index + 1] == "\n" { index += 1 }
            if ["\n", "\r", "\u{85}", "\u{2028}", "\u{2029}"].contains(scalars[index]) { line += 1 }
            index += 1
        }
        if index == 0, scalars.first == "\u{FEFF}" { index = 1 }
        index += mark.column - 1
        guard index < scalars.count else { return nil }
        if scalars[index] == "\"" || scalars[index] == "'" { index += 1 }
        let follows: (String) -> Bool = { scalars[index...].starts(with: $0.unicodeScalars) }
        guard names.contains(where: follows) else { return nil }
        scalars.insert(repeatedMark, at: index)
        var marked = String.UnicodeScalarView()
        marked.append(contentsOf: scalars)
        return String(marked)
    }

    private mutating func addSyntaxProblem(_ error: YamlError, in text: String) {
        switch error {
        case .scanner(let context, let problem, let mark, _),
            .parser(let context, let problem, let mark, _),
            .composer(let context, let problem, let mark, _):
            if problem.contains("another document") {
                problems.add(
                    "a second document begins here", line: mark.line,
                    suggestion: "keep one service per file, and remove the line `---`")
                return
            }
            let fault = SyntaxFault(problem: problem, line: text.line(mark.line))
            problems.add(
                fault.message,
                line: max(1, fault.isWhereItBegan ? context?.mark.line ?? mark.line : mark.line),
                suggestion: fault.advice)
        case .reader(_, let offset, _, _):
            let line = offset.map { 1 + text.prefix($0).count(where: \.isNewline) } ?? 1
            problems.add(
                "a character that YAML does not allow", line: line,
                suggestion: "remove it, or write it in double quotes as \\x and two digits")
        default:
            problems.add("this is not YAML", line: 1, suggestion: advice)
        }
    }

    // MARK: Aliases

    /// The line of the first alias beyond the bound. Counts what may be an alias whose anchor may exist: more
    /// rather than less, and before the parser sees the text, because it compares keys with all that they
    /// stand for.
    private static func lineOfAliasTooMany(in text: String) -> Int? {
        var anchors: Set<Substring> = []
        var aliases: [(line: Int, name: Substring)] = []
        var line = 1
        let bytes = text.utf8
        var index = bytes.startIndex
        while index < bytes.endIndex {
            let byte = bytes[index]
            bytes.formIndex(after: &index)
            if byte == 0x0a { line += 1 }
            guard byte == UInt8(ascii: "*") || byte == UInt8(ascii: "&") else { continue }
            let name = text[index...].prefix {
                $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_" || $0 == "-")
            }
            if name.isEmpty { continue }
            if byte == UInt8(ascii: "&") { anchors.insert(name) } else { aliases.append((line, name)) }
        }
        let resolvable = aliases.filter { anchors.contains($0.name) }
        return resolvable.count > Bounds.aliases ? resolvable[Bounds.aliases].line : nil
    }

    // MARK: The tree

    private mutating func node(_ node: Node, line: Int, depth: Int) -> SpecNode? {
        nodesLeft -= 1
        guard nodesLeft >= 0 else {
            if nodesLeft == -1 {
                problems.add(
                    "more than \(Bounds.nodes) values", line: line,
                    suggestion: "put folders under `files:` instead of single files")
            }
            return nil
        }
        guard depth <= Bounds.nesting else {
            problems.add(
                "more than \(Bounds.nesting) levels inside each other", line: line,
                suggestion: "a spec needs five at most")
            return nil
        }
        switch node {
        case .scalar(let scalar):
            let isPlain = scalar.style == .plain
            let isEmpty = isPlain && ["", "~", "null", "Null", "NULL"].contains(scalar.string)
            return SpecNode(
                line: scalar.string.isEmpty ? line : scalar.mark?.line ?? line,
                content: isEmpty ? .empty : .scalar(scalar.string, isQuoted: !isPlain))
        case .sequence(let sequence):
            let items = sequence.compactMap { self.node($0, line: $0.mark?.line ?? line, depth: depth + 1) }
            return SpecNode(line: line, content: .list(items))
        case .mapping(let mapping):
            return SpecNode(line: line, content: .mapping(pairs(of: mapping, line: line, depth: depth)))
        case .alias:
            return nil
        }
    }

    private mutating func pairs(of mapping: Node.Mapping, line: Int, depth: Int) -> [SpecNode.Pair] {
        var pairs: [SpecNode.Pair] = []
        var firstLines: [String: Int] = [:]
        for (key, value) in mapping {
            let keyLine = key.mark?.line ?? line
            guard case .scalar(let scalar) = key else {
                problems.add(
                    "a list or group stands where a key belongs", line: keyLine,
                    suggestion: "write `key: value`, and put text that has [ or { in quotes")
                continue
            }
            let name = String(
                String.UnicodeScalarView(
                    scalar.string.unicodeScalars.drop { $0 == SpecDocument.repeatedMark }))
            if let first = firstLines[name] {
                problems.add(
                    "\(quoted(name)) is given twice, first on line \(first)", line: keyLine,
                    suggestion: "keep one of the two")
                continue
            }
            firstLines[name] = keyLine
            // A block under a key begins a line lower; the key is where a reader looks.
            if let value = self.node(value, line: keyLine, depth: depth + 1) {
                pairs.append(SpecNode.Pair(key: name, line: keyLine, value: value))
            }
        }
        return pairs
    }
}
