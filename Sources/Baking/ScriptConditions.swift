import ImageFormat

/// `test` and `[` (POSIX), answered from the image's files; nil where the answer cannot be known.
extension ScriptEvaluator {
    func test(_ fields: [String?]) -> Bool? {
        var rest = fields[...]
        let result = disjunction(&rest)
        return rest.isEmpty ? result : nil
    }

    private func disjunction(_ rest: inout ArraySlice<String?>) -> Bool? {
        var result = conjunction(&rest)
        while rest.first == "-o" {
            rest.removeFirst()
            let right = conjunction(&rest)
            result = result == true || right == true ? true : (result == nil || right == nil ? nil : false)
        }
        return result
    }

    private func conjunction(_ rest: inout ArraySlice<String?>) -> Bool? {
        var result = negation(&rest)
        while rest.first == "-a" {
            rest.removeFirst()
            let right = negation(&rest)
            result = result == false || right == false ? false : (result == nil || right == nil ? nil : true)
        }
        return result
    }

    private func negation(_ rest: inout ArraySlice<String?>) -> Bool? {
        if rest.first == "!", rest.count > 1 {
            rest.removeFirst()
            return negation(&rest).map { !$0 }
        }
        return primary(&rest)
    }

    private static let comparisons: Set<String> = [
        "=", "==", "!=", "-eq", "-ne", "-lt", "-gt", "-le", "-ge", "-nt", "-ot", "-ef", "<", ">",
    ]

    private func primary(_ rest: inout ArraySlice<String?>) -> Bool? {
        guard let first = rest.popFirst() else { return false }
        if let operation = rest.first.flatMap({ $0 }), ScriptEvaluator.comparisons.contains(operation),
            rest.count >= 2
        {
            rest.removeFirst()
            let right = rest.removeFirst()
            guard let left = first, let right else { return nil }
            return compare(left, operation, right)
        }
        if first == "(" {
            let result = disjunction(&rest)
            if rest.first == ")" { rest.removeFirst() }
            return result
        }
        if let flag = first, flag.count == 2, flag.hasPrefix("-"), let operand = rest.first {
            rest.removeFirst()
            guard let operand else { return nil }
            return file(flag, operand)
        }
        return first.map { !$0.isEmpty }
    }

    private func compare(_ left: String, _ operation: String, _ right: String) -> Bool? {
        switch operation {
        case "=", "==": return left == right
        case "!=": return left != right
        default: break
        }
        guard let left = Int(left), let right = Int(right) else { return nil }
        return switch operation {
        case "-eq": left == right
        case "-ne": left != right
        case "-lt": left < right
        case "-gt": left > right
        case "-le": left <= right
        case "-ge": left >= right
        default: nil
        }
    }

    private func file(_ flag: String, _ path: String) -> Bool? {
        if flag == "-t" { return false }
        if flag == "-n" { return !path.isEmpty }
        if flag == "-z" { return path.isEmpty }
        if path.isEmpty { return false }
        guard let path = absolute(path) else { return nil }
        if path.hasPrefix("/proc/sys/kernel/random") { return "efr".contains(flag.last ?? "-") }
        // What the kernel would have put there is not part of an image.
        if ["/proc", "/sys", "/dev"].contains(where: { path == $0 || path.hasPrefix($0 + "/") }) {
            return nil
        }
        if flag == "-L" || flag == "-h" {
            let place = effects.tree.resolve(path, followLast: false)
            return place.flatMap(effects.tree.entry)?.kind == .symlink
        }
        let found = effects.tree.find(path)
        switch flag {
        case "-e", "-a", "-r", "-w": return found != nil
        case "-f": return found?.kind == .file || found?.kind == .hardLink
        case "-d": return found?.kind == .directory
        case "-s": return found.map { $0.size > 0 } ?? false
        case "-x": return found.map { $0.mode & 0o111 != 0 || $0.kind == .hardLink } ?? false
        case "-b": return found?.kind == .blockDevice
        case "-c": return found?.kind == .characterDevice
        case "-p": return found?.kind == .fifo
        case "-S": return false
        case "-g": return found.map { $0.mode & 0o2000 != 0 } ?? false
        case "-u": return found.map { $0.mode & 0o4000 != 0 } ?? false
        case "-k": return found.map { $0.mode & 0o1000 != 0 } ?? false
        default: return nil
        }
    }

    /// `dpkg --compare-versions`, for a first installation: one side is empty, which comes before everything.
    static func compareVersions(_ left: String, _ operation: String, _ right: String) -> Bool? {
        let order: Int
        switch (left.isEmpty, right.isEmpty) {
        case (true, true): order = 0
        case (true, false): order = -1
        case (false, true): order = 1
        case (false, false):
            guard left == right else { return nil }
            order = 0
        }
        // With -nl an empty version comes after everything.
        let laterOrder = left.isEmpty || right.isEmpty ? -order : order
        return switch operation {
        case "lt", "<<": order < 0
        case "le", "<=", "<": order <= 0
        case "eq", "=": order == 0
        case "ne": order != 0
        case "ge", ">=", ">": order >= 0
        case "gt", ">>": order > 0
        case "lt-nl": laterOrder < 0
        case "le-nl": laterOrder <= 0
        case "ge-nl": laterOrder >= 0
        case "gt-nl": laterOrder > 0
        default: nil
        }
    }
}
