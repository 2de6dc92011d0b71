import ImageFormat

/// The commands by which scripts change an image.
extension ScriptEvaluator {
    /// Every command that `change` knows.
    static let changes: Set<String> = [
        "a2disconf", "a2dismod", "a2dissite", "a2enconf", "a2enmod", "a2ensite", "add-shell", "addgroup",
        "adduser",
        "chage", "chgrp", "chmod", "chown", "cp", "dpkg-divert", "dpkg-statoverride", "find", "gpasswd",
        "groupadd",
        "groupmod", "install", "ln", "locale-gen", "mkdir", "mktemp", "mv", "pam-auth-update", "passwd",
        "postconf", "rm",
        "rmdir",
        "systemd-tmpfiles", "touch", "truncate", "ucf", "unlink", "update-alternatives", "update-locale",
        "update-shells", "useradd", "usermod",
    ]

    /// Makes the change that a command stands for. The outer nil: it is not understood.
    mutating func change(_ name: String, _ arguments: [String]) -> Bool?? {
        let options = Options(arguments)
        switch name {
        case "ucf": return takeConfiguration(arguments)
        case "dpkg-divert": return divert(arguments)
        case "mktemp": return makeTemporary(options)
        case "pam-auth-update":
            effects.wantsProfiles = true
            return .some(true)
        case "update-shells":
            ShellList.update(&effects.tree)
            return .some(true)
        case "add-shell":
            ShellList.add(options.operands, to: &effects.tree)
            return .some(true)
        case "systemd-tmpfiles":
            return TemporaryFiles(arguments).map { .some($0.make(in: &effects.tree)) } ?? .none
        case "a2enmod", "a2enconf", "a2ensite", "a2dismod", "a2disconf", "a2dissite":
            return ApacheParts(name).map { .some($0.change(options.operands, in: &effects.tree)) } ?? .none
        case "postconf": return PostfixSettings.edit(arguments, in: &effects.tree).map { .some($0) } ?? .none
        case "locale-gen", "update-locale": return LocaleList.isEmpty(effects.tree) ? .some(true) : .none
        case "mkdir": return makeFolders(options)
        case "ln": return link(options)
        case "touch":
            guard options.only("ac"), options.long.isEmpty else { return .none }
            return each(options.operands) { tree, path, umask in
                tree.find(path) != nil || options.flags.contains("c")
                    || tree.write(path, [], mode: 0o666 & ~umask)
            }
        case "chmod": return chmod(options)
        case "chown", "chgrp": return chown(name, options)
        case "cp": return copy(options)
        case "install": return install(arguments)
        case "mv": return move(options)
        case "rm", "rmdir", "unlink": return remove(name, options)
        case "update-alternatives": return alternatives(arguments)
        case "dpkg-statoverride": return override(arguments)
        case "adduser", "addgroup", "useradd", "groupadd", "usermod", "groupmod", "passwd", "chage",
            "gpasswd":
            return effects.accounts.take(name, arguments) ? .some(true) : .none
        default: return .none
        }
    }

    /// The short flags, long options and operands of a command.
    struct Options {
        var flags: Set<Character> = []
        var long: [String] = []
        var operands: [String] = []

        init(_ arguments: [String]) {
            var isOperandsOnly = false
            for argument in arguments {
                if isOperandsOnly || !argument.hasPrefix("-") || argument == "-" {
                    operands.append(argument)
                } else if argument == "--" {
                    isOperandsOnly = true
                } else if argument.hasPrefix("--") {
                    long.append(String(argument.dropFirst(2)))
                } else {
                    flags.formUnion(argument.dropFirst())
                }
            }
        }

        /// Whether nothing but these was given.
        func only(_ allowed: String, long allowedLong: [String] = []) -> Bool {
            flags.isSubset(of: Set(allowed)) && long.allSatisfy { allowedLong.contains($0) }
        }
    }

    private mutating func each(
        _ paths: [String], _ body: (inout EffectTree, String, Int) -> Bool
    ) -> Bool?? {
        var isDone = true
        for path in paths {
            guard let place = absolute(path) else { return .none }
            if !body(&effects.tree, place, umask) { isDone = false }
        }
        return .some(isDone)
    }

    private mutating func makeFolders(_ options: Options) -> Bool?? {
        var operands = options.operands
        var mode = 0o777 & ~umask
        let hasMode = options.flags.contains("m")
        guard options.only("pvmZ", long: ["parents"]) else { return .none }
        if hasMode {
            guard let text = operands.first, let given = Int(text, radix: 8) else { return .none }
            mode = given
            operands.removeFirst()
        }
        let hasParents = options.flags.contains("p") || options.long.contains("parents")
        return each(operands) { tree, path, _ in tree.makeFolder(path, mode: mode, parents: hasParents) }
    }

    private mutating func link(_ options: Options) -> Bool?? {
        guard options.flags.contains("s") || options.long.contains("symbolic"),
            options.only("sfnTv", long: ["symbolic", "force", "no-dereference"]),
            (1...2).contains(options.operands.count),
            let place = absolute(
                options.operands.count == 2 ? options.operands[1] : ImagePath.name(of: options.operands[0]))
        else { return .none }
        return .some(
            effects.tree.link(
                place, to: options.operands[0],
                replacing: options.flags.contains("f") || options.long.contains("force"),
                insideFolder: !options.flags.contains("n") && !options.flags.contains("T")))
    }

    private mutating func chmod(_ options: Options) -> Bool?? {
        // A mode such as `-x` looks like a flag; those are left to be named.
        guard options.only("Rvfc", long: ["recursive", "quiet", "changes"]), let text = options.operands.first
        else {
            return .none
        }
        let isDeep = options.flags.contains("R") || options.long.contains("recursive")
        guard FileMode.changed(0, by: text, isFolder: false) != nil else { return .none }
        return each(Array(options.operands.dropFirst())) { tree, path, _ in
            guard let place = tree.resolve(path), tree.entry(place) != nil else { return false }
            for item in [place] + (isDeep ? tree.paths(below: place) : []) {
                guard let entry = tree.entry(item), entry.kind != .symlink,
                    let mode = FileMode.changed(entry.mode, by: text, isFolder: entry.kind == .directory)
                else { continue }
                _ = tree.setMode(item, mode)
            }
            return true
        }
    }

    private mutating func chown(_ name: String, _ options: Options) -> Bool?? {
        guard options.only("RhvfcHP", long: ["no-dereference", "recursive", "quiet", "changes"]),
            let owner = options.operands.first,
            !owner.isEmpty
        else { return .none }
        // `user.group` is the older way to write it.
        let mark: Character = owner.contains(":") || effects.accounts.hasUser(owner) ? ":" : "."
        let parts = owner.split(separator: mark, maxSplits: 1, omittingEmptySubsequences: false).map(
            String.init)
        let user = name == "chgrp" || parts[0].isEmpty ? nil : parts[0]
        let group = name == "chgrp" ? parts[0] : parts.count > 1 && !parts[1].isEmpty ? parts[1] : nil
        let isDeep = options.flags.contains("R") || options.long.contains("recursive")
        // An account that nobody has made yet: the real command fails, and scripts then make it.
        let isKnown =
            (user.map { effects.accounts.hasUser($0) || Int($0) != nil } ?? true)
            && (group.map { effects.accounts.hasGroup($0) || Int($0) != nil } ?? true)
        let follows = !options.flags.contains("h") && !options.long.contains("no-dereference")
        return each(Array(options.operands.dropFirst())) { tree, path, _ in
            guard let place = tree.resolve(path, followLast: follows), tree.entry(place) != nil else {
                return false
            }
            for item in [place] + (isDeep ? tree.paths(below: place) : []) {
                _ = tree.setOwner(item, user: user, group: group, followLast: false)
            }
            return isKnown
        }
    }

    private mutating func remove(_ name: String, _ options: Options) -> Bool?? {
        guard options.only("rRfvdp", long: ["force", "recursive", "ignore-fail-on-non-empty"]) else {
            return .none
        }
        var status = true
        for operand in options.operands {
            guard let path = absolute(operand) else { return .none }
            guard let place = effects.tree.resolve(path, followLast: false), effects.tree.entry(place) != nil
            else {
                status = status && options.flags.contains("f")
                continue
            }
            if name == "rmdir" {
                status = effects.tree.removeFolder(path) && status
            } else if !effects.tree.remove(path) {
                return .none
            }
        }
        return .some(status || options.long.contains("ignore-fail-on-non-empty"))
    }

    private mutating func alternatives(_ arguments: [String]) -> Bool?? {
        if arguments.contains(where: { ["--auto", "--remove", "--remove-all"].contains($0) }) {
            return .some(true)
        }
        if let name = arguments.last,
            arguments.contains(where: { ["--display", "--list", "--query", "--get-selections"].contains($0) })
        {
            let isKnown = effects.alternatives.contains { $0.main.name == name }
            for choice in Alternative.chosen(effects.alternatives) where choice.main.name == name {
                let isQuery = arguments.contains("--query")
                emit(isQuery ? "Name: \(name)\nLink: \(choice.main.link)\nValue: \(choice.main.path)\n" : nil)
            }
            return .some(isKnown)
        }
        guard let alternative = Alternative(parsing: arguments) else { return .none }
        effects.alternatives.append(alternative)
        return .some(true)
    }

    /// `dpkg-statoverride --update --add user group mode path`.
    private mutating func override(_ arguments: [String]) -> Bool?? {
        let words = arguments.filter { !$0.hasPrefix("--") }
        if arguments.contains("--remove") {
            return .some(effects.overrides.remove(ImagePath.normalized(words.last ?? "")) != nil)
        }
        guard arguments.contains("--add"), words.count == 4, let mode = Int(words[2], radix: 8),
            words[3].hasPrefix("/")
        else { return .none }
        effects.overrides.insert(ImagePath.normalized(words[3]))
        guard arguments.contains("--update") else { return .some(true) }
        return .some(
            effects.tree.setOwner(words[3], user: words[0], group: words[1])
                && effects.tree.setMode(words[3], mode))
    }
}
