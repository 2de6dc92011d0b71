import ImageFormat

/// The commands by which scripts change an image.
extension ScriptEvaluator {
    /// Makes the change that a command stands for. The outer nil: it is not understood.
    mutating func change(_ name: String, _ arguments: [String]) -> Bool?? {
        let options = Options(arguments)
        switch name {
        case "mkdir": return makeFolders(options)
        case "ln": return link(options)
        case "touch":
            guard options.flags.isEmpty || options.flags == ["c"] else { return .none }
            return each(options.operands) { tree, path, umask in
                tree.find(path) != nil || tree.write(path, [], mode: 0o666 & ~umask)
            }
        case "chmod": return chmod(options)
        case "chown", "chgrp": return chown(name, options)
        case "cp": return copy(options)
        case "install": return install(arguments)
        case "mv": return move(options)
        case "rm", "rmdir", "unlink": return remove(name, options)
        case "update-alternatives": return alternatives(arguments)
        case "dpkg-statoverride": return override(arguments)
        case "adduser", "addgroup", "useradd", "groupadd", "usermod", "passwd", "chage":
            return effects.accounts.take(name, arguments) ? .some(true) : .none
        default: return .none
        }
    }

    /// The short flags, long options and operands of a command.
    private struct Options {
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
            guard path.hasPrefix("/") else { return .none }
            if !body(&effects.tree, path, umask) { isDone = false }
        }
        return .some(isDone)
    }

    private mutating func makeFolders(_ options: Options) -> Bool?? {
        var operands = options.operands
        var mode = 0o777 & ~umask
        let hasMode = options.flags.contains("m")
        guard options.only("pvm", long: ["parents"]) else { return .none }
        if hasMode {
            guard let text = operands.first, let given = Int(text, radix: 8) else { return .none }
            mode = given
            operands.removeFirst()
        }
        let hasParents = options.flags.contains("p") || options.long.contains("parents")
        return each(operands) { tree, path, _ in tree.makeFolder(path, mode: mode, parents: hasParents) }
    }

    private mutating func link(_ options: Options) -> Bool?? {
        guard options.flags.contains("s"), options.only("sfnTvr"), !options.flags.contains("r"),
            options.operands.count == 2, options.operands[1].hasPrefix("/")
        else { return .none }
        return .some(
            effects.tree.link(
                options.operands[1], to: options.operands[0], replacing: options.flags.contains("f"),
                insideFolder: !options.flags.contains("n") && !options.flags.contains("T")))
    }

    private mutating func chmod(_ options: Options) -> Bool?? {
        // A mode such as `-x` looks like a flag; those are left to be named.
        guard options.only("Rvf", long: ["recursive"]), let text = options.operands.first else {
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
        guard options.only("Rhvf", long: ["no-dereference", "recursive"]), let owner = options.operands.first,
            !owner.isEmpty
        else { return .none }
        let parts = owner.split(omittingEmptySubsequences: false, whereSeparator: { $0 == ":" }).map(
            String.init)
        let user = name == "chgrp" || parts[0].isEmpty ? nil : parts[0]
        let group = name == "chgrp" ? parts[0] : parts.count > 1 && !parts[1].isEmpty ? parts[1] : nil
        let isDeep = options.flags.contains("R") || options.long.contains("recursive")
        let follows = !options.flags.contains("h") && !options.long.contains("no-dereference")
        return each(Array(options.operands.dropFirst())) { tree, path, _ in
            guard let place = tree.resolve(path, followLast: follows), tree.entry(place) != nil else {
                return false
            }
            for item in [place] + (isDeep ? tree.paths(below: place) : []) {
                _ = tree.setOwner(item, user: user, group: group, followLast: false)
            }
            return true
        }
    }

    private mutating func copy(_ options: Options) -> Bool?? {
        guard options.only("pafnvduZ"), options.operands.count == 2, options.operands[1].hasPrefix("/") else {
            return .none
        }
        let source = options.operands[0]
        var target = options.operands[1]
        guard let entry = effects.tree.find(source), let content = effects.tree.content(source) else {
            return effects.tree.find(source) == nil ? .some(false) : .none
        }
        if effects.tree.find(target)?.kind == .directory { target += "/" + ImagePath.name(of: source) }
        if options.flags.contains("n"), effects.tree.find(target) != nil { return .some(true) }
        let keepsMode = options.flags.contains("p") || options.flags.contains("a")
        return .some(
            effects.tree.write(
                target, content, size: entry.size, mode: keepsMode ? entry.mode : entry.mode & ~umask))
    }

    private mutating func install(_ arguments: [String]) -> Bool?? {
        var mode = 0o755
        var user: String?
        var group: String?
        var makesFolders = false
        var operands: [String] = []
        var rest = arguments[...]
        while let argument = rest.popFirst() {
            switch argument {
            case "-d", "--directory": makesFolders = true
            case "-D", "-p", "-v", "-c", "-C": break
            case "-m", "-o", "-g":
                guard let value = rest.popFirst() else { return .none }
                if argument == "-o" { user = value }
                if argument == "-g" { group = value }
                if argument == "-m" {
                    guard let given = Int(value, radix: 8) else { return .none }
                    mode = given
                }
            default:
                if argument.hasPrefix("-m"), let given = Int(argument.dropFirst(2), radix: 8) {
                    mode = given
                } else if argument.hasPrefix("-") {
                    return .none
                } else {
                    operands.append(argument)
                }
            }
        }
        guard operands.allSatisfy({ $0.hasPrefix("/") }) else { return .none }
        var made: [String] = []
        if makesFolders {
            for path in operands {
                guard effects.tree.makeFolder(path) else { return .some(false) }
                made.append(path)
            }
        } else {
            guard operands.count == 2, let entry = effects.tree.find(operands[0]),
                let content = effects.tree.content(operands[0])
            else { return .none }
            var target = operands[1]
            if effects.tree.find(target)?.kind == .directory {
                target += "/" + ImagePath.name(of: operands[0])
            }
            guard effects.tree.write(target, content, size: entry.size, mode: mode) else {
                return .some(false)
            }
            made.append(target)
        }
        for path in made {
            _ = effects.tree.setMode(path, mode)
            _ = effects.tree.setOwner(path, user: user, group: group)
        }
        return .some(true)
    }

    private mutating func move(_ options: Options) -> Bool?? {
        guard options.only("fnv"), options.operands.count == 2 else { return .none }
        let (source, target) = (options.operands[0], options.operands[1])
        guard let place = effects.tree.resolve(source, followLast: false), effects.tree.entry(place) != nil
        else {
            return .some(false)
        }
        // What a package holds stays where it is: only what a script made can go elsewhere.
        guard let change = effects.tree.changes[place] else { return .none }
        let isDone =
            switch change.entry.kind {
            case .file:
                effects.tree.write(target, change.content, size: change.entry.size, mode: change.entry.mode)
            case .symlink:
                effects.tree.link(target, to: change.entry.link, replacing: true, insideFolder: false)
            default: false
            }
        return isDone && effects.tree.remove(source) ? .some(true) : .none
    }

    private mutating func remove(_ name: String, _ options: Options) -> Bool?? {
        for path in options.operands {
            guard path.hasPrefix("/") else { return .none }
            guard let place = effects.tree.resolve(path, followLast: false), effects.tree.entry(place) != nil
            else {
                continue
            }
            let below = effects.tree.paths(below: place)
            if name == "rmdir" { return .some(effects.tree.removeFolder(path)) }
            for item in below.reversed() + [place] where !effects.tree.remove(item) { return .none }
        }
        return .some(true)
    }

    private mutating func alternatives(_ arguments: [String]) -> Bool?? {
        if arguments.contains(where: {
            ["--auto", "--remove", "--remove-all", "--display", "--list"].contains($0)
        }) {
            return .some(true)
        }
        guard let alternative = Alternative(parsing: arguments) else { return .none }
        effects.alternatives.append(alternative)
        return .some(true)
    }

    /// `dpkg-statoverride --update --add user group mode path`.
    private mutating func override(_ arguments: [String]) -> Bool?? {
        let words = arguments.filter { !$0.hasPrefix("--") }
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
