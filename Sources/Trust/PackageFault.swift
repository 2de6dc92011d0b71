package import Model

/// A known fault of a package that an image holds.
package struct PackageFault: Hashable, Sendable, Codable, Comparable {
    package var package: String
    package var version: String
    /// The source package, which feeds speak of.
    package var source: String
    package var id: String
    package var severity: Severity
    /// The first version without it; nil where there is none yet.
    package var fixedIn: String?

    package init(
        package: String, version: String, source: String, id: String, severity: Severity, fixedIn: String?
    ) {
        self.package = package
        self.version = version
        self.source = source
        self.id = id
        self.severity = severity
        self.fixedIn = fixedIn
    }

    /// The worst first.
    package static func < (left: PackageFault, right: PackageFault) -> Bool {
        left.severity != right.severity
            ? left.severity > right.severity
            : (left.package, left.id, left.version) < (right.package, right.id, right.version)
    }
}
