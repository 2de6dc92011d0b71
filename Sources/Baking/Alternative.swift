/// One choice that a package offers for a generic name, as `update-alternatives --install` takes it.
struct Alternative: Hashable {
    struct Link: Hashable {
        /// Where users find it, such as `/usr/bin/awk`.
        var link: String
        var name: String
        /// What it stands for, such as `/usr/bin/mawk`.
        var path: String
    }

    var main: Link
    var priority: Int
    var slaves: [Link] = []

    /// Nil where the words are no such call.
    init?(parsing arguments: [String]) {
        var rest = arguments.filter { $0 != "--quiet" && $0 != "--force" && $0 != "--verbose" }[...]
        func link() -> Link? {
            guard rest.count >= 3 else { return nil }
            let words = Array(rest.prefix(3))
            rest = rest.dropFirst(3)
            guard words[0].hasPrefix("/"), words[2].hasPrefix("/"), !words[1].isEmpty, !words[1].contains("/")
            else {
                return nil
            }
            return Link(link: words[0], name: words[1], path: words[2])
        }
        guard rest.popFirst() == "--install", let main = link(),
            let priority = rest.popFirst().flatMap({ Int($0) })
        else { return nil }
        self.main = main
        self.priority = priority
        while let word = rest.popFirst() {
            guard word == "--slave", let slave = link() else { return nil }
            slaves.append(slave)
        }
    }

    /// For each name the choice of the highest priority; of equal ones the first by path.
    static func chosen(_ alternatives: [Alternative]) -> [Alternative] {
        Dictionary(grouping: alternatives, by: \.main.name).values.compactMap { choices in
            choices.min { left, right in
                left.priority != right.priority
                    ? left.priority > right.priority : left.main.path < right.main.path
            }
        }.sorted { $0.main.name < $1.main.name }
    }

    /// Makes the links of a choice: the generic name → /etc/alternatives → the file. Slaves whose file the image lacks
    /// are left out, as update-alternatives does.
    func apply(to tree: inout EffectTree) {
        guard tree.find(main.path) != nil else { return }
        for link in [main] + slaves where tree.find(link.path) != nil {
            _ = tree.makeFolder("/etc/alternatives")
            _ = tree.makeFolder("/" + ImagePath.parent(of: ImagePath.normalized(link.link)))
            _ = tree.link(
                "/etc/alternatives/\(link.name)", to: link.path, replacing: true, insideFolder: false)
            _ = tree.link(
                link.link, to: "/etc/alternatives/\(link.name)", replacing: true, insideFolder: false)
        }
    }
}
