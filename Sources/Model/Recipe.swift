/// The image part of a spec: what goes into an image, and how the image starts.
package struct Recipe: Hashable, Sendable, Codable {
    /// Where packages come from; nil where the image is made on another one.
    package var distribution: Distribution?
    /// The image to build on, instead of packages.
    package var from: ImageRequest?
    /// The machine type that is baked for: one of `architectures`.
    package var architecture: Architecture
    /// Every machine type that an image is wanted for, each once.
    package var architectures: [Architecture]
    /// Which packages every image begins with.
    package var base: Base
    /// Where packages come from, tried in order; empty: the host's own apt sources.
    package var sources: [ArchiveSource]
    package var packages: [PackageRequest]
    package var scripts: ScriptRules
    package var files: [FileRule]
    /// Commands whose results go into the image, in their order.
    package var builds: [BuildStep]
    /// A user name or number of the image; nil is that of `from`, else root.
    package var user: String?
    /// Empty: that of `from`.
    package var command: [String]
    package var workingDirectory: String?
    package var environment: [String: String]
    /// How many layers an image may have, 3 to 120.
    package var layerBudget: Int

    package static let defaultLayerBudget = 32
    package static let layerBudgets = 3...120

    package init(
        distribution: Distribution?, from: ImageRequest? = nil, architecture: Architecture = .native,
        architectures: [Architecture]? = nil,
        base: Base = .minimal,
        sources: [ArchiveSource] = [], packages: [PackageRequest] = [], files: [FileRule] = [],
        user: String? = nil,
        command: [String], workingDirectory: String? = nil, environment: [String: String] = [:],
        layerBudget: Int = Recipe.defaultLayerBudget, scripts: ScriptRules = ScriptRules(),
        builds: [BuildStep] = []
    ) {
        self.distribution = distribution
        self.from = from
        let all = architectures ?? [architecture]
        self.architecture = all.contains(architecture) ? architecture : all.first ?? architecture
        self.architectures = all
        self.base = base
        self.sources = sources
        self.packages = packages
        self.files = files
        self.user = user
        self.command = command
        self.workingDirectory = workingDirectory
        self.environment = environment
        self.layerBudget = layerBudget
        self.scripts = scripts
        self.builds = builds
    }

    /// The same recipe for each machine type, that of this machine last.
    package var byArchitecture: [Recipe] {
        let others = architectures.filter { $0 != .native }
        return (others + architectures.filter { $0 == .native }).map { architecture in
            var recipe = self
            recipe.architecture = architecture
            return recipe
        }
    }

    package enum Base: String, Hashable, Sendable, Codable, CaseIterable {
        /// base-files, base-passwd, libc-bin: what a server binary needs and no more.
        case minimal
        /// The above and every package that Debian marks Essential (a shell, coreutils, …).
        case essential
    }

    /// A distribution and suite, `debian/bookworm` or `ubuntu/noble`.
    package struct Distribution: Hashable, Sendable, TextCodable {
        package let vendor: String
        package let suite: String

        package init(parsing text: String) throws {
            let parts = text.split(separator: "/", omittingEmptySubsequences: false)
            guard parts.count == 2, ["debian", "ubuntu"].contains(parts[0]), !parts[1].isEmpty,
                parts[1].utf8.allSatisfy({ (0x61...0x7a).contains($0) || (0x30...0x39).contains($0) })
            else {
                throw Failure(
                    .invalidArgument, "\"\(text)\" is not a distribution",
                    suggestion: "write debian/ or ubuntu/ and a suite, such as debian/bookworm")
            }
            vendor = String(parts[0])
            suite = String(parts[1])
        }

        package var description: String { "\(vendor)/\(suite)" }
    }

    /// A Debian package name, or `name=version` for one version exactly.
    package struct PackageRequest: Hashable, Sendable, TextCodable {
        package let name: String
        package let version: String?

        package init(parsing text: String) throws {
            let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let name = parts[0]
            let first = name.utf8.first ?? 0
            // Debian Policy 5.6.1 and 5.6.12.
            let isName =
                name.utf8.count >= 2 && ((0x61...0x7a).contains(first) || (0x30...0x39).contains(first))
                && name.utf8.allSatisfy {
                    (0x61...0x7a).contains($0) || (0x30...0x39).contains($0)
                        || [0x2b, 0x2d, 0x2e].contains($0)
                }
            let isVersion =
                parts.count == 1
                || (!parts[1].isEmpty
                    && parts[1].utf8.allSatisfy {
                        (0x61...0x7a).contains($0 | 0x20) || (0x30...0x39).contains($0)
                            || [0x2b, 0x2d, 0x2e, 0x3a, 0x7e].contains($0)
                    })
            guard isName, isVersion else {
                throw Failure(
                    .invalidArgument, "\"\(text)\" is not a package",
                    suggestion: "write a Debian package name, such as nginx-light, or nginx-light=1.22.1-9")
            }
            self.name = String(name)
            version = parts.count == 2 ? String(parts[1]) : nil
        }

        package var description: String { version.map { "\(name)=\($0)" } ?? name }
    }
}

/// The machine type of an image, by its OCI (Go) name.
package enum Architecture: String, Hashable, Sendable, Codable, CaseIterable {
    case amd64, arm64

    package static var native: Architecture {
        #if arch(arm64)
            .arm64
        #else
            .amd64
        #endif
    }

    /// `x86_64-linux-gnu`: the folder that Debian keeps this architecture's libraries in.
    package var multiarch: String {
        switch self {
        case .amd64: "x86_64-linux-gnu"
        case .arm64: "aarch64-linux-gnu"
        }
    }
}

/// One deb822 stanza of an apt source.
package struct ArchiveSource: Hashable, Sendable, Codable {
    package var uri: String
    package var suites: [String]
    package var components: [String]
    /// Path of the keyring on the host that InRelease must be signed with; nil: the distribution's own keyring.
    package var signedBy: String?

    package init(uri: String, suites: [String], components: [String], signedBy: String? = nil) {
        self.uri = uri
        self.suites = suites
        self.components = components
        self.signedBy = signedBy
    }
}
