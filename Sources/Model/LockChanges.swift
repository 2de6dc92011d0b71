/// How one lock differs from another, package by package.
package struct LockChanges: Hashable, Sendable, Codable {
    package enum Kind: String, Hashable, Sendable, Codable {
        case added, removed, upgraded, downgraded
        /// The same version with other bytes.
        case rebuilt
    }

    package struct Change: Hashable, Sendable, Codable, CustomStringConvertible {
        package var name: String
        package var kind: Kind
        package var from: String?
        package var to: String?
        /// It comes from the archive that brings security updates.
        package var isSecurity: Bool

        /// `openssl 3.0.15-1 → 3.0.16-1, security`.
        package var description: String {
            let text =
                switch kind {
                case .added: "+ \(name) \(to ?? "")"
                case .removed: "- \(name) \(from ?? "")"
                case .upgraded, .downgraded: "\(name) \(from ?? "") → \(to ?? "")"
                case .rebuilt: "\(name) \(to ?? ""), other bytes"
                }
            return text + (kind == .downgraded ? ", older" : "") + (isSecurity ? ", security" : "")
        }
    }

    /// Sorted by name.
    package var changes: [Change]
    /// What else is not the same: `distribution`, `base`, …
    package var others: [String]

    package var isEmpty: Bool { changes.isEmpty && others.isEmpty }

    package init(from old: Lock, to new: Lock) {
        let before = Dictionary(old.packages.map { ($0.name, $0) }) { first, _ in first }
        let after = Dictionary(new.packages.map { ($0.name, $0) }) { first, _ in first }
        changes = Set(before.keys).union(after.keys).sorted().compactMap { name in
            let (one, two) = (before[name], after[name])
            let kind: Kind? =
                switch (one, two) {
                case (nil, _): .added
                case (_, nil): .removed
                case (let one?, let two?) where one.version == two.version:
                    one.sha256 == two.sha256 ? nil : .rebuilt
                case (let one?, let two?):
                    DebianVersion(one.version) < DebianVersion(two.version) ? .upgraded : .downgraded
                }
            return kind.map { kind in
                Change(
                    name: name, kind: kind, from: one?.version, to: two?.version,
                    isSecurity: kind != .added && two.map(new.isSecurityUpdate) == true)
            }
        }
        let settings: [(String, Bool)] = [
            ("architecture", old.architecture == new.architecture), ("base", old.base == new.base),
            ("packages of build steps", old.builds.map(\.packages) == new.builds.map(\.packages)),
            ("files that are fetched", old.fetched == new.fetched), ("from", old.from == new.from),
            ("distribution", old.distribution == new.distribution),
            ("requested packages", old.requested == new.requested),
        ]
        others = settings.filter { !$0.1 }.map(\.0)
    }
}

extension Lock {
    /// Whether a package comes from a suite of security updates.
    package func isSecurityUpdate(_ package: Package) -> Bool {
        package.suite.map(Archive.isOfSecurity) ?? isInSecurityArchive(package)
    }

    /// Whether a package comes from an archive that has security updates and nothing else.
    package func isInSecurityArchive(_ package: Package) -> Bool {
        let suites = archives.filter { $0.name == package.archive }.map(\.suite)
        return !suites.isEmpty && suites.allSatisfy(Archive.isOfSecurity)
    }

    /// Whether the archive of a package has suites of security updates beside others, as Ubuntu's has: then its name
    /// does not tell which package is one.
    package func isInMixedArchive(_ package: Package) -> Bool {
        let suites = archives.filter { $0.name == package.archive }.map(\.suite)
        return suites.contains(where: Archive.isOfSecurity) && !suites.allSatisfy(Archive.isOfSecurity)
    }
}
