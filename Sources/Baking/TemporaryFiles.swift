import ImageFormat

/// `systemd-tmpfiles --create` (tmpfiles.d(5)) for what lasts: folders, files, links, owners and modes. What lies in
/// folders that are emptied at every start is left alone; it would be hidden there.
struct TemporaryFiles {
    private var names: [String] = []
    private var excluded: [String] = []
    private var only: [String] = []

    private static let folders = ["/etc/tmpfiles.d", "/usr/lib/tmpfiles.d"]

    /// Nil for a call that does something else than create.
    init?(_ arguments: [String]) {
        for argument in arguments {
            let parts = argument.split(separator: "=", maxSplits: 1).map(String.init)
            switch parts[0] {
            case "--create", "--root", "--graceful": break
            case "--exclude-prefix": if parts.count > 1 { excluded.append(parts[1]) }
            case "--prefix": if parts.count > 1 { only.append(parts[1]) }
            default:
                guard !argument.hasPrefix("-") else { return nil }
                names.append(argument)
            }
        }
        guard arguments.contains("--create") else { return nil }
    }

    /// Makes what the files ask for; answers whether all of them are there.
    func make(in tree: inout EffectTree) -> Bool {
        var wanted = names
        if wanted.isEmpty {
            wanted = Set(TemporaryFiles.folders.flatMap { tree.names(in: $0) }).filter {
                $0.hasSuffix(".conf")
            }
            .sorted(by: TarEntry.precedes)
        }
        var isDone = true
        for name in wanted {
            let paths = name.hasPrefix("/") ? [name] : TemporaryFiles.folders.map { $0 + "/" + name }
            guard let text = paths.compactMap({ tree.text($0) }).first else {
                isDone = false
                continue
            }
            for line in text.split(separator: "\n") where !line.hasPrefix("#") { make(line, in: &tree) }
        }
        return isDone
    }

    private func make(_ line: Substring, in tree: inout EffectTree) {
        let words = line.split(maxSplits: 6, whereSeparator: { $0 == " " || $0 == "\t" }).map(String.init)
        guard words.count >= 2, let kind = words[0].first else { return }
        let path = words[1].replacing("%%", with: "\u{0}")
        func field(_ index: Int) -> String? {
            guard words.indices.contains(index), words[index] != "-" else { return nil }
            // With a colon it counts only for what is made here; everything is.
            return words[index].hasPrefix(":") ? String(words[index].dropFirst()) : words[index]
        }
        // Lines with `!` are for a start of a machine; a `%` stands for something of its own.
        guard path.hasPrefix("/"), !words[0].contains("!"), !path.contains("%"), !LeftOut.isElsewhere(path),
            !path.hasPrefix("/var/tmp/"), !excluded.contains(where: path.hasPrefix),
            only.isEmpty || only.contains(where: path.hasPrefix)
        else { return }
        let place = path.replacing("\u{0}", with: "%")
        let mode = field(2).flatMap { Int($0.drop { !$0.isNumber }, radix: 8) }
        let isThere = tree.find(place) != nil
        switch kind {
        case "d", "D", "v", "q", "Q", "e":
            if kind == "e", !isThere { return }
            guard tree.makeFolder(place, mode: mode ?? 0o755) else { return }
        case "f", "F":
            let text = (field(6) ?? "").replacing("\\n", with: "\n")
            if isThere, !words[0].contains("+") { break }
            guard !text.contains("%"), tree.makeFolder(ImagePath.parent(of: place)),
                tree.write(place, Array(text.utf8), mode: mode ?? 0o644)
            else { return }
        case "L":
            if tree.resolve(place, followLast: false).flatMap(tree.entry) != nil, !words[0].contains("+") {
                return
            }
            guard tree.makeFolder(ImagePath.parent(of: place)) else { return }
            _ = tree.link(
                place, to: field(6) ?? "/usr/share/factory" + place, replacing: true, insideFolder: false)
            return
        case "z", "Z":
            for found in tree.matches(place) {
                settle(found, mode, field(3), field(4), isDeep: kind == "Z", in: &tree)
            }
            return
        default: return
        }
        settle(place, mode, field(3), field(4), isDeep: false, in: &tree)
    }

    private func settle(
        _ path: String, _ mode: Int?, _ user: String?, _ group: String?, isDeep: Bool,
        in tree: inout EffectTree
    ) {
        guard let place = tree.resolve(path) else { return }
        for item in [place] + (isDeep ? tree.paths(below: place) : []) {
            if let mode { _ = tree.setMode("/" + item, mode) }
            _ = tree.setOwner("/" + item, user: user, group: group, followLast: false)
        }
    }
}
