import ImageFormat

/// The commands that scripts use: what each does to an image that nothing runs in.
extension ScriptEvaluator {
    /// Print or look something up, and change nothing: their answer is not worked out.
    private static let lookups: Set<String> = [
        "awk", "basename", "cmp", "comm", "cut", "date", "db_beginblock", "db_capb", "db_clear",
        "db_endblock",
        "db_fget", "db_fset", "db_go", "db_info", "db_input", "db_metaget", "db_progress", "db_purge",
        "db_register",
        "db_reset", "db_set", "db_settitle", "db_stop", "db_subst", "db_title", "db_unregister", "db_version",
        "debconf-show", "df", "diff", "dirname", "dpkg-architecture", "dpkg-query", "egrep", "expr", "fgrep",
        "file", "fold", "pg_checksystem", "getcap", "getent", "getopt", "grep", "gawk", "head", "hostname",
        "id", "ischroot",
        "locale", "logger", "ls", "mawk", "md5sum", "mountpoint", "nproc", "pgrep", "pidof", "ps",
        "pwd", "readlink", "realpath", "runlevel", "seq", "sha1sum", "sha256sum", "sha512sum", "sleep",
        "sort",
        "stat", "sync", "tail", "test", "tr", "tty", "uname", "uniq", "wait", "wc", "who", "whoami", "xargs",
    ]

    mutating func perform(_ fields: [String?], line: Int) -> Bool? {
        let text = fields.map { $0 ?? "?" }.joined(separator: " ")
        func isCovered(_ text: String) -> Bool { covered.contains { text.hasPrefix($0) } }
        guard let name = fields.first.flatMap({ $0 }) else {
            if !isCovered(text) { miss(line) }
            return nil
        }
        let program = name.hasPrefix("/") ? ImagePath.name(of: name) : name
        let arguments = Array(fields.dropFirst())
        let known = arguments.compactMap { $0 }
        if let status = builtin(program, arguments, line: line) { return status }
        if let rule = StateRule.of(program, known) {
            refuse(rule, line: line)
            return true
        }
        if let status = lookUp(program, arguments) { return status }
        if let status = filter(program, arguments, line: line) { return status }
        if program == "find", let status = find(arguments, line: line) { return status }
        if ScriptEvaluator.lookups.contains(program)
            || (program == "find" && !arguments.contains("-exec") && !arguments.contains("-delete"))
        {
            emit(nil)
            return nil
        }
        // `sh FILE` is the file.
        if ["sh", "bash", "dash"].contains(program), let file = known.first, file.hasPrefix("/") {
            return perform(arguments, line: line)
        }
        if LeftOut.reason(program) != nil
            || known.contains(where: { $0.hasSuffix("py_compile.py") })
        {
            return true
        }
        if isCovered(text) { return true }
        if doubts > 0, known.count == arguments.count, changesNothing(program, known) { return true }
        if doubts == 0, known.count == arguments.count, let status = change(program, known) { return status }
        if !ScriptEvaluator.changes.contains(program), let status = follow(name, arguments) { return status }
        if touchesNothing(program, arguments) { return true }
        miss(line)
        return nil
    }

    /// Whether all that a command works on lies where no image keeps anything.
    private func touchesNothing(_ program: String, _ arguments: [String?]) -> Bool {
        guard ScriptEvaluator.changes.contains(program) else { return false }
        let targets = arguments.map { $0 ?? "?" }.filter { !$0.hasPrefix("-") }
        let last = ["cp", "mv", "ln", "install"].contains(program) ? targets.suffix(1) : targets.dropFirst(0)
        let skipped = ["chmod", "chown", "chgrp"].contains(program) ? last.dropFirst() : last
        return !skipped.isEmpty && skipped.allSatisfy(LeftOut.isElsewhere)
    }

    /// Whether a change would change nothing, so that it does not matter whether it is made.
    private func changesNothing(_ program: String, _ arguments: [String]) -> Bool {
        var copy = self
        guard copy.change(program, arguments) == .some(.some(true)) else { return false }
        return copy.effects == effects
    }

    /// Questions whose answer the image or the effects so far give. The outer nil: it is none of them.
    private mutating func lookUp(_ name: String, _ arguments: [String?]) -> Bool?? {
        let known = arguments.map { $0 ?? "" }
        switch name {
        case "which", "command", "type", "hash":
            guard let program = known.last, !program.hasPrefix("-") else { return .none }
            if name == "command", known.first != "-v", known.first != "-V" { return .none }
            let path = find(program: program)
            if let path { emit(path + "\n") }
            return .some(path != nil)
        case "dpkg":
            if known.first == "--compare-versions", known.count == 4, !arguments.contains(nil) {
                return .some(ScriptEvaluator.compareVersions(known[1], known[2], known[3]))
            }
            if known == ["--print-architecture"] {
                emit((variables["DPKG_MAINTSCRIPT_ARCH"] ?? nil).map { $0 + "\n" })
            } else {
                emit(nil)
            }
            return .some(known == ["--print-architecture"] ? true : nil)
        case "dpkg-statoverride" where known.contains("--list"):
            return .some(effects.overrides.contains(known.last.map(ImagePath.normalized) ?? ""))
        case "dpkg-divert" where known.contains("--remove"): return .some(true)
        case "dpkg-divert" where known.contains("--list") || known.contains("--truename"):
            if known.contains("--truename") { emit((known.last ?? "") + "\n") }
            return .some(known.contains("--truename") ? true : false)
        case "getent" where known.count >= 2 && (known[0] == "passwd" || known[0] == "group"):
            guard !arguments.contains(nil) else { return .some(nil) }
            let isKnown =
                known[0] == "passwd"
                ? effects.accounts.hasUser(known[1]) : effects.accounts.hasGroup(known[1])
            if isKnown { emit(nil) }
            return .some(isKnown)
        case "id" where !arguments.contains(nil):
            guard let user = known.last, !user.hasPrefix("-") else {
                // Scripts run as root.
                emit(known.first == "-u" ? "0\n" : nil)
                return .some(true)
            }
            guard effects.accounts.hasUser(user) else { return .some(false) }
            let group = effects.accounts.users[user].map { $0.group ?? user }
            let further = effects.accounts.members.filter { $0[1] == user }.map { $0[0] }.sorted()
            switch known.first {
            case "-gn", "-ng": emit(group.map { $0 + "\n" })
            case "-Gn", "-nG": emit(group.map { ([$0] + further).joined(separator: " ") + "\n" })
            case "-un", "-nu": emit(user + "\n")
            default: emit(nil)
            }
            return .some(true)
        case "ls" where !arguments.contains(nil):
            let paths = known.filter { !$0.hasPrefix("-") }
            let flags = known.filter { $0.hasPrefix("-") }.joined()
            let isPlain = flags.allSatisfy { "-A1d".contains($0) }
            var isThere = true
            for path in paths.compactMap(absolute) {
                guard let entry = effects.tree.find(path) else {
                    isThere = false
                    continue
                }
                guard isPlain else {
                    emit(nil)
                    continue
                }
                let lists = entry.kind == .directory && !flags.contains("d")
                for name in lists ? effects.tree.names(in: path) : [path]
                where !lists || flags.contains("A") || !name.hasPrefix(".") { emit(name + "\n") }
            }
            if paths.isEmpty { emit(nil) }
            return .some(paths.isEmpty ? nil : isThere)
        case "cmp", "diff":
            let paths = known.filter { !$0.hasPrefix("-") }.compactMap(absolute)
            guard paths.count == 2, !arguments.contains(nil) else { return .none }
            guard let left = effects.tree.bytes(paths[0]), let right = effects.tree.bytes(paths[1]) else {
                return paths.allSatisfy { effects.tree.find($0) != nil } ? .none : .some(false)
            }
            if left != right { emit(nil) }
            return .some(left == right)
        case "su" where !arguments.contains(nil): return .some(ownership(known))
        case "postconf" where known.count == 2 && known[0] == "-h" && !arguments.contains(nil):
            emit(PostfixSettings.value(known[1], in: effects.tree).map { $0 + "\n" })
            return .some(true)
        case "db_get":
            guard let question = arguments.first.flatMap({ $0 }) else {
                variables["RET"] = .some(nil)
                return .some(nil)
            }
            variables["RET"] = .some(answers[question] ?? "")
            return .some(true)
        case "basename", "dirname":
            guard let path = known.first, known.count == 1, !arguments.contains(nil) else { return .none }
            emit((name == "basename" ? ImagePath.name(of: path) : ImagePath.parent(of: path)) + "\n")
            return .some(true)
        case "readlink":
            guard let path = known.last, path.hasPrefix("/"), !arguments.contains(nil) else { return .none }
            if known.count > 1 {
                guard ["-f", "-e", "-m"].contains(known[0]), let place = effects.tree.resolve(path) else {
                    return .none
                }
                emit("/" + place + "\n")
                return .some(known[0] != "-e" || effects.tree.entry(place) != nil)
            }
            let place = effects.tree.resolve(path, followLast: false)
            guard let link = place.flatMap(effects.tree.entry)?.link, !link.isEmpty else {
                return .some(false)
            }
            emit(link + "\n")
            return .some(true)
        case "ischroot": return .some(true)
        // The kernel's folders are there wherever a script runs.
        case "mountpoint": return .some(known.last == "/proc" ? true : nil)
        case "uname" where known == ["-s"] || known.isEmpty:
            emit("Linux\n")
            return .some(true)
        // A security module belongs to the machine, not to an image.
        case "aa-enabled", "aa-status", "selinuxenabled": return .some(false)
        default: return .none
        }
    }

    /// `su USER -c 'test -O PATH && test -G PATH'`: whether they are the user's. Nil for any other call.
    private func ownership(_ arguments: [String]) -> Bool? {
        var (user, script, rest) = (String?.none, String?.none, arguments[...])
        while let word = rest.popFirst() {
            switch word {
            case "-c": script = rest.popFirst()
            case "-s": _ = rest.popFirst()
            default: if !word.hasPrefix("-") { user = word }
            }
        }
        guard let user, var words = script?.split(whereSeparator: \.isWhitespace).map(String.init)[...] else {
            return nil
        }
        var isTheirs = true
        while let word = words.popFirst() {
            switch word {
            case "set": _ = words.popFirst()
            case "test", "&&": break
            case "-O", "-G":
                guard let place = words.popFirst().flatMap({ effects.tree.resolve($0) }) else { return nil }
                let change = effects.tree.changes[place]
                isTheirs = isTheirs && (word == "-O" ? change?.user : change?.group) == user
            default: return nil
            }
        }
        return isTheirs
    }

    func find(program: String) -> String? {
        if program.contains("/") {
            return absolute(program).flatMap { effects.tree.find($0) == nil ? nil : $0 }
        }
        for folder in ["usr/local/sbin", "usr/local/bin", "usr/sbin", "usr/bin"] {
            if effects.tree.find("\(folder)/\(program)") != nil { return "/\(folder)/\(program)" }
        }
        return nil
    }
}
