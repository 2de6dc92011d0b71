/// One `build:` row of a recipe: a command that is run in a root of its own, and what of its results is taken.
package struct BuildStep: Hashable, Sendable, Codable {
    /// For messages and later steps.
    package var name: String?
    /// Where its packages come from; nil is the distribution of the recipe, which has none of its own beside `from`.
    package var distribution: Recipe.Distribution?
    /// Beside the Essential ones; none of them is in the image.
    package var packages: [Recipe.PackageRequest]
    package var files: [FileRule]
    /// Results of earlier steps.
    package var taken: [Taken]
    /// The program and its arguments.
    package var command: [String]
    /// Absolute path in its root; made where it is missing.
    package var workingDirectory: String
    package var environment: [String: String]
    package var hasNetwork: Bool
    package var secrets: [Secret]
    /// What goes into the image.
    package var copies: [Copy]
    package var limits: Limits

    package init(
        name: String? = nil, distribution: Recipe.Distribution? = nil, packages: [Recipe.PackageRequest] = [],
        files: [FileRule] = [], taken: [Taken] = [], command: [String], workingDirectory: String = "/",
        environment: [String: String] = [:], hasNetwork: Bool = false, secrets: [Secret] = [],
        copies: [Copy] = [], limits: Limits = Limits()
    ) {
        self.name = name
        self.distribution = distribution
        self.packages = packages
        self.files = files
        self.taken = taken
        self.command = command
        self.workingDirectory = workingDirectory
        self.environment = environment
        self.hasNetwork = hasNetwork
        self.secrets = secrets
        self.copies = copies
        self.limits = limits
    }

    /// A result and where it goes.
    package struct Copy: Hashable, Sendable, Codable {
        /// Absolute path of a file or folder in the step's root.
        package var from: String
        package var to: String
        /// As of `FileRule`.
        package var mode: Int?
        package var owner: String?

        package init(from: String, to: String, mode: Int? = nil, owner: String? = nil) {
            self.from = from
            self.to = to
            self.mode = mode
            self.owner = owner
        }
    }

    /// A result of an earlier step, put into the root of a later one.
    package struct Taken: Hashable, Sendable, Codable {
        /// The place of the earlier step among all.
        package var step: Int
        package var copy: Copy

        package init(step: Int, copy: Copy) {
            self.step = step
            self.copy = copy
        }
    }

    /// A file of the user's that the command may read, and that is never kept.
    package struct Secret: Hashable, Sendable, Codable {
        /// Absolute, below the user's home (`~/…`), or relative to `folder`.
        package var from: String
        /// As of `FileRule.Source.local`.
        package var folder: String
        /// Absolute path in the step's root.
        package var to: String

        package init(from: String, folder: String = "", to: String) {
            self.from = from
            self.folder = folder
            self.to = to
        }
    }

    /// What the command may use up; it decides nothing about the result.
    package struct Limits: Hashable, Sendable, Codable {
        package var time: Span
        /// Of all its processes together.
        package var memory: ByteCount
        /// What it may write.
        package var disk: ByteCount

        package init(
            time: Span = .seconds(1800), memory: ByteCount = ByteCount(bytes: 4 << 30),
            disk: ByteCount = ByteCount(bytes: 16 << 30)
        ) {
            self.time = time
            self.memory = memory
            self.disk = disk
        }
    }
}
