/// The exact inputs of an image. Names no host: any mirror can serve it, and each byte is checked by SHA-256.
package struct Lock: Hashable, Sendable, Codable {
    package static let currentVersion = 2

    package var version: Int
    /// nil where the image is made on another one.
    package var distribution: Recipe.Distribution?
    package var architecture: Architecture
    package var base: Recipe.Base
    /// What the recipe asked for, sorted: a lock whose request differs from the recipe's is stale.
    package var requested: [Recipe.PackageRequest]
    /// How scripts are treated, as far as that decides about the image.
    package var scripts: ScriptRules
    package var archives: [Archive]
    /// Sorted by name.
    package var packages: [Package]
    /// How many layers an image may have.
    package var layerBudget: Int
    /// The packages of each layer, lowest first: every package of the lock once.
    package var layers: [[String]]
    /// Numbers of users and groups that no package names itself, by name. Files in volumes belong to numbers, so
    /// these stay when other packages come and go.
    package var accounts: [String: Int]
    /// The image to build on.
    package var from: BaseImage?
    /// What is fetched besides packages and put into the image, in the order of `Fetched.precedes`.
    package var fetched: [Fetched]
    /// The packages of each build step, in their order: of these locks, only what speaks of packages is used.
    package var builds: [Lock]
    /// What shapes the bytes of an image besides its inputs, by name, as numbers that change with the bytes.
    package var tools: [String: Int]

    package init(
        version: Int = Lock.currentVersion, distribution: Recipe.Distribution?, architecture: Architecture,
        base: Recipe.Base, requested: [Recipe.PackageRequest], archives: [Archive], packages: [Package],
        layerBudget: Int = Recipe.defaultLayerBudget, layers: [[String]], accounts: [String: Int] = [:],
        from: BaseImage? = nil, fetched: [Fetched] = [], tools: [String: Int] = [:],
        scripts: ScriptRules = ScriptRules(), builds: [Lock] = []
    ) {
        self.builds = builds
        self.from = from
        self.fetched = fetched
        self.version = version
        self.layerBudget = layerBudget
        self.layers = layers
        self.accounts = accounts
        self.tools = tools
        self.distribution = distribution
        self.architecture = architecture
        self.base = base
        self.requested = requested
        self.archives = archives
        self.packages = packages
        self.scripts = scripts
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

        /// Whether a suite has security updates: `bookworm-security`, `jammy-security`, `stretch/updates`.
        package static func isOfSecurity(_ suite: String) -> Bool {
            suite.hasSuffix("-security") || suite.hasSuffix("/updates")
        }

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
        /// The suite of security updates that has this version; nil where none has, or where `archive` tells already.
        package var suite: String?

        package init(
            name: String, version: String, architecture: String, archive: String, path: String, size: Int,
            sha256: Digest, suite: String? = nil
        ) {
            self.suite = suite
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
