import ImageFormat

/// `/etc/shells`, as `update-shells` and `add-shell` (debianutils) keep it.
enum ShellList {
    private static let file = "/etc/shells"
    private static let state = "/var/lib/shells.state"
    private static let template = "/usr/share/debianutils/shells"
    private static let folder = "/usr/share/debianutils/shells.d"

    /// Adds the shells that packages name in `shells.d`, with the paths that they have on a merged /usr.
    static func update(_ tree: inout EffectTree) {
        var shells: [String] = []
        for path in [template] + tree.names(in: folder).map({ folder + "/" + $0 }) {
            for line in lines(tree.text(path) ?? "") { shells += [line] + real(line, tree) }
        }
        var seen: Set<String> = []
        shells = shells.filter { seen.insert($0).inserted }
        let before = lines(tree.text(state) ?? "")
        add(shells.filter { !before.contains($0) }, to: &tree)
        _ = tree.write(state, Array(shells.map { $0 + "\n" }.joined().utf8))
    }

    /// Adds shells that are not in the list yet.
    static func add(_ shells: [String], to tree: inout EffectTree) {
        var text = tree.text(file) ?? tree.text(template) ?? "# /etc/shells: valid login shells\n"
        var known = Set(lines(text))
        for shell in shells.flatMap({ [$0] + real($0, tree) }) where known.insert(shell).inserted {
            text += shell + "\n"
        }
        _ = tree.write(file, Array(text.utf8))
    }

    private static func lines(_ text: String) -> [String] {
        text.split(separator: "\n").map { String($0.prefix { $0 != "#" }) }.filter { !$0.isEmpty }
    }

    /// The path with the links of its folder followed, where it is another.
    private static func real(_ shell: String, _ tree: EffectTree) -> [String] {
        let folder = ImagePath.parent(of: shell)
        guard let place = tree.resolve(folder) else { return [] }
        let path = "/" + (place.isEmpty ? "" : place + "/") + ImagePath.name(of: shell)
        return path == shell ? [] : [path]
    }
}

/// The locales that an image would have to make.
enum LocaleList {
    /// Whether `/etc/locale.gen` asks for none: then there is nothing to generate.
    static func isEmpty(_ tree: EffectTree) -> Bool {
        (tree.text("/etc/locale.gen") ?? "").split(separator: "\n").allSatisfy {
            $0.hasPrefix("#") || $0.allSatisfy(\.isWhitespace)
        }
    }
}
