/// What `sed` makes of a text, as far as scripts use it: `s`, `d`, `p`, `q`, `a`, `i`, `c` and groups, by line numbers and
/// expressions.
struct StreamEditor {
    private indirect enum Command {
        case substitute(POSIXPattern, with: String, isGlobal: Bool, number: Int, prints: Bool)
        case delete, print, quit
        case insert(String, isAfter: Bool)
        case change(String)
        case group([Step])
    }

    private enum Address {
        case line(Int)
        case last
        case pattern(POSIXPattern)
    }

    private struct Step {
        var from: Address?
        var to: Address?
        var isNegated: Bool
        var command: Command
        /// Which range this is, to remember whether it is open.
        var number: Int
    }

    private var steps: [Step] = []
    private var count = 0
    private let isExtended: Bool
    private let isQuiet: Bool

    /// Nil where the script is not understood.
    init?(_ script: String, isExtended: Bool, isQuiet: Bool) {
        self.isExtended = isExtended
        self.isQuiet = isQuiet
        var rest = Substring(script)
        guard let steps = parse(&rest, depth: 0), rest.isEmpty else { return nil }
        self.steps = steps
    }

    private mutating func parse(_ rest: inout Substring, depth: Int) -> [Step]? {
        var steps: [Step] = []
        guard depth < 8 else { return nil }
        while true {
            rest = rest.drop { $0.isWhitespace || $0 == ";" }
            if rest.first == "#" {
                rest = rest.drop { $0 != "\n" }
                continue
            }
            if rest.isEmpty || rest.first == "}" { return steps }
            let from = address(&rest)
            var to: Address?
            if from != nil, rest.first == "," {
                rest.removeFirst()
                to = address(&rest)
                if to == nil { return nil }
            }
            rest = rest.drop { $0.isWhitespace }
            let isNegated = rest.first == "!"
            if isNegated { rest = rest.dropFirst().drop { $0 == " " } }
            guard let command = command(&rest, depth: depth) else { return nil }
            count += 1
            steps.append(Step(from: from, to: to, isNegated: isNegated, command: command, number: count))
        }
    }

    private func address(_ rest: inout Substring) -> Address? {
        if rest.first == "$" {
            rest.removeFirst()
            return .last
        }
        let digits = rest.prefix { $0.isASCII && $0.isNumber }
        if let number = Int(digits) {
            rest = rest.dropFirst(digits.count)
            return .line(number)
        }
        guard rest.first == "/" || rest.first == "\\" else { return nil }
        if rest.first == "\\" { rest.removeFirst() }
        guard let mark = rest.popFirst(), let text = StreamEditor.part(&rest, until: mark) else { return nil }
        let ignoresCase = rest.first == "I"
        if ignoresCase { rest.removeFirst() }
        return POSIXPattern(text, isExtended: isExtended, ignoresCase: ignoresCase).map { .pattern($0) }
    }

    /// The text up to a delimiter that no backslash stands before.
    private static func part(_ rest: inout Substring, until mark: Character) -> String? {
        var result = ""
        var isInSet = false
        while let character = rest.popFirst() {
            if character == "\\", let next = rest.popFirst() {
                if next == mark {
                    result.append(next)
                } else if next == "n" {
                    result.append("\n")
                } else if next == "t" {
                    result.append("\t")
                } else {
                    result.append("\\")
                    result.append(next)
                }
                continue
            }
            if character == "[" { isInSet = true }
            if character == "]" { isInSet = false }
            if character == mark, !isInSet || mark != "/" || !rest.contains("]") { return result }
            result.append(character)
        }
        return nil
    }

    private mutating func command(_ rest: inout Substring, depth: Int) -> Command? {
        guard let name = rest.popFirst() else { return nil }
        switch name {
        case "{":
            guard let steps = parse(&rest, depth: depth + 1), rest.popFirst() == "}" else { return nil }
            return .group(steps)
        case "d": return .delete
        case "p": return .print
        case "q": return .quit
        case "a", "i", "c":
            var text = rest.drop { $0 == " " || $0 == "\t" }
            if text.hasPrefix("\\") { text = text.dropFirst().drop { $0 == "\n" || $0 == " " } }
            let line = text.prefix { $0 != "\n" }
            rest = text.dropFirst(line.count)
            return name == "c" ? .change(String(line)) : .insert(String(line), isAfter: name == "a")
        case "s":
            guard let mark = rest.popFirst(), let text = StreamEditor.part(&rest, until: mark),
                let replacement = StreamEditor.replacement(&rest, until: mark)
            else { return nil }
            var (isGlobal, number, prints, ignoresCase) = (false, 1, false, false)
            while let flag = rest.first, flag != ";", flag != "}", !flag.isWhitespace {
                switch flag {
                case "g": isGlobal = true
                case "p": prints = true
                case "i", "I": ignoresCase = true
                case "1"..."9": number = Int(String(flag)) ?? 1
                default: return nil
                }
                rest.removeFirst()
            }
            return POSIXPattern(text, isExtended: isExtended, ignoresCase: ignoresCase).map {
                .substitute($0, with: replacement, isGlobal: isGlobal, number: number, prints: prints)
            }
        default: return nil
        }
    }

    private static func replacement(_ rest: inout Substring, until mark: Character) -> String? {
        var result = ""
        while let character = rest.popFirst() {
            if character == "\\", let next = rest.popFirst() {
                if next == mark, next != "&" {
                    result.append(next)
                } else {
                    result.append("\\")
                    result.append(next)
                }
                continue
            }
            if character == mark { return result }
            result.append(character)
        }
        return nil
    }

    private struct Line {
        var bytes: [UInt8]
        var before: [UInt8] = []
        var after: [UInt8] = []
        var isDeleted = false
        var isDone = false
    }

    /// The text after it.
    func edit(_ text: String) -> String {
        var output: [UInt8] = []
        var rows = Array(text.utf8).split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
            .map(Array.init)
        let endsWithNewline = rows.last?.isEmpty ?? true
        if endsWithNewline { _ = rows.popLast() }
        var open: [Int: Bool] = [:]
        for (index, row) in rows.enumerated() {
            var line = Line(bytes: row)
            let isLast = index == rows.count - 1
            run(steps, &line, index + 1, isLast, &open)
            output += line.before
            if !line.isDeleted, !isQuiet {
                output += line.bytes
                if !isLast || endsWithNewline || !line.after.isEmpty { output.append(UInt8(ascii: "\n")) }
            }
            output += line.after
            if line.isDone { break }
        }
        return String(decoding: output, as: UTF8.self)
    }

    private func run(
        _ steps: [Step], _ line: inout Line, _ number: Int, _ isLast: Bool, _ open: inout [Int: Bool]
    ) {
        for step in steps where selects(step, line.bytes, number, isLast, &open) != step.isNegated {
            switch step.command {
            case .delete:
                line.isDeleted = true
                return
            case .print: line.before += line.bytes + [UInt8(ascii: "\n")]
            case .quit:
                line.isDone = true
                return
            case .insert(let text, let isAfter):
                if isAfter {
                    line.after += Array((text + "\n").utf8)
                } else {
                    line.before += Array((text + "\n").utf8)
                }
            case .change(let text):
                line.before += Array((text + "\n").utf8)
                line.isDeleted = true
                return
            case .group(let inner):
                run(inner, &line, number, isLast, &open)
                if line.isDeleted || line.isDone { return }
            case .substitute(let pattern, let text, let isGlobal, let first, let prints):
                if let new = StreamEditor.substitute(line.bytes, pattern, text, isGlobal, first) {
                    line.bytes = new
                    if prints { line.before += new + [UInt8(ascii: "\n")] }
                }
            }
        }
    }

    private func selects(
        _ step: Step, _ line: [UInt8], _ number: Int, _ isLast: Bool, _ open: inout [Int: Bool]
    ) -> Bool {
        func fits(_ address: Address) -> Bool {
            switch address {
            case .line(let wanted): wanted == number
            case .last: isLast
            case .pattern(let pattern): pattern.match(line) != nil
            }
        }
        guard let from = step.from else { return true }
        guard let to = step.to else { return fits(from) }
        if open[step.number] == true {
            if fits(to) { open[step.number] = false }
            return true
        }
        // A range from line 0 may end at the first line.
        if case .line(0) = from, number == 1 {
            open[step.number] = !fits(to)
            return true
        }
        guard fits(from) else { return false }
        if case .line(let end) = to { open[step.number] = end > number } else { open[step.number] = !isLast }
        return true
    }

    private static func substitute(
        _ line: [UInt8], _ pattern: POSIXPattern, _ text: String, _ isGlobal: Bool, _ first: Int
    ) -> [UInt8]? {
        var result: [UInt8] = []
        var start = 0
        var found = 0
        while start <= line.count, let groups = pattern.match(line, from: start), let whole = groups[0] {
            found += 1
            result += line[start..<whole.lowerBound]
            if found >= first {
                result += filled(text, line, groups)
            } else {
                result += line[whole]
            }
            start = whole.upperBound
            if whole.isEmpty {
                if start < line.count { result.append(line[start]) }
                start += 1
            }
            if found >= first, !isGlobal { break }
        }
        guard found >= first else { return nil }
        if start < line.count { result += line[start...] }
        return result
    }

    private static func filled(_ text: String, _ line: [UInt8], _ groups: [Range<Int>?]) -> [UInt8] {
        var result: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "&") {
                if let whole = groups[0] { result += line[whole] }
            } else if byte == UInt8(ascii: "\\"), let next = rest.popFirst() {
                switch next {
                case UInt8(ascii: "0")...UInt8(ascii: "9"):
                    if let group = groups[Int(next - UInt8(ascii: "0"))] { result += line[group] }
                case UInt8(ascii: "n"): result.append(UInt8(ascii: "\n"))
                case UInt8(ascii: "t"): result.append(UInt8(ascii: "\t"))
                default: result.append(next)
                }
            } else {
                result.append(byte)
            }
        }
        return result
    }
}
