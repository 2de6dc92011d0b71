package import Model

/// A fault of a source package that a feed knows of, as far as it concerns one release of a distribution.
package struct KnownFault: Hashable, Sendable {
    package var id: String
    /// Other names of the same fault, or of those that it stands for.
    package var aliases: [String]
    /// The source package.
    package var package: String
    package var severity: Severity
    package var affected: Affected

    package init(
        id: String, aliases: [String] = [], package: String, severity: Severity, affected: Affected
    ) {
        self.id = id
        self.aliases = aliases
        self.package = package
        self.severity = severity
        self.affected = affected
    }

    /// Which versions have it.
    package struct Affected: Hashable, Sendable {
        package enum Event: Hashable, Sendable {
            /// nil: since the first version.
            case introduced(String?)
            case fixed(String)
            case lastAffected(String)
        }

        /// Each by itself; a version that one of them has is affected.
        package var ranges: [[Event]]
        package var versions: [String]

        package init(ranges: [[Event]], versions: [String] = []) {
            self.ranges = ranges
            self.versions = versions
        }

        package static let every = Affected(ranges: [[.introduced(nil)]])
    }
}

extension KnownFault.Affected {
    /// Whether a version has the fault (OSV schema, "Evaluation").
    package func contains(_ version: String) -> Bool {
        let version = DebianVersion(version)
        return versions.contains { DebianVersion($0) == version }
            || ranges.contains { KnownFault.Affected.isAffected(version, by: $0) }
    }

    /// The first version after this one that has it no more; nil where nobody says.
    package func fix(after version: String) -> String? {
        let version = DebianVersion(version)
        return ranges.joined().compactMap { event in
            if case .fixed(let text) = event, DebianVersion(text) > version { return text }
            return nil
        }.min { DebianVersion($0) < DebianVersion($1) }
    }

    private static func isAffected(_ version: DebianVersion, by events: [Event]) -> Bool {
        // What was mended and broken again in one version is broken there.
        let inOrder = events.sorted { left, right in
            guard let leftVersion = left.version else { return right.version != nil }
            guard let rightVersion = right.version else { return false }
            return leftVersion != rightVersion
                ? leftVersion < rightVersion : !left.isIntroduction && right.isIntroduction
        }
        var isAffected = false
        for event in inOrder {
            switch event {
            case .introduced(nil): isAffected = true
            case .introduced(let start?): if version >= DebianVersion(start) { isAffected = true }
            case .fixed(let end): if version >= DebianVersion(end) { isAffected = false }
            case .lastAffected(let last): if version > DebianVersion(last) { isAffected = false }
            }
        }
        return isAffected
    }
}

extension KnownFault.Affected.Event {
    fileprivate var version: DebianVersion? {
        switch self {
        case .introduced(let text): text.map { DebianVersion($0) }
        case .fixed(let text), .lastAffected(let text): DebianVersion(text)
        }
    }

    fileprivate var isIntroduction: Bool { if case .introduced = self { true } else { false } }
}
