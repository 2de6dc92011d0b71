internal import Model
package import Ports
package import Trust

/// A ledger that can be asked about its past, as checkpoints, proofs and copies of it need.
package protocol LedgerArchive: Ledger {
    /// How long the log is, and its root.
    func head() throws -> (size: Int, root: MerkleHash)
    /// The root that the log had when it was this long.
    func root(size: Int) throws -> MerkleHash
    /// Proof that an entry is among the first `size`.
    func inclusion(of entry: Int, size: Int) throws -> [MerkleHash]
    /// Proof that the first `size` entries begin with the first `older`.
    func consistency(from older: Int, to size: Int) throws -> [MerkleHash]
    /// The roots of complete subtrees.
    func hashes(_ nodes: [MerkleNode]) throws -> [MerkleHash]

    func entry(_ number: Int) throws -> LoggedEntry
    /// A page of entries; the next one is asked for with numbers beyond the last.
    func entries(_ query: LedgerQuery, order: LedgerOrder, limit: Int) throws -> [LoggedEntry]

    /// Compares all of the log with itself, and with checkpoints whose signatures were checked.
    func verify(_ checkpoints: [Checkpoint], progress: (_ read: Int, _ size: Int) throws -> Void) throws
        -> LedgerReport
    /// The same of its end alone, which costs next to nothing. Throws `logInconsistent`.
    func requireWholeEnd() throws

    /// The name that the log signs under; nil before it has one.
    func origin() throws -> String?
    /// Gives the log a name, unless it has one. Returns the one that it has.
    func named(_ origin: String) async throws -> String
    /// The newest of each signer.
    func checkpoints() throws -> [StoredCheckpoint]
    func store(_ checkpoint: StoredCheckpoint) async throws
}

extension LedgerArchive {
    /// Throws `logInconsistent` unless the log begins with all that a checkpoint tells of.
    ///
    /// - Parameter place: where the checkpoint was found, for people
    package func requireConsistency(with checkpoint: Checkpoint, from place: String) throws {
        let size = try head().size
        guard checkpoint.size <= size else {
            let missing = checkpoint.size - size
            throw Failure(
                .logInconsistent,
                "the ledger has \(counted(size, "entry", "entries")), and \(place) tells of \(checkpoint.size): "
                    + "the last \(missing) \(missing == 1 ? "is" : "are") missing",
                suggestion: LedgerAdvice.bringBack)
        }
        guard try root(size: checkpoint.size) == checkpoint.root else {
            throw Failure(
                .logInconsistent,
                "the first \(counted(checkpoint.size, "entry", "entries")) of the ledger are not those that "
                    + "\(place) tells of: the log was rewritten, or another one put in its place",
                suggestion: LedgerAdvice.bringBack)
        }
    }
}

enum LedgerAdvice {
    static let bringBack =
        "bring back kiln.db from a copy that has them; if there is none, say so to those who rely on the ledger and "
        + "put that checkpoint aside: it goes on proving that they were there"
}
