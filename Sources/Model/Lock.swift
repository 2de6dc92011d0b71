/// The exact inputs of an image. Names no host: any mirror can serve it, and each byte is checked by SHA-256.
package struct Lock: Hashable, Sendable, Codable {
    package static let currentVersion = 1

    package var version: Int
    package var distribution: Recipe.Distribution
    package var architecture: Architecture
    package var base: Recipe.Base
    /// What the recipe asked for, sorted: a lock whose request differs from the recipe's is stale.
    package var requested: [Recipe.PackageRequest]
    package var archives: [Archive]
    /// Sorted by name.
    package var packages: [Package]

    package init(
        version: Int = Lock.currentVersion, distribution: Recipe.Distribution, architecture: Architecture,
        base: Recipe.Base, requested: [Recipe.PackageRequest], archives: [Archive], packages: [Package]
    ) {
        self.version = version
        self.distribution = distribution
        self.architecture = architecture
        self.base = base
        self.requested = requested
        self.archives = archives
        self.packages = packages
    }

    /// The signed release file of one suite that the packages were chosen from.
    package struct Archive: Hashable, Sendable, Codable {
        /// Last path component of the archive's address, such as `debian` or `debian-security`.
        package var name: String
        package var suite: String
        /// SHA-256 of InRelease as its signature was checked.
        package var release: Digest
        /// Fingerprint of the key that signed it, 40 hexadecimal digits.
        package var signedBy: String

        package init(name: String, suite: String, release: Digest, signedBy: String) {
            self.name = name
            self.suite = suite
            self.release = release
            self.signedBy = signedBy
        }
    }

    package struct Package: Hashable, Sendable, Codable {
        package var name: String
        package var version: String
        /// `all` or the machine type, by Debian's name.
        package var architecture: String
        /// Which archive has it, by `Archive.name`.
        package var archive: String
        /// Path below the archive's address: `pool/main/n/nginx/nginx-light_…_amd64.deb`.
        package var path: String
        package var size: Int
        package var sha256: Digest

        package init(
            name: String, version: String, architecture: String, archive: String, path: String, size: Int,
            sha256: Digest
        ) {
            self.name = name
            self.version = version
            self.architecture = architecture
            self.archive = archive
            self.path = path
            self.size = size
            self.sha256 = sha256
        }
    }
}
