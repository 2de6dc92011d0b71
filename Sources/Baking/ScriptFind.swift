import ImageFormat

/// `find` over the image's files: names, kinds, depths and what is done with what is found.
extension ScriptEvaluator {
    private indirect enum Test {
        case name(String), kind(TarEntry.Kind), pattern(POSIXPattern), isEmpty, always
        case not(Test), both(Test, Test), either(Test, Test)
    }

    private enum Action { case print(String), delete, run([String]) }

    /// The outer nil: it asks for more than is worked out.
    mutating func find(_ arguments: [String?], line: Int) -> Bool?? {
        var rest = arguments.compactMap { $0 }[...]
        guard rest.count == arguments.count else { return .none }
        var (roots, lowest, deepest) = ([String](), 0, Int.max)
        while let word = rest.first, !word.hasPrefix("-"), word != "!", word != "(" {
            guard let path = absolute(word) else { return .none }
            roots.append(path)
            rest.removeFirst()
        }
        var actions: [Action] = []
        var plain: [String] = []
        while let word = rest.popFirst() {
            switch word {
            case "-mindepth", "-maxdepth":
                guard let number = rest.popFirst().flatMap({ Int($0) }) else { return .none }
                if word == "-mindepth" { lowest = number } else { deepest = number }
            case "-print": actions.append(.print("%p\n"))
            case "-printf": actions.append(.print(rest.popFirst() ?? ""))
            case "-delete": actions.append(.delete)
            case "-exec":
                let command = Array(rest.prefix { $0 != ";" && $0 != "+" })
                rest = rest.dropFirst(command.count + 1)
                actions.append(.run(command))
            default: plain.append(word)
            }
        }
        var words = plain[...]
        guard !roots.isEmpty,
            let test = words.isEmpty ? .always : ScriptEvaluator.alternatives(&words, depth: 0),
            words.isEmpty
        else { return .none }
        var status: Bool? = true
        for root in roots {
            guard let place = effects.tree.resolve(root), effects.tree.entry(place) != nil else {
                status = false
                continue
            }
            for item in ([place] + effects.tree.paths(below: place)).reversed() {
                let depth =
                    item.count == place.count ? 0 : item.dropFirst(place.count).split(separator: "/").count
                let path = root + item.dropFirst(place.count)
                guard depth >= lowest, depth <= deepest, fits(item, path, test) else { continue }
                if act(on: path, actions.isEmpty ? [.print("%p\n")] : actions, line: line) == nil {
                    status = nil
                }
            }
        }
        return .some(status)
    }

    private mutating func act(on path: String, _ actions: [Action], line: Int) -> Bool? {
        var status: Bool? = true
        for action in actions {
            switch action {
            case .print(let format):
                emit(
                    ShellFormat.text(
                        format.replacing("%f", with: ImagePath.name(of: path)).replacing("%p", with: path), []
                    ))
            case .delete: status = perform(["rm", "-f", path], line: line)
            case .run(let command):
                status = perform(command.map { .some($0.replacing("{}", with: path)) }, line: line)
            }
        }
        return status
    }

    private func fits(_ item: String, _ path: String, _ test: Test) -> Bool {
        switch test {
        case .always: true
        case .name(let pattern): ShellPattern.matches(pattern, ImagePath.name(of: item))
        case .kind(let kind):
            effects.tree.entry(item).map { $0.kind == kind || (kind == .file && $0.kind == .hardLink) }
                ?? false
        case .pattern(let pattern):
            pattern.match(Array(path.utf8)).flatMap { $0[0] }?.count == path.utf8.count
        case .isEmpty:
            effects.tree.entry(item).map {
                $0.kind == .directory
                    ? effects.tree.names(in: "/" + item).isEmpty : $0.kind == .file && $0.size == 0
            } ?? false
        case .not(let inner): !fits(item, path, inner)
        case .both(let left, let right): fits(item, path, left) && fits(item, path, right)
        case .either(let left, let right): fits(item, path, left) || fits(item, path, right)
        }
    }

    private static func alternatives(_ words: inout ArraySlice<String>, depth: Int) -> Test? {
        guard depth < 10, var result = sequence(&words, depth: depth) else { return nil }
        while words.first == "-o" || words.first == "-or" {
            words.removeFirst()
            guard let right = sequence(&words, depth: depth) else { return nil }
            result = .either(result, right)
        }
        return result
    }

    private static func sequence(_ words: inout ArraySlice<String>, depth: Int) -> Test? {
        guard var result = one(&words, depth: depth) else { return nil }
        while let word = words.first, word != "-o", word != "-or", word != ")" {
            if word == "-a" || word == "-and" { words.removeFirst() }
            guard let right = one(&words, depth: depth) else { return nil }
            result = .both(result, right)
        }
        return result
    }

    private static func one(_ words: inout ArraySlice<String>, depth: Int) -> Test? {
        switch words.popFirst() {
        case "!", "-not": return one(&words, depth: depth).map { .not($0) }
        case "(":
            guard let inner = alternatives(&words, depth: depth + 1), words.popFirst() == ")" else {
                return nil
            }
            return inner
        case "-name": return words.popFirst().map { .name($0) }
        case "-empty": return .isEmpty
        case "-regex":
            return words.popFirst().flatMap { POSIXPattern($0, isExtended: false) }.map { .pattern($0) }
        case "-type":
            let kinds: [String: TarEntry.Kind] = ["f": .file, "d": .directory, "l": .symlink]
            return words.popFirst().flatMap { kinds[$0] }.map { .kind($0) }
        default: return nil
        }
    }
}
