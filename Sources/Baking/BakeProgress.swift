/// How far a bake is, for a progress bar.
package struct BakeProgress: Hashable, Sendable {
    package enum Phase: String, Hashable, Sendable, CaseIterable {
        case locking, fetching, unpacking, building, assembling
    }

    package var phase: Phase
    /// Bytes fetched, or packages unpacked; 0 where a phase cannot be counted.
    package var done: Int
    package var total: Int
    /// Packages that this phase is through with, and all of them.
    package var packagesDone: Int
    package var packages: Int
    /// What is built.
    package var subject: String

    package init(
        _ phase: Phase, done: Int = 0, total: Int = 0, packagesDone: Int = 0, packages: Int = 0,
        subject: String = ""
    ) {
        self.subject = subject
        self.phase = phase
        self.done = done
        self.total = total
        self.packagesDone = packagesDone
        self.packages = packages
    }
}
