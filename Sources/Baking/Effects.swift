import ImageFormat
import Model

/// All that maintainer scripts would have done to an image, collected while they are followed.
struct Effects: Equatable {
    var tree: EffectTree
    var accounts: AccountRequests
    var alternatives: [Alternative] = []
    /// Paths with a dpkg-statoverride.
    var overrides: Set<String> = []
    /// Files that `mktemp` made.
    var temporaries: [String] = []
    /// Whether a script asked for the PAM files that follow from all packages' profiles.
    var wantsProfiles = false

    /// What becomes of an image once everything is settled.
    struct Outcome {
        var tree: EffectTree
        var accounts: Accounts
        /// Steps of scripts that would have mattered and were not understood.
        var warnings: [String]
        /// Steps that were refused on purpose, and what to do instead.
        var notes: [String]
    }

    /// Makes the effects of a set of packages: nothing but their content decides, and nothing is run.
    static func settle(
        _ packages: [PackageFragment], base: ImageTree, architecture: Architecture,
        content: @escaping (String) -> [UInt8]?
    ) throws -> Outcome {
        func kept(_ path: String) -> [UInt8]? {
            packages.lazy.compactMap { $0.kept[path] }.first
        }
        func text(_ path: String) -> String? { kept(path).map { String(decoding: $0, as: UTF8.self) } }
        let masters = "usr/share/base-passwd/"
        var accounts = Accounts(
            passwd: text(masters + "passwd.master") ?? "root:*:0:0:root:/root:/bin/sh\n",
            group: text(masters + "group.master") ?? "root:*:0:\n")
        let newest = packages.map(\.modifiedAt).max() ?? 0
        var effects = Effects(
            tree: EffectTree(base: base, modifiedAt: newest, packages: packages.map(\.name)) {
                kept($0) ?? content($0)
            },
            accounts: AccountRequests(
                knownUsers: Set(accounts.users.map(\.name)), knownGroups: Set(accounts.groups.map(\.name))))
        effects.makeStandardFolders()
        for package in packages {
            for (path, bytes) in package.kept.sorted(by: { TarEntry.precedes($0.key, $1.key) })
            where path.hasPrefix("usr/lib/sysusers.d/") && path.hasSuffix(".conf") {
                effects.accounts.take(sysusers: String(decoding: bytes, as: UTF8.self))
            }
        }
        let reports = effects.followScripts(of: packages, architecture: architecture)
        if effects.wantsProfiles { PAMProfiles(effects.tree).write(to: &effects.tree) }
        for path in effects.temporaries { _ = effects.tree.remove(path) }
        for alternative in Alternative.chosen(effects.alternatives) { alternative.apply(to: &effects.tree) }
        if packages.contains(where: { $0.name == "ca-certificates" }) {
            let certificates = packages.flatMap {
                $0.kept.filter { $0.key.hasPrefix(CertificateBundle.folder) }
            }
            try CertificateBundle.apply(
                Dictionary(
                    certificates.map { (String($0.key.dropFirst(CertificateBundle.folder.count)), $0.value) }
                ) { first, _ in first }, to: &effects.tree,
                withJavaStore: packages.contains { $0.name == "ca-certificates-java" })
        }
        effects.makeLoaderCache(packages, text: text, architecture: architecture)
        accounts.add(effects.accounts)
        effects.write(accounts)
        let unknown = effects.settleOwners(accounts)
        return Outcome(
            tree: effects.tree, accounts: accounts, warnings: reports.warnings + unknown, notes: reports.notes
        )
    }

    /// Folders that every process counts on, whichever packages there are.
    private mutating func makeStandardFolders() {
        for (path, mode) in [
            ("dev", 0o755), ("etc", 0o755), ("proc", 0o555), ("root", 0o700), ("run", 0o755), ("sys", 0o555),
            ("tmp", 0o1777), ("usr/bin", 0o755), ("usr/sbin", 0o755), ("var/cache", 0o755),
            ("var/lib", 0o755),
            ("var/log", 0o755), ("var/tmp", 0o1777),
        ] where tree.entry(path) == nil {
            _ = tree.makeFolder(path, mode: mode)
        }
    }

    private mutating func followScripts(
        of packages: [PackageFragment], architecture: Architecture
    ) -> (warnings: [String], notes: [String]) {
        var warnings: [String] = []
        var notes: [String] = []
        let packages = Effects.ordered(packages)
        for name in ["preinst", "postinst"] {
            for package in packages {
                guard let script = package.scripts[name] else { continue }
                let coverage = ScriptCoverage.of(package.name)
                if coverage.isWhole(script) { continue }
                let report = ScriptEvaluator.run(
                    script, arguments: name == "preinst" ? ["install"] : ["configure", ""],
                    environment: [
                        "DEBIAN_FRONTEND": "noninteractive", "DPKG_ROOT": "",
                        "DPKG_MAINTSCRIPT_PACKAGE": package.name, "DPKG_MAINTSCRIPT_NAME": name,
                        "DPKG_MAINTSCRIPT_ARCH": architecture.rawValue,
                    ], answers: Debconf.defaults(package.scripts["templates"] ?? ""),
                    covered: coverage.commands, effects: &self)
                warnings += report.unhandled.map {
                    "\(package.name): a step of its \(name) script was not made: line \($0.line): \($0.text)"
                }
                for refusal in report.refused {
                    let note = "\(package.name): \(refusal.rule.note)"
                    if !notes.contains(note) { notes.append(note) }
                }
            }
        }
        return (warnings, notes.sorted(by: TarEntry.precedes))
    }

    /// Packages after those that they depend on, as dpkg configures them; by name where nothing else decides.
    static func ordered(_ packages: [PackageFragment]) -> [PackageFragment] {
        let byName = Dictionary(packages.map { ($0.name, $0) }) { first, _ in first }
        var seen: Set<String> = []
        var result: [PackageFragment] = []
        for package in packages {
            var open = [(package, isReady: false)]
            while let (next, isReady) = open.popLast() {
                if isReady {
                    result.append(next)
                } else if seen.insert(next.name).inserted {
                    open.append((next, isReady: true))
                    let needed = next.control.packageNames("Pre-Depends").union(
                        next.control.packageNames("Depends"))
                    for name in needed.sorted(by: TarEntry.precedes).reversed() {
                        if let other = byName[name], !seen.contains(name) {
                            open.append((other, isReady: false))
                        }
                    }
                }
            }
        }
        return result
    }

    private mutating func makeLoaderCache(
        _ packages: [PackageFragment], text: (String) -> String?, architecture: Architecture
    ) {
        var libraries: [String: String] = [:]
        for package in packages { libraries.merge(package.libraries) { first, _ in first } }
        guard !libraries.isEmpty else { return }
        let names = packages.flatMap(\.kept.keys)
        let folders = LoaderConfiguration.folders(
            text,
            names: { folder in
                names.filter { ImagePath.parent(of: $0) == folder }.sorted(by: TarEntry.precedes)
            },
            multiarch: architecture.multiarch)
        for (path, soname) in libraries.sorted(by: { TarEntry.precedes($0.key, $1.key) })
        where folders.contains(ImagePath.parent(of: path)) {
            let link = ImagePath.parent(of: path) + "/" + soname
            if tree.entry(link) == nil {
                _ = tree.link(link, to: ImagePath.name(of: path), replacing: false, insideFolder: false)
            }
        }
        let cache = LoaderConfiguration.cache(
            folders: folders, libraries: libraries, architecture: architecture)
        _ = tree.write("etc/ld.so.cache", cache)
    }

    private mutating func write(_ accounts: Accounts) {
        for (path, text, mode) in [
            ("etc/passwd", accounts.passwd, 0o644), ("etc/group", accounts.groupFile, 0o644),
            ("etc/shadow", accounts.shadow, 0o640), ("etc/gshadow", accounts.gshadow, 0o640),
        ] {
            _ = tree.write(path, Array(text.utf8), mode: mode)
            if mode == 0o640 { _ = tree.setOwner(path, user: nil, group: "shadow") }
        }
        for (name, user) in self.accounts.users.sorted(by: { $0.key < $1.key })
        where user.makesHome && tree.find(user.home) == nil {
            _ = tree.makeFolder(user.home)
            _ = tree.setOwner(user.home, user: name, group: nil)
        }
    }

    /// Turns owners by name into numbers; says which names nobody has.
    private mutating func settleOwners(_ accounts: Accounts) -> [String] {
        var unknown: Set<String> = []
        for var change in tree.changes.values where change.user != nil || change.group != nil {
            if let name = change.user {
                if let id = accounts.user(name)?.id ?? Int(name) {
                    change.entry.uid = id
                } else {
                    unknown.insert(name)
                }
            }
            if let name = change.group {
                if let id = accounts.group(name)?.id ?? Int(name) {
                    change.entry.gid = id
                } else {
                    unknown.insert(name)
                }
            }
            (change.user, change.group) = (nil, nil)
            tree.put(change)
        }
        return unknown.sorted().map {
            "no package of the image makes the user or group \($0), which a script gives files to"
        }
    }
}

/// The answers that debconf gives when nobody is asked (debconf-devel(7)).
enum Debconf {
    static func defaults(_ templates: String) -> [String: String] {
        var answers: [String: String] = [:]
        for paragraph in (try? ControlParagraph.parse(templates, place: "templates")) ?? [] {
            guard let name = paragraph["Template"] else { continue }
            answers[name] = paragraph["Default"] ?? (paragraph["Type"] == "boolean" ? "false" : "")
        }
        return answers
    }
}
