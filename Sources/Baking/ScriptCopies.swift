import ImageFormat

/// The commands that give files a second or another place.
extension ScriptEvaluator {
    mutating func copy(_ options: Options) -> Bool?? {
        guard options.only("pafnvduZrRLT", long: ["preserve", "no-clobber", "recursive", "force"]),
            options.operands.count >= 2, let target = absolute(options.operands[options.operands.count - 1])
        else { return .none }
        let isDeep = !options.flags.isDisjoint(with: "arR") || options.long.contains("recursive")
        let keepsMode = !options.flags.isDisjoint(with: "pa") || options.long.contains("preserve")
        let keepsOld = options.flags.contains("n") || options.long.contains("no-clobber")
        var isDone = true
        for operand in options.operands.dropLast() {
            guard let source = absolute(operand),
                !LeftOut.isElsewhere(source) || effects.tree.find(source) != nil
            else {
                // What the kernel or another program would have put there cannot be copied.
                return operand == "/dev/null"
                    ? .some(effects.tree.write(target, [], mode: 0o666 & ~umask)) : .none
            }
            guard let place = effects.tree.resolve(source, followLast: !isDeep || operand.hasSuffix("/")),
                let entry = effects.tree.entry(place)
            else {
                isDone = false
                continue
            }
            var wanted = target
            // `cp -r FOLDER/. TARGET` takes what is inside.
            let isInside = operand.hasSuffix("/.")
            if !isInside, effects.tree.find(target)?.kind == .directory, !options.flags.contains("T") {
                wanted += "/" + ImagePath.name(of: source.hasSuffix("/") ? String(source.dropLast()) : source)
            }
            if keepsOld, effects.tree.find(wanted) != nil { continue }
            if entry.kind == .directory {
                guard isDeep else {
                    isDone = false
                    continue
                }
                isDone = copyFolder(place, to: wanted, keepsMode: keepsMode) && isDone
            } else {
                isDone = copyOne(place, entry, to: wanted, keepsMode: keepsMode) && isDone
            }
        }
        return .some(isDone)
    }

    private mutating func copyFolder(_ source: String, to target: String, keepsMode: Bool) -> Bool {
        guard let goal = effects.tree.resolve(target), goal != source, !goal.hasPrefix(source + "/") else {
            return false
        }
        let items = effects.tree.paths(below: source)
        _ = effects.tree.makeFolder(target)
        for item in items {
            guard let entry = effects.tree.entry(item) else { continue }
            let place = target + item.dropFirst(source.count)
            if entry.kind == .directory {
                _ = effects.tree.makeFolder(place, mode: keepsMode ? entry.mode : 0o777 & ~umask)
            } else if !copyOne(item, entry, to: place, keepsMode: keepsMode) {
                return false
            }
        }
        return true
    }

    private mutating func copyOne(_ source: String, _ entry: TarEntry, to target: String, keepsMode: Bool)
        -> Bool
    {
        if entry.kind == .symlink {
            return effects.tree.link(target, to: entry.link, replacing: true, insideFolder: false)
        }
        guard let content = effects.tree.content("/" + source) else { return false }
        let original = effects.tree.find("/" + source) ?? entry
        guard
            effects.tree.write(
                target, content, size: original.size, mode: keepsMode ? original.mode : original.mode & ~umask
            )
        else { return false }
        if keepsMode, let old = effects.tree.changes[source] {
            _ = effects.tree.setOwner(target, user: old.user, group: old.group)
        }
        return true
    }

    mutating func install(_ arguments: [String]) -> Bool?? {
        var mode = 0o755
        var user: String?
        var group: String?
        var (makesFolders, makesParents) = (false, false)
        var operands: [String] = []
        var rest = arguments[...]
        while let argument = rest.popFirst() {
            let parts = argument.split(separator: "=", maxSplits: 1).map(String.init)
            let long = ["--mode": "-m", "--owner": "-o", "--group": "-g"][parts[0]]
            switch argument {
            case "-d", "--directory": makesFolders = true
            case "-D": makesParents = true
            case "-p", "-v", "-c", "-C", "-Z", "-T", "--preserve-timestamps", "--verbose": break
            case "-dm": makesFolders = true; rest.insert("-m", at: rest.startIndex)
            default:
                guard argument.hasPrefix("-") else {
                    operands.append(argument)
                    continue
                }
                let name = long ?? String(argument.prefix(2))
                guard ["-m", "-o", "-g"].contains(name) else { return .none }
                let inside = long != nil ? (parts.count > 1 ? parts[1] : "") : String(argument.dropFirst(2))
                guard let value = inside.isEmpty ? rest.popFirst() : inside else { return .none }
                if name == "-o" { user = value }
                if name == "-g" { group = value }
                if name == "-m" {
                    guard let given = FileMode.changed(0, by: value, isFolder: makesFolders) else {
                        return .none
                    }
                    mode = given
                }
            }
        }
        let places = operands.compactMap(absolute)
        guard places.count == operands.count, !places.isEmpty else { return .none }
        var made: [String] = []
        if makesFolders {
            for path in places {
                guard effects.tree.makeFolder(path) else { return .some(false) }
                made.append(path)
            }
        } else {
            guard places.count >= 2 else { return .none }
            for source in places.dropLast() {
                var target = places[places.count - 1]
                if effects.tree.find(target)?.kind == .directory {
                    target += "/" + ImagePath.name(of: source)
                }
                if makesParents { _ = effects.tree.makeFolder(ImagePath.parent(of: target)) }
                let isEmpty = source == "/dev/null"
                guard let content = isEmpty ? .bytes([]) : effects.tree.content(source) else {
                    return effects.tree.find(source) == nil && !LeftOut.isElsewhere(source)
                        ? .some(false) : .none
                }
                let size = isEmpty ? 0 : effects.tree.find(source)?.size ?? 0
                guard effects.tree.write(target, content, size: size, mode: mode) else { return .some(false) }
                made.append(target)
            }
        }
        for path in made {
            _ = effects.tree.setMode(path, mode)
            _ = effects.tree.setOwner(path, user: user, group: group)
        }
        return .some(true)
    }

    mutating func move(_ options: Options) -> Bool?? {
        guard options.only("fnvZT", long: ["force"]), options.operands.count == 2,
            let source = absolute(options.operands[0]),
            let target = absolute(options.operands[1])
        else { return .none }
        guard let place = effects.tree.resolve(source, followLast: false),
            let entry = effects.tree.entry(place)
        else { return .some(false) }
        if options.flags.contains("n"), effects.tree.find(target) != nil { return .some(true) }
        guard entry.kind != .directory else { return .none }
        return .some(effects.tree.move(source, to: target))
    }

    /// `ucf NEW FILE` at a first installation: the file is the new one, unless somebody made one before.
    mutating func takeConfiguration(_ arguments: [String]) -> Bool?? {
        var operands: [String] = []
        var rest = arguments[...]
        while let word = rest.popFirst() {
            switch word {
            case "-p", "--purge": return .some(true)
            case "-s", "--src-dir", "-S", "--sum-file", "--state-dir": _ = rest.popFirst()
            default: if !word.hasPrefix("-") { operands.append(word) }
            }
        }
        guard operands.count == 2, let source = absolute(operands[0]), let target = absolute(operands[1])
        else {
            return .none
        }
        guard let entry = effects.tree.find(source), let content = effects.tree.content(source) else {
            return .some(false)
        }
        if effects.tree.find(target) != nil { return .some(true) }
        return .some(effects.tree.write(target, content, size: entry.size, mode: entry.mode))
    }

    /// `dpkg-divert --add --rename`: what another package holds there goes out of the way. Without `--rename` nothing
    /// moves: every package is unpacked by now, and of two that hold one path it is known which wins.
    mutating func divert(_ arguments: [String]) -> Bool?? {
        var (owner, goal, path, renames) = (String?.none, String?.none, String?.none, false)
        var rest = arguments[...]
        while let word = rest.popFirst() {
            switch word {
            case "--package": owner = rest.popFirst()
            case "--divert": goal = rest.popFirst()
            case "--rename": renames = true
            case "--add", "--quiet", "--no-rename", "--local": break
            default:
                guard word.hasPrefix("/") else { return .none }
                path = word
            }
        }
        guard let path else { return .none }
        guard renames, let place = effects.tree.resolve(path, followLast: false),
            effects.tree.entry(place) != nil,
            effects.tree.changes[place] != nil || effects.tree.owner(place) != owner
        else { return .some(true) }
        return .some(effects.tree.move(path, to: goal ?? path + ".distrib"))
    }

    /// A name that no other file has; what is there at the end of all scripts is taken away again.
    mutating func makeTemporary(_ options: Options) -> Bool?? {
        let number = effects.temporaries.count + 1
        let template =
            options.operands.first.map { $0.replacing(/X+$/, with: "\(number)") } ?? "kiln-\(number)"
        let path = template.hasPrefix("/") ? template : "/tmp/" + template
        let isMade =
            options.flags.contains("d")
            ? effects.tree.makeFolder(path, mode: 0o700) : effects.tree.write(path, [], mode: 0o600)
        effects.temporaries.append(path)
        emit(path + "\n")
        return .some(isMade)
    }
}
