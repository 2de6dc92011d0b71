/// A package that an image holds, as its own records say.
package struct InstalledPackage: Hashable, Sendable, Codable, Comparable {
    package var name: String
    package var version: String
    package var architecture: String
    /// The source package, where its name or version is another one's.
    package var source: Source?

    package struct Source: Hashable, Sendable, Codable {
        package var name: String
        package var version: String

        package init(name: String, version: String) {
            self.name = name
            self.version = version
        }
    }

    package init(name: String, version: String, architecture: String, source: Source? = nil) {
        self.name = name
        self.version = version
        self.architecture = architecture
        self.source = source
    }

    package static func < (left: InstalledPackage, right: InstalledPackage) -> Bool {
        (left.name, left.architecture, left.version) < (right.name, right.architecture, right.version)
    }
}

/// Which distribution an image is made of, by its os-release(5).
package struct ImageDistribution: Hashable, Sendable, Codable {
    /// `debian`
    package var id: String
    /// `12`; empty where it has none.
    package var version: String

    package init(id: String, version: String) {
        self.id = id
        self.version = version
    }
}
