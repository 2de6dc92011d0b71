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
        /// Numbers of accounts that no package names itself: what a lock keeps.
        var givenIDs: [String: Int]
        /// Steps of scripts that would have mattered and were not understood.
        var warnings: [String]
        /// Steps that were refused on purpose, and what to do instead.
        var notes: [String]
        /// Packages whose scripts were run in a sandbox, or a record of that was taken.
        var traced: [String] = []
    }

    /// Makes the effects of a set of packages: nothing but their content and the rules for scripts decide, and
    /// nothing is run but by `trace`. Throws what `trace` throws, and every step that a rule refuses.
    static func settle(
        _ packages: [PackageFragment], base: ImageTree, architecture: Architecture, ids: [String: Int] = [:],
        below: BelowPackages? = nil, rules: ScriptRules = ScriptRules(),
        certificates: [OwnCertificate] = [],
        trace: @escaping ScriptRound.Tracing = ScriptRound.noTracing, content: @escaping (String) -> [UInt8]?
    ) throws -> Outcome {
        func kept(_ path: String) -> [UInt8]? {
            packages.lazy.compactMap { $0.kept[path] }.first
        }
        func text(_ path: String) -> String? { kept(path).map { String(decoding: $0, as: UTF8.self) } }
        let masters = "usr/share/base-passwd/"
        var accounts =
            below?.accounts
            ?? Accounts(
                passwd: text(masters + "passwd.master") ?? "root:*:0:0:root:/root:/bin/sh\n",
                group: text(masters + "group.master") ?? "root:*:0:\n")
        // A time that updates of packages do not change, as they need not change the layer of effects.
        let time = packages.first { $0.name == "base-files" }?.modifiedAt ?? packages.map(\.modifiedAt).min()
        var effects = Effects(
            tree: EffectTree(base: base, modifiedAt: time ?? 0, packages: packages.map(\.name)) {
                kept($0) ?? content($0)
            },
            accounts: AccountRequests(
                knownUsers: Set(accounts.users.map(\.name)), knownGroups: Set(accounts.groups.map(\.name))))
        effects.makeStandardFolders()
        // The image below has the accounts of its own packages already.
        for package in packages where package.name != BelowPackages.name {
            for (path, bytes) in package.kept.sorted(by: { TarEntry.precedes($0.key, $1.key) })
            where path.hasPrefix("usr/lib/sysusers.d/") && path.hasSuffix(".conf") {
                effects.accounts.take(sysusers: String(decoding: bytes, as: UTF8.self))
            }
        }
        let round = ScriptRound(
            packages: packages, architecture: architecture, rules: rules, accounts: accounts, ids: ids,
            below: below, trace: trace)
        let report = try round.run(&effects)
        let end = try effects.conclude(
            packages, architecture: architecture, ids: ids, below: below, certificates, &accounts)
        return Outcome(
            tree: effects.tree, accounts: accounts, givenIDs: end.givenIDs,
            warnings: report.warnings + end.unknown, notes: report.notes, traced: report.traced)
    }

    /// Makes what is made once for the whole image, and turns names of owners into numbers. Says which numbers no
    /// package named, and what is missing.
    mutating func conclude(
        _ packages: [PackageFragment], architecture: Architecture, ids: [String: Int], below: BelowPackages?,
        _ own: [OwnCertificate], _ accounts: inout Accounts
    ) throws -> (givenIDs: [String: Int], unknown: [String]) {
        func text(_ path: String) -> String? {
            packages.lazy.compactMap { $0.kept[path] }.first.map { String(decoding: $0, as: UTF8.self) }
        }
        if wantsProfiles { PAMProfiles(tree).write(to: &tree) }
        for path in temporaries { _ = tree.remove(path) }
        for alternative in Alternative.chosen(alternatives)
        where below?.keepsAlternative(alternative.main.name, against: alternative.priority) != true {
            alternative.apply(to: &tree)
        }
        if packages.contains(where: { $0.name == "ca-certificates" }) {
            let certificates = packages.flatMap {
                $0.kept.filter { $0.key.hasPrefix(CertificateBundle.folder) }
            }
            try CertificateBundle.apply(
                Dictionary(
                    certificates.map { (String($0.key.dropFirst(CertificateBundle.folder.count)), $0.value) }
                ) { first, _ in first }, own: own, to: &tree,
                withJavaStore: packages.contains { $0.name == "ca-certificates-java" })
        }
        makeLoaderCache(packages, text: text, architecture: architecture)
        makeNameFiles()
        let givenIDs = accounts.add(self.accounts, locked: ids)
        write(accounts)
        return (givenIDs, settleOwners(accounts))
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

    /// Files that no package has and installers of whole systems write. A runtime mounts those of the instance over
    /// them, which a read-only root lets it do only where they are.
    private mutating func makeNameFiles() {
        for (path, text) in MountPoints.files where tree.entry(path) == nil {
            _ = tree.write(path, Array(text.utf8))
        }
    }

    /// Packages after those that they depend on, as dpkg configures them, Essential ones before all others, which need
    /// not name them; by name where nothing else decides.
    static func ordered(_ packages: [PackageFragment]) -> [PackageFragment] {
        let isEssential = { (package: PackageFragment) in package.control["Essential"] == "yes" }
        let packages = packages.filter(isEssential) + packages.filter { !isEssential($0) }
        let provided = packages.flatMap { package in
            package.control.packageNames("Provides").sorted(by: TarEntry.precedes).map { ($0, package) }
        }
        let byName = Dictionary(packages.map { ($0.name, $0) } + provided) { first, _ in first }
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
