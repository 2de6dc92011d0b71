import ImageFormat

/// Other files that a script goes on in: helpers that it reads, and programs of the image that are scripts themselves.
extension ScriptEvaluator {
    /// Follows a text in the place of the current command. Nil where it cannot be read.
    mutating func evaluate(text: String) -> Bool?? {
        guard text.utf8.count <= Limit.textBytes, nesting < Limit.nesting,
            let node = try? ShellParser.parse(text)
        else { return .none }
        let place = (outerLine, currentLine)
        outerLine = outerLine ?? currentLine
        nesting += 1
        let status = evaluate(node)
        nesting -= 1
        (outerLine, currentLine) = place
        return .some(status)
    }

    /// `. FILE`: what a package of the image holds there is followed as if it stood here.
    mutating func source(_ arguments: [String?]) -> Bool?? {
        guard let file = arguments.first.flatMap({ $0 }) else { return .none }
        // The questions are answered with their defaults; the messages are for people.
        if file == "/usr/share/debconf/confmodule" || file.hasPrefix("/usr/share/dpkg/sh/") {
            return .some(true)
        }
        guard let path = absolute(file), let text = effects.tree.text(path) else { return .none }
        let before = self.arguments
        if arguments.count > 1 { self.arguments = Array(arguments.dropFirst()) }
        let status = evaluate(text: text)
        if arguments.count > 1 { self.arguments = before }
        if flow == .leaveFunction {
            flow = .next
            return .some(returned)
        }
        return status
    }

    /// Follows a program of the image that is a shell script. The outer nil: it is none.
    mutating func follow(_ name: String, _ arguments: [String?]) -> Bool?? {
        guard let path = find(program: name), let size = effects.tree.find(path)?.size,
            size <= Limit.textBytes,
            let text = effects.tree.text(path), text.hasPrefix("#!"), ScriptEvaluator.isShell(text)
        else { return .none }
        var result: Bool??
        _ = apart { evaluator in
            let before = evaluator.scriptName
            evaluator.scriptName = path
            evaluator.arguments = arguments
            evaluator.functions = [:]
            evaluator.variables = evaluator.variables.filter {
                evaluator.exported.contains($0.key) || $0.key == "\u{0}stdin"
            }
            evaluator.variables["OPTIND"] = nil
            result = evaluator.evaluate(text: text)
            if evaluator.flow == .exit { result = .some(evaluator.returned) }
            evaluator.scriptName = before
            return nil
        }
        return result
    }
}
