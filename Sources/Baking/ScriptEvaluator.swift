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

    /// A step that is refused because no image may hold its result.
    struct Refusal: Hashable {
        var line: Int
        var rule: StateRule
    }

    /// How a whole script went: what is in neither list was made, or means nothing in an image.
    struct Report: Equatable {
        var unhandled: [Unhandled] = []
        var refused: [Refusal] = []
    }

    enum Flow { case next, exit, leaveFunction, leaveLoop, nextRound }

    enum Limit {
        static let steps = 50_000
        static let depth = 60
        static let rounds = 10_000
        static let nesting = 12
        static let textBytes = 1 << 20
        /// Words of one command, and bytes of all values that a script makes.
        static let words = 20_000
        static let madeBytes = 256 << 20
    }

    var effects: Effects
    var report = Report()
    /// Variables; nil for one whose value cannot be known. What is not in here is unset.
    var variables: [String: String?] = [:]
    var arguments: [String?]
    /// Names of variables that programs are given too.
    var exported: Set<String> = []
    /// What `local` hid, innermost function last.
    var hidden: [[String: String??]] = []
    var functions: [String: ShellNode] = [:]
    /// Those of them that another file defines.
    var helpers: Set<String> = []
    /// What `$0` is.
    var scriptName = "/script"
    /// Where relative paths begin; nil once it cannot be known. dpkg runs scripts in the root folder.
    var folder: String? = "/"
    /// Whether the last command succeeded.
    var lastStatus: Bool?
    /// Whether the function that was just left said that it succeeded.
    var returned: Bool?
    /// Whether a branch that may have been taken left the function.
    var mayHaveLeft = false
    /// Whether what is printed comes from a refused step, so that a file of it is refused too.
    var isTainted = false
    /// How the last `$(…)` ended.
    var substitutionStatus: Bool?
    /// Programs and files being followed inside one another.
    var nesting = 0
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
    /// Bytes of the values made so far.
    var made = 0
    private var pipes = 0
    /// How many loops a `break` still has to leave.
    var loopsToLeave = 0
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
    ) -> Report {
        guard ScriptEvaluator.isShell(script) else {
            return Report(unhandled: [Unhandled(line: 1, text: String(script.prefix { $0 != "\n" }))])
        }
        var evaluator = ScriptEvaluator(
            script: script, arguments: arguments, effects: effects, covered: covered)
        for (name, value) in environment { evaluator.variables[name] = .some(value) }
        evaluator.exported = Set(environment.keys)
        evaluator.answers = answers
        do {
            let node = try ShellParser.parse(script)
            _ = evaluator.evaluate(node)
        } catch let problem as ShellSyntaxProblem {
            return Report(
                unhandled: [Unhandled(line: problem.line, text: evaluator.source(problem.line))])
        } catch {
            return Report(unhandled: [Unhandled(line: 1, text: "\(error)")])
        }
        effects = evaluator.effects
        return evaluator.report
    }

    /// Whether a script is one for a POSIX shell.
    static func isShell(_ script: String) -> Bool {
        guard script.hasPrefix("#!") else { return true }
        let words = script.prefix { $0 != "\n" }.dropFirst(2).split(separator: " ")
        return words.prefix(2).contains { ["sh", "bash", "dash"].contains(ImagePath.name(of: String($0))) }
    }

    func source(_ line: Int) -> String {
        guard lines.indices.contains(line - 1) else { return "" }
        return String(lines[line - 1].drop { $0 == " " || $0 == "\t" })
    }

    mutating func miss(_ line: Int) {
        let line = outerLine ?? line
        let entry = Unhandled(line: line, text: source(line))
        if !report.unhandled.contains(entry) { report.unhandled.append(entry) }
    }

    mutating func refuse(_ rule: StateRule, line: Int) {
        isTainted = true
        emit(nil)
        let entry = Refusal(line: outerLine ?? line, rule: rule)
        if !report.refused.contains(entry) { report.refused.append(entry) }
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
            let entry = Unhandled(line: outerLine ?? currentLine, text: "the script is too long to follow")
            if !report.unhandled.contains(entry) { report.unhandled.append(entry) }
            flow = .exit
            return nil
        }
        switch node {
        case .simple(let command):
            if pipes == 0 { isTainted = false }
            let status = simple(command)
            lastStatus = status
            return status
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
            return apart { $0.evaluate(body) }
        case .function(let name, let body):
            functions[name] = body
            // The lines of a helper's functions are not lines of this script.
            if outerLine == nil { helpers.remove(name) } else { helpers.insert(name) }
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

    /// Evaluates in a process of its own: what it sets is forgotten, what it does to files stays.
    mutating func apart(_ body: (inout ScriptEvaluator) -> Bool?) -> Bool? {
        let before = (variables, functions, arguments, folder, umask, exported, hidden)
        let status = body(&self)
        (variables, functions, arguments, folder, umask, exported, hidden) = before
        guard flow == .next else {
            let wasLeft = flow == .exit || flow == .leaveFunction
            flow = .next
            return wasLeft ? returned : status
        }
        return status
    }

    /// Evaluates what may not happen: it changes nothing for sure, and its variables are unknown afterwards.
    mutating func perhaps(_ body: (inout ScriptEvaluator) -> Bool?) -> Bool? {
        let before = variables
        let place = folder
        doubts += 1
        let status = body(&self)
        doubts -= 1
        if folder != place { folder = nil }
        if flow == .exit || flow == .leaveFunction { mayHaveLeft = true }
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
        let fields = words.map { expand($0) } ?? arguments
        var status: Bool? = true
        for (round, field) in fields.enumerated() {
            guard round < Limit.rounds, flow == .next else { break }
            variables[variable] = .some(field)
            if field == nil {
                status = perhaps { $0.evaluate(body) }
            } else {
                status = evaluate(body)
            }
            if flow == .nextRound { flow = .next }
        }
        leaveLoop()
        return status
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
        leaveLoop()
        return nil
    }

    /// One of the loops that `break` leaves is left.
    private mutating func leaveLoop() {
        guard flow == .leaveLoop else { return }
        loopsToLeave -= 1
        if loopsToLeave <= 0 { flow = .next }
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
        isTainted = false
        pipes += 1
        defer { pipes -= 1 }
        var input: String??
        var status: Bool?
        for (index, node) in nodes.enumerated() {
            let isLast = index == nodes.count - 1
            let before = variables["\u{0}stdin"]
            if let input { variables["\u{0}stdin"] = .some(input) }
            let result = capture { evaluator in evaluator.apart { $0.evaluate(node) } }
            variables["\u{0}stdin"] = before
            status = result.status
            input = .some(result.text)
            if isLast { emit(result.text) }
        }
        return status
    }

    private mutating func simple(_ command: ShellNode.SimpleCommand) -> Bool? {
        currentLine = command.line
        if let status = declare(command) { return status }
        let fields = expand(command.words)
        let values = command.assignments.map { ($0.name, join($0.value)) }
        if fields.isEmpty {
            for (name, value) in values { variables[name] = .some(value) }
            let hasCommand = command.assignments.contains { $0.value.parts.contains { $0.isCommand } }
            let status = hasCommand ? substitutionStatus : true
            return redirected(command.redirections, line: command.line) { _ in status }
        }
        // `NAME=value command`: the command alone sees it.
        let before = values.map { ($0.0, variables[$0.0]) }
        let names = exported
        for (name, value) in values {
            variables[name] = .some(value)
            exported.insert(name)
        }
        defer {
            for (name, value) in before { variables[name] = value }
            exported = names
        }
        return redirected(command.redirections, line: command.line) { evaluator in
            evaluator.call(fields, line: command.line)
        }
    }

    /// `local`, `export` and `readonly`, whose assignments are not split into words. Nil: it is none of them.
    private mutating func declare(_ command: ShellNode.SimpleCommand) -> Bool?? {
        guard let name = command.words.first?.bareText, ["export", "local", "readonly"].contains(name) else {
            return .none
        }
        for word in command.words.dropFirst() {
            if let (variable, value) = ShellParser.assignment(word) {
                let value = join(value)
                if name == "local" { hide(variable) }
                variables[variable] = .some(value)
                if name == "export" { exported.insert(variable) }
            } else {
                for case let field? in expand(word) where !field.hasPrefix("-") {
                    // As in dash: it keeps the value that it had outside.
                    if name == "local" { hide(field) }
                    if name == "export" { exported.insert(field) }
                }
            }
        }
        return .some(true)
    }

    private mutating func hide(_ name: String) {
        guard let last = hidden.indices.last, hidden[last][name] == nil else { return }
        hidden[last][name] = .some(variables[name])
    }

    private mutating func call(_ fields: [String?], line: Int) -> Bool? {
        if let name = fields[0], let body = functions[name] {
            let before = arguments
            arguments = Array(fields.dropFirst())
            let didLeave = mayHaveLeft
            mayHaveLeft = false
            hidden.append([:])
            let place = (outerLine, currentLine)
            if helpers.contains(name) { outerLine = outerLine ?? line }
            var status = evaluate(body)
            (outerLine, currentLine) = place
            for (name, value) in hidden.popLast() ?? [:] { variables[name] = value }
            arguments = before
            if flow == .leaveFunction {
                flow = .next
                status = returned
            }
            if mayHaveLeft { status = nil }
            mayHaveLeft = didLeave
            return status
        }
        return perform(fields, line: line)
    }
}

extension ShellWord.Part {
    fileprivate var isCommand: Bool { if case .command = self { true } else { false } }
}
