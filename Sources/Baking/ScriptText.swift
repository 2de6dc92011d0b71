import ImageFormat

/// The programs that read text and print text: worked out where all that they read is known.
extension ScriptEvaluator {
    /// The outer nil: it is none of them, or asks for more than is worked out.
    mutating func filter(_ name: String, _ arguments: [String?], line: Int) -> Bool?? {
        guard ScriptEvaluator.filters.contains(name) else { return .none }
        let known = arguments.compactMap { $0 }
        if name == "sed", known.contains(where: { $0.hasPrefix("-i") || $0 == "--in-place" }) {
            return editFiles(known.count == arguments.count ? known : nil, line: line)
        }
        guard known.count == arguments.count, let answer = answer(name, known) else {
            emit(nil)
            return .some(nil)
        }
        emit(answer.text)
        return .some(answer.status)
    }

    private static let filters: Set<String> = [
        "awk", "cat", "cut", "egrep", "expr", "fgrep", "gawk", "grep", "head", "mawk", "sed", "seq", "sort",
        "tail",
        "tee", "tr", "uniq", "wc",
    ]

    private func answer(_ name: String, _ arguments: [String]) -> (text: String, status: Bool)? {
        switch name {
        case "cat":
            let files = arguments.filter { !$0.hasPrefix("-") }
            return input(files).map { ($0, true) }
        case "cut":
            return cut(arguments).map { ($0, true) }
        case "grep", "egrep", "fgrep": return grep(name, arguments)
        case "sed":
            guard let call = SedCall(arguments), let editor = call.editor, let text = input(call.files) else {
                return nil
            }
            return (editor.edit(text), true)
        case "tr": return input([]).flatMap { CharacterMap(arguments)?.apply($0) }.map { ($0, true) }
        case "seq":
            let numbers = arguments.compactMap { Int($0) }
            guard numbers.count == arguments.count, (1...3).contains(numbers.count) else { return nil }
            let first = numbers.count > 1 ? numbers[0] : 1
            let step = numbers.count > 2 ? numbers[1] : 1
            let last = numbers[numbers.count - 1]
            let (span, overflows) = last.subtractingReportingOverflow(first)
            guard step != 0, !overflows, span.magnitude <= Limit.rounds else { return nil }
            var text = ""
            var value = first
            while step > 0 ? value <= last : value >= last {
                text += "\(value)\n"
                let (next, overflows) = value.addingReportingOverflow(step)
                if overflows { break }
                value = next
            }
            return (text, true)
        case "head", "tail": return ends(name, arguments).map { ($0, true) }
        case "sort", "uniq":
            let files = arguments.filter { !$0.hasPrefix("-") }
            let flags = arguments.filter { $0.hasPrefix("-") }
            guard flags.allSatisfy({ ["-u", "-r", "-ru", "-ur"].contains($0) }), let text = input(files)
            else { return nil }
            var rows = text.split(separator: "\n", omittingEmptySubsequences: true).map(String.init)
            if name == "sort" { rows.sort(by: TarEntry.precedes) }
            if flags.contains(where: { $0.contains("r") }) { rows.reverse() }
            if name == "uniq" || flags.contains(where: { $0.contains("u") }) {
                rows = rows.enumerated().filter { $0.offset == 0 || rows[$0.offset - 1] != $0.element }.map(
                    \.element)
            }
            return (rows.map { $0 + "\n" }.joined(), true)
        case "wc" where arguments == ["-l"]:
            return input([]).map { ("\($0.utf8.count { $0 == UInt8(ascii: "\n") })\n", true) }
        case "expr":
            guard arguments.count == 3, ["+", "-", "*"].contains(arguments[1]) else { return nil }
            var formula = ShellArithmetic(arguments.joined(separator: " ")) { _ in nil }
            return formula.value().map { ("\($0)\n", $0 != 0) }
        case "awk", "gawk", "mawk": return columns(arguments).map { ($0, true) }
        default: return nil
        }
    }

    /// What a program reads: its files, or what is piped into it.
    private func input(_ files: [String]) -> String? {
        if files.isEmpty || files == ["-"] { return variables["\u{0}stdin"] ?? nil }
        var result = ""
        for file in files {
            if file == "/dev/null" { continue }
            guard let path = absolute(file), !LeftOut.isElsewhere(path) || effects.tree.find(path) != nil,
                let text = effects.tree.text(path)
            else { return nil }
            result += text
        }
        return result
    }

    private func grep(_ name: String, _ arguments: [String]) -> (text: String, status: Bool)? {
        var (flags, patterns, operands, isEnd) = (Set<Character>(), [String](), [String](), false)
        var rest = arguments[...]
        let long: [String: Character] = [
            "--quiet": "q", "--silent": "q", "--extended-regexp": "E", "--fixed-strings": "F",
            "--ignore-case": "i",
            "--invert-match": "v", "--line-regexp": "x", "--word-regexp": "w", "--no-messages": "s",
            "--count": "c",
            "--only-matching": "o", "--no-filename": "h",
        ]
        while let argument = rest.popFirst() {
            if isEnd || !argument.hasPrefix("-") || argument == "-" {
                operands.append(argument)
            } else if argument == "--" {
                isEnd = true
            } else if argument.hasPrefix("--") {
                guard let flag = long[argument] else { return nil }
                flags.insert(flag)
            } else if argument.hasSuffix("e") {
                flags.formUnion(argument.dropFirst().dropLast())
                guard let pattern = rest.popFirst() else { return nil }
                patterns.append(pattern)
            } else {
                flags.formUnion(argument.dropFirst())
            }
        }
        if patterns.isEmpty {
            guard !operands.isEmpty else { return nil }
            patterns = [operands.removeFirst()]
        }
        guard flags.isSubset(of: Set("qEFivxschw")), operands.count < 2 else { return nil }
        // A file that is not there fits nothing.
        if let file = operands.first, let path = absolute(file), effects.tree.find(path) == nil {
            return LeftOut.isElsewhere(path) ? nil : ("", false)
        }
        guard let text = input(operands) else { return nil }
        var expressions: [POSIXPattern] = []
        for pattern in patterns.flatMap({ $0.split(separator: "\n", omittingEmptySubsequences: false) }) {
            var source = String(pattern)
            if flags.contains("F") || name == "fgrep" {
                source = source.map { "\\.[]*^$".contains($0) ? "\\\($0)" : String($0) }.joined()
            }
            let isExtended = flags.contains("E") || name == "egrep"
            if flags.contains("w") { source = isExtended ? "\\<(\(source))\\>" : "\\<\\(\(source)\\)\\>" }
            if flags.contains("x") { source = isExtended ? "^(\(source))$" : "^\\(\(source)\\)$" }
            guard
                let expression = POSIXPattern(
                    source, isExtended: isExtended, ignoresCase: flags.contains("i"))
            else { return nil }
            expressions.append(expression)
        }
        // By bytes: scripts look for a line in long lists, again and again.
        var bytes = Array(text.utf8)
        if bytes.last == UInt8(ascii: "\n") { bytes.removeLast() }
        let isInverted = flags.contains("v")
        var found: [ArraySlice<UInt8>] = []
        if !text.isEmpty {
            for row in bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
            where expressions.contains(where: { $0.fits(row) }) != isInverted {
                if flags.contains("q") { return ("", true) }
                found.append(row)
            }
        }
        let output =
            flags.contains("c")
            ? "\(found.count)\n" : found.map { String(decoding: $0, as: UTF8.self) + "\n" }.joined()
        return (flags.contains("q") ? "" : output, !found.isEmpty)
    }

    /// `cut -d X -f N`.
    private func cut(_ arguments: [String]) -> String? {
        if let first = arguments.first, first.hasPrefix("-c") || first.hasPrefix("-b") {
            var rest = arguments.dropFirst()
            let text = first.count > 2 ? String(first.dropFirst(2)) : rest.popFirst() ?? ""
            let ends = text.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false).map {
                Int($0)
            }
            let low = (ends[0] ?? 1) - 1
            guard low >= 0, !text.contains(","), let input = input(Array(rest)) else { return nil }
            let high = ends.count == 1 ? low + 1 : ends[1] ?? Int.max
            return input.split(separator: "\n", omittingEmptySubsequences: true).map {
                String($0.prefix(high).dropFirst(low)) + "\n"
            }.joined()
        }
        var separator: Character = "\t"
        var field: Int?
        var files: [String] = []
        var rest = arguments[...]
        while let word = rest.popFirst() {
            let value =
                word.count > 2
                ? String(word.dropFirst(2)) : word == "-d" || word == "-f" ? rest.popFirst() : nil
            if word.hasPrefix("-d"), let value, value.count == 1 {
                separator = value.first ?? "\t"
            } else if word.hasPrefix("-f"), let value {
                field = Int(value)
            } else if word.hasPrefix("-") {
                return nil
            } else {
                files.append(word)
            }
        }
        guard let field, field > 0, let text = input(files) else { return nil }
        return text.split(separator: "\n").map { line in
            let parts = line.split(separator: separator, omittingEmptySubsequences: false)
            return (parts.count == 1 ? String(line) : parts.count >= field ? String(parts[field - 1]) : "")
                + "\n"
        }.joined()
    }

    private func ends(_ name: String, _ arguments: [String]) -> String? {
        var count = 10
        var files: [String] = []
        var rest = arguments[...]
        while let word = rest.popFirst() {
            if word == "-n" {
                guard let value = rest.popFirst().flatMap({ Int($0) }) else { return nil }
                count = value
            } else if word.hasPrefix("-") {
                let digits = word.hasPrefix("-n") ? word.dropFirst(2) : word.dropFirst()
                guard let value = Int(digits) else { return nil }
                count = value
            } else {
                files.append(word)
            }
        }
        guard count >= 0, let text = input(files) else { return nil }
        let rows = text.split(separator: "\n", omittingEmptySubsequences: false).dropLast(
            text.hasSuffix("\n") ? 1 : 0)
        return (name == "head" ? rows.prefix(count) : rows.suffix(count)).map { $0 + "\n" }.joined()
    }

    /// `awk '{print $N}'`.
    private func columns(_ arguments: [String]) -> String? {
        var rest = arguments[...]
        var separator: Character?
        if let first = rest.first, first.hasPrefix("-F") {
            rest.removeFirst()
            let text = first.count > 2 ? String(first.dropFirst(2)) : rest.popFirst() ?? ""
            guard text.count == 1 else { return nil }
            separator = text.first
        }
        guard let program = rest.popFirst()?.filter({ !$0.isWhitespace }), program.hasPrefix("{print$"),
            program.hasSuffix("}"), let column = Int(program.dropFirst(7).dropLast().filter { $0 != ";" }),
            column > 0,
            let text = input(Array(rest))
        else { return nil }
        return text.split(separator: "\n").map { row in
            let words =
                separator.map { row.split(separator: $0, omittingEmptySubsequences: false) }
                ?? row.split(whereSeparator: \.isWhitespace)
            return (words.count >= column ? String(words[column - 1]) : "") + "\n"
        }.joined()
    }

    /// `sed -i`: the files as they are after it.
    private mutating func editFiles(_ arguments: [String]?, line: Int) -> Bool?? {
        guard let arguments, let call = SedCall(arguments), let editor = call.editor, !call.files.isEmpty
        else {
            miss(line)
            return .some(nil)
        }
        var status: Bool? = true
        for file in call.files {
            guard let path = absolute(file) else {
                miss(line)
                return .some(nil)
            }
            guard let entry = effects.tree.find(path) else {
                status = false
                continue
            }
            guard let old = effects.tree.text(path) else {
                miss(line)
                return .some(nil)
            }
            let new = editor.edit(old)
            if new == old { continue }
            guard doubts == 0, effects.tree.write(path, Array(new.utf8), mode: entry.mode) else {
                miss(line)
                return .some(nil)
            }
        }
        return .some(status)
    }
}
