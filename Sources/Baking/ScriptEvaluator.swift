import ImageFormat
import Model

/// Follows a maintainer script through a first installation without running anything: its conditions are answered
/// from the image's files, its harmless commands skipped, its changes made in an `EffectTree`. What it does not
/// understand it names.
struct ScriptEvaluator {
    /// A line that would have mattered and was not understood.
    struct Unhandled: Hashable {
        var line: Int
        var text: String
    }

    enum Flow { case next, exit, leaveFunction, leaveLoop, nextRound }

    enum Limit {
        static let steps = 50_000
        static let depth = 60
        static let rounds = 10_000
    }

    var effects: Effects
    var unhandled: [Unhandled] = []
    /// Variables; nil for one whose value cannot be known. What is not in here is unset.
    var variables: [String: String?] = [:]
    var arguments: [String?]
    var functions: [String: ShellNode] = [:]
    /// Answers that debconf gives when nobody is asked.
    var answers: [String: String] = [:]
    var umask = 0o022
    var flow = Flow.next
    /// Above 0 inside a branch that may or may not be taken.
    var doubts = 0
    /// What commands print, innermost capture last; nil once it cannot be known.
    var captures: [String?] = []
    /// The line of the command whose words are being expanded; inside a `$(…)` that of the one around it.
    var currentLine = 1
    var outerLine: Int?
    private var steps = 0
    private var depth = 0
    private let lines: [Substring]
    /// Commands of this package that are taken care of elsewhere, by their beginnings.
    let covered: [String]

    init(script: String, arguments: [String], effects: Effects, covered: [String]) {
        self.arguments = arguments
        self.effects = effects
        self.covered = covered
        lines = script.split(separator: "\n", omittingEmptySubsequences: false)
    }

    /// Follows a whole script. `nil` for true or false stands for "cannot be known" throughout.
    static func run(
        _ script: String, arguments: [String], environment: [String: String], answers: [String: String],
        covered: [String], effects: inout Effects
    ) -> [Unhandled] {
        let first = script.prefix { $0 != "\n" }
        guard first.hasSuffix("sh") || first.contains("sh ") || !first.hasPrefix("#!") else {
            return [Unhandled(line: 1, text: String(first))]
        }
        var evaluator = ScriptEvaluator(
            script: script, arguments: arguments, effects: effects, covered: covered)
        for (name, value) in environment { evaluator.variables[name] = .some(value) }
        evaluator.answers = answers
        do {
            let node = try ShellParser.parse(script)
            _ = evaluator.evaluate(node)
        } catch let problem as ShellSyntaxProblem {
            return [Unhandled(line: problem.line, text: evaluator.source(problem.line))]
        } catch {
            return [Unhandled(line: 1, text: "\(error)")]
        }
        effects = evaluator.effects
        return evaluator.unhandled
    }

    func source(_ line: Int) -> String {
        guard lines.indices.contains(line - 1) else { return "" }
        return String(lines[line - 1].drop { $0 == " " || $0 == "\t" })
    }

    mutating func miss(_ line: Int) {
        let line = outerLine ?? line
        let entry = Unhandled(line: line, text: source(line))
        if !unhandled.contains(entry) { unhandled.append(entry) }
    }

    mutating func emit(_ text: String?) {
        guard let last = captures.indices.last else { return }
        if let text, let before = captures[last] {
            captures[last] = before + text
        } else {
            captures[last] = nil
        }
    }

    /// Evaluates and collects what is printed.
    mutating func capture(_ body: (inout ScriptEvaluator) -> Bool?) -> (status: Bool?, text: String?) {
        captures.append("")
        let status = body(&self)
        return (status, captures.removeLast())
    }

    mutating func evaluate(_ node: ShellNode) -> Bool? {
        guard flow == .next else { return nil }
        steps += 1
        depth += 1
        defer { depth -= 1 }
        guard steps < Limit.steps, depth < Limit.depth else {
            unhandled.append(Unhandled(line: 1, text: "the script is too long to follow"))
            flow = .exit
            return nil
        }
        switch node {
        case .simple(let command): return simple(command)
        case .list(let nodes):
            var status: Bool? = true
            for node in nodes where flow == .next { status = evaluate(node) }
            return status
        case .pipeline(let nodes, let isNegated):
            let status = pipeline(nodes)
            return isNegated ? status.map { !$0 } : status
        case .both(let left, let right): return shortCircuit(left, right, goesOn: true)
        case .either(let left, let right): return shortCircuit(left, right, goesOn: false)
        case .branch(let branches, let otherwise): return branch(branches[...], otherwise)
        case .each(let variable, let words, let body): return each(variable, words, body)
        case .loop(let condition, let isUntil, let body): return loop(condition, isUntil, body)
        case .match(let subject, let rows): return match(subject, rows)
        case .subshell(let body):
            let before = (variables, functions)
            let status = evaluate(body)
            (variables, functions) = before
            if flow == .exit { flow = .next }
            return status
        case .function(let name, let body):
            functions[name] = body
            return true
        case .redirected(let body, let redirections):
            return redirected(redirections, line: nil) { $0.evaluate(body) }
        }
    }

    private mutating func shortCircuit(_ left: ShellNode, _ right: ShellNode, goesOn wanted: Bool) -> Bool? {
        let first = evaluate(left)
        guard flow == .next else { return first }
        if first == wanted { return evaluate(right) }
        if first == !wanted { return first }
        let second = perhaps { $0.evaluate(right) }
        return second == !wanted ? second : nil
    }

    /// Evaluates what may not happen: it changes nothing for sure, and its variables are unknown afterwards.
    mutating func perhaps(_ body: (inout ScriptEvaluator) -> Bool?) -> Bool? {
        let before = variables
        doubts += 1
        let status = body(&self)
        doubts -= 1
        for (name, value) in variables where before[name] != .some(value) { variables[name] = .some(nil) }
        flow = .next
        return status
    }

    private mutating func branch(
        _ branches: ArraySlice<(condition: ShellNode, body: ShellNode)>, _ otherwise: ShellNode?
    ) -> Bool? {
        guard let first = branches.first else { return otherwise.map { evaluate($0) } ?? true }
        let condition = evaluate(first.condition)
        guard flow == .next else { return nil }
        switch condition {
        case true: return evaluate(first.body)
        case false: return branch(branches.dropFirst(), otherwise)
        default:
            _ = perhaps { $0.evaluate(first.body) }
            _ = perhaps { $0.branch(branches.dropFirst(), otherwise) }
            return nil
        }
    }

    private mutating func each(_ variable: String, _ words: [ShellWord]?, _ body: ShellNode) -> Bool? {
        let fields = words.map { $0.flatMap { expand($0) } } ?? arguments
        for (round, field) in fields.enumerated() {
            guard round < Limit.rounds, flow == .next else { break }
            variables[variable] = .some(field)
            if field == nil { _ = perhaps { $0.evaluate(body) } } else { _ = evaluate(body) }
            if flow == .nextRound { flow = .next }
        }
        if flow == .leaveLoop { flow = .next }
        return nil
    }

    private mutating func loop(_ condition: ShellNode, _ isUntil: Bool, _ body: ShellNode) -> Bool? {
        for _ in 0..<Limit.rounds {
            let status = evaluate(condition)
            guard flow == .next, status == !isUntil else {
                if status == nil, flow == .next { _ = perhaps { $0.evaluate(body) } }
                break
            }
            _ = evaluate(body)
            if flow == .nextRound { flow = .next }
            guard flow == .next else { break }
        }
        if flow == .leaveLoop { flow = .next }
        return nil
    }

    private mutating func match(
        _ subject: ShellWord, _ rows: [(patterns: [ShellWord], body: ShellNode)]
    ) -> Bool? {
        let value = join(subject)
        var isSure = true
        for (patterns, body) in rows {
            var fits: Bool? = false
            for pattern in patterns {
                guard let value, let text = join(pattern, isPattern: true) else {
                    fits = nil
                    continue
                }
                if ShellPattern.matches(text, value) {
                    fits = true
                    break
                }
            }
            if fits == true, isSure { return evaluate(body) }
            if fits != false {
                isSure = false
                _ = perhaps { $0.evaluate(body) }
            }
        }
        return isSure ? true : nil
    }

    private mutating func pipeline(_ nodes: [ShellNode]) -> Bool? {
        guard nodes.count > 1 else { return evaluate(nodes[0]) }
        var input: String?? = .none
        var status: Bool?
        for (index, node) in nodes.enumerated() {
            let isLast = index == nodes.count - 1
            let before = variables
            variables["\u{0}stdin"] = input ?? .some(nil)
            let result = capture { $0.evaluate(node) }
            variables = before
            if flow == .exit || flow == .leaveFunction { flow = .next }
            status = result.status
            input = .some(result.text)
            if isLast { emit(result.text) }
        }
        return status
    }

    private mutating func simple(_ command: ShellNode.SimpleCommand) -> Bool? {
        currentLine = command.line
        let fields = command.words.flatMap { expand($0) }
        let values = command.assignments.map { ($0.name, join($0.value)) }
        if fields.isEmpty {
            for (name, value) in values { variables[name] = .some(value) }
            let hasCommand = command.assignments.contains { $0.value.parts.contains { $0.isCommand } }
            return redirected(command.redirections, line: command.line) { _ in hasCommand ? nil : true }
        }
        return redirected(command.redirections, line: command.line) { evaluator in
            evaluator.call(fields, line: command.line)
        }
    }

    private mutating func call(_ fields: [String?], line: Int) -> Bool? {
        if let name = fields[0], let body = functions[name] {
            let before = arguments
            arguments = Array(fields.dropFirst())
            let status = evaluate(body)
            arguments = before
            if flow == .leaveFunction { flow = .next }
            return status
        }
        return perform(fields, line: line)
    }

    /// Runs `body` with its output going where the redirections say.
    private mutating func redirected(
        _ redirections: [ShellRedirection], line: Int?, _ body: (inout ScriptEvaluator) -> Bool?
    ) -> Bool? {
        var target: String??
        var isAppending = false
        var input: String??
        for redirection in redirections {
            switch redirection.kind {
            case .here: input = .some(join(redirection.target))
            case .input: input = .some(nil)
            case .duplicate: if redirection.descriptor ?? 1 == 1 { target = .some("/dev/stderr") }
            case .output, .append:
                guard redirection.descriptor ?? 1 == 1 else { continue }
                target = .some(join(redirection.target))
                isAppending = redirection.kind == .append
            }
        }
        let stdin = variables["\u{0}stdin"]
        if let input { variables["\u{0}stdin"] = input }
        defer { if input != nil { variables["\u{0}stdin"] = stdin } }
        guard let target else { return body(&self) }
        let result = capture(body)
        if let path = target, path.hasPrefix("/dev/") { return result.status }
        guard let path = target, let text = result.text, !isAppending, doubts == 0,
            effects.tree.write(path, Array(text.utf8), mode: 0o666 & ~umask)
        else {
            let isCovered = target.flatMap { $0 }.map { path in covered.contains { "> \(path)".hasPrefix($0) }
            }
            if isCovered != true { miss(line ?? 1) }
            return result.status
        }
        return result.status
    }
}

extension ShellWord.Part {
    fileprivate var isCommand: Bool { if case .command = self { true } else { false } }
}
