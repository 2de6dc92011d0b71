/// What came of looking through a whole log.
package struct LedgerReport: Hashable, Sendable {
    /// The first thing that is not as it was logged.
    package struct Problem: Hashable, Sendable {
        /// The first entry that differs; nil where something else does.
        package var entry: Int?
        package var what: String

        package init(entry: Int? = nil, what: String) {
            self.entry = entry
            self.what = what
        }
    }

    /// How much of the log is whole.
    package var size: Int
    package var root: MerkleHash
    package var problem: Problem?

    package init(size: Int, root: MerkleHash, problem: Problem? = nil) {
        self.size = size
        self.root = root
        self.problem = problem
    }
}
