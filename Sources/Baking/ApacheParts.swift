import ImageFormat

/// The modules, configurations and sites of Apache, as `a2enmod` and its kin switch them on and off: by links.
struct ApacheParts {
    private let kind: String
    private let isEnabling: Bool
    private var suffix: String { kind == "mods" ? ".load" : ".conf" }
    /// What its notes are called by.
    private var object: String { ["mods": "module", "conf": "conf", "sites": "site"][kind] ?? kind }

    private enum Limit {
        static let depth = 20
    }

    /// By the name of the program; nil for another.
    init?(_ program: String) {
        guard program.hasPrefix("a2en") || program.hasPrefix("a2dis") else { return nil }
        isEnabling = program.hasPrefix("a2en")
        let kinds = ["mod": "mods", "conf": "conf", "site": "sites"]
        guard let kind = kinds[String(program.dropFirst(isEnabling ? 4 : 5))] else { return nil }
        self.kind = kind
    }

    /// Switches all of them; false where one does not exist or needs what cannot be had.
    func change(_ names: [String], in tree: inout EffectTree) -> Bool {
        var isDone = true
        for name in names {
            let plain = name.hasSuffix(suffix) ? String(name.dropLast(suffix.count)) : name
            isDone = (isEnabling ? enable(plain, in: &tree, depth: 0) : disable(plain, in: &tree)) && isDone
        }
        return isDone
    }

    private func path(_ name: String, _ state: String) -> String { "/etc/apache2/\(kind)-\(state)/\(name)" }

    private func enable(_ name: String, in tree: inout EffectTree, depth: Int) -> Bool {
        guard depth < Limit.depth, let text = tree.text(path(name + suffix, "available")) else {
            return false
        }
        if kind == "mods" {
            for needed in ApacheParts.names("Depends", in: text) {
                guard enable(needed, in: &tree, depth: depth + 1) else { return false }
            }
            if ApacheParts.names("Conflicts", in: text).contains(where: {
                tree.find(path($0 + suffix, "enabled")) != nil
            }) {
                return false
            }
        }
        for ending in kind == "mods" ? [".conf", ".load"] : [".conf"]
        where tree.find(path(name + ending, "available")) != nil {
            _ = tree.link(
                path(name + ending, "enabled"), to: "../\(kind)-available/\(name)\(ending)", replacing: false,
                insideFolder: false)
        }
        // Later versions of the package ask what an earlier one switched on.
        let marks = "/var/lib/apache2/\(object)/enabled_by_maint"
        if tree.find(marks) != nil { _ = tree.write("\(marks)/\(name)", []) }
        return true
    }

    private func disable(_ name: String, in tree: inout EffectTree) -> Bool {
        for ending in [".conf", ".load"] where tree.find(path(name + ending, "enabled")) != nil {
            _ = tree.remove(path(name + ending, "enabled"))
        }
        return true
    }

    /// The words of a `# Depends:` line at the head of a file.
    private static func names(_ field: String, in text: String) -> [String] {
        for line in text.split(separator: "\n").prefix(while: { $0.hasPrefix("#") })
        where line.hasPrefix("# \(field):") {
            return line.dropFirst(field.count + 3).split(separator: " ").map(String.init)
        }
        return []
    }
}
