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
        "debconf-show", "diff", "dirname", "dpkg-architecture", "dpkg-query", "egrep", "expr", "fgrep",
        "file",
        "getcap", "getopt", "grep", "gawk", "head", "hostname", "id", "ischroot", "locale", "ls", "mawk",
        "md5sum",
        "mktemp", "mountpoint", "nproc", "pgrep", "pidof", "ps", "pwd", "readlink", "realpath", "runlevel",
        "seq",
        "sha1sum", "sha256sum", "sha512sum", "sleep", "sort", "stat", "tail", "test", "tr", "tty", "uname",
        "uniq",
        "wait", "wc", "who", "whoami", "xargs",
    ]

    /// Work on a machine that runs, on what is built again at every bake, or on what only saves time: nothing of it
    /// belongs into an image.
    private static let pointless: Set<String> = [
        "deb-systemd-helper", "deb-systemd-invoke", "dpkg-maintscript-helper", "dpkg-trigger", "init",
        "initctl",
        "invoke-rc.d", "kill", "killall", "ldconfig", "mandb", "pkill", "py3clean", "py3compile", "pyclean",
        "pycompile", "pypy3clean", "pypy3compile", "service", "start-stop-daemon", "systemctl", "telinit",
        "udevadm",
        "update-rc.d",
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
        if let status = builtin(program, arguments) { return status }
        if let status = lookUp(program, arguments) { return status }
        if ScriptEvaluator.lookups.contains(program)
            || (program == "find" && !arguments.contains("-exec")
                && !arguments.contains("-delete"))
            || (program == "sed" && !arguments.contains { $0?.hasPrefix("-i") ?? false })
            || (program == "cat" && arguments.allSatisfy { $0 != nil })
        {
            emit(nil)
            return nil
        }
        let known = arguments.compactMap { $0 }
        if ScriptEvaluator.pointless.contains(program)
            || known.contains(where: { $0.hasSuffix("py_compile.py") })
        {
            return true
        }
        if isCovered(text) { return true }
        if doubts > 0, known.count == arguments.count, changesNothing(program, known) { return true }
        guard doubts == 0, known.count == arguments.count, let status = change(program, known) else {
            miss(line)
            return nil
        }
        return status
    }

    /// Whether a change would change nothing, so that it does not matter whether it is made.
    private func changesNothing(_ program: String, _ arguments: [String]) -> Bool {
        var copy = self
        guard copy.change(program, arguments) == .some(.some(true)) else { return false }
        return copy.effects == effects
    }

    /// Commands of the shell itself. The outer nil: it is none of them.
    private mutating func builtin(_ name: String, _ arguments: [String?]) -> Bool?? {
        switch name {
        case ":", "true", "cd", "trap", "ulimit", "setup_colors": return .some(true)
        case "exec": return arguments.isEmpty ? .some(true) : .none
        case "set":
            if arguments.first == "--" { self.arguments = Array(arguments.dropFirst()) }
            return .some(true)
        case "false": return .some(false)
        case "exit": flow = .exit
        case "return": flow = .leaveFunction
        case "break": flow = .leaveLoop
        case "continue": flow = .nextRound
        case "shift":
            self.arguments.removeFirst(min(self.arguments.count, Int((arguments.first ?? "1") ?? "1") ?? 1))
            return .some(true)
        case "export", "local", "readonly", "unset":
            for case let argument? in arguments {
                let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                if parts.count == 2 {
                    variables[String(parts[0])] = .some(String(parts[1]))
                } else if name == "unset" || (name == "local" && !argument.hasPrefix("-")) {
                    variables[argument] = nil
                }
            }
            // An assignment whose value cannot be known came as an unknown word: which one is not known either.
            return .some(true)
        case "umask":
            if let mask = arguments.first.flatMap({ $0 }).flatMap({ Int($0, radix: 8) }) {
                umask = mask & 0o777
            }
            return .some(true)
        case "echo", "printf":
            emit(print(name, arguments))
            return .some(true)
        case "read": return .some(nil)
        case "cat" where arguments.isEmpty:
            emit(variables["\u{0}stdin"] ?? nil)
            return .some(true)
        case "cut": return cut(arguments)
        case "[", "test":
            let operands = name == "[" && arguments.last == "]" ? Array(arguments.dropLast()) : arguments
            return .some(test(operands))
        case ".", "source":
            let file = arguments.first.flatMap { $0 } ?? ""
            return file == "/usr/share/debconf/confmodule" || file.hasPrefix("/usr/share/dpkg/sh/")
                ? .some(true) : .none
        default: return .none
        }
        return .some(nil)
    }

    private func print(_ name: String, _ arguments: [String?]) -> String? {
        let known = arguments.compactMap { $0 }
        guard known.count == arguments.count else { return nil }
        if name == "echo" {
            return known.first == "-n"
                ? known.dropFirst().joined(separator: " ") : known.joined(separator: " ") + "\n"
        }
        guard let format = known.first, known.count == 1 || (format == "%s" || format == "%s\\n") else {
            return nil
        }
        if known.count > 1 { return known[1] + (format == "%s\\n" ? "\n" : "") }
        return format.contains("%")
            ? nil
            : format.split(separator: "\\n", omittingEmptySubsequences: false)
                .joined(separator: "\n")
    }

    /// `cut -d X -f N` of a known line.
    private mutating func cut(_ arguments: [String?]) -> Bool?? {
        let known = arguments.compactMap { $0 }.joined(separator: " ")
        let words = known.split(separator: " ").map(String.init)
        var separator: Character?
        var field: Int?
        var rest = words[...]
        while let word = rest.popFirst() {
            let value =
                word.count > 2
                ? String(word.dropFirst(2)) : word == "-d" || word == "-f" ? rest.popFirst() : nil
            if word.hasPrefix("-d"), let value, value.count == 1 { separator = value.first }
            if word.hasPrefix("-f"), let value { field = Int(value) }
        }
        guard let separator, let field, field > 0, let input = variables["\u{0}stdin"] ?? nil else {
            emit(nil)
            return .some(nil)
        }
        for line in input.split(separator: "\n") {
            let parts = line.split(separator: separator, omittingEmptySubsequences: false)
            emit(
                (parts.count == 1 ? String(line) : parts.count >= field ? String(parts[field - 1]) : "")
                    + "\n")
        }
        return .some(true)
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
            emit(nil)
            return .some(nil)
        case "dpkg-statoverride" where known.contains("--list"):
            return .some(effects.overrides.contains(known.last.map(ImagePath.normalized) ?? ""))
        case "dpkg-divert" where known.contains("--remove"): return .some(true)
        case "dpkg-divert" where known.contains("--add"):
            // Every package is unpacked by now, and of two that hold one path it is known which wins: a diversion
            // matters only where it moves a file that is there.
            let path = known.last ?? ""
            guard known.contains("--rename") else { return .some(true) }
            guard path.hasPrefix("/"), !arguments.contains(nil),
                effects.tree.resolve(path, followLast: false).flatMap(effects.tree.entry) == nil
            else { return .none }
            return .some(true)
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
        case "id":
            guard let user = known.last, !user.hasPrefix("-"), !arguments.contains(nil) else { return .none }
            emit(nil)
            return .some(effects.accounts.hasUser(user))
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
        default: return .none
        }
    }

    private func find(program: String) -> String? {
        if program.hasPrefix("/") { return effects.tree.find(program) == nil ? nil : program }
        for folder in ["usr/local/sbin", "usr/local/bin", "usr/sbin", "usr/bin"] {
            if effects.tree.find("\(folder)/\(program)") != nil { return "/\(folder)/\(program)" }
        }
        return nil
    }
}
