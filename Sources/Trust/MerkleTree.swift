/// A complete subtree: `2^level` leaves that begin with leaf `index · 2^level`.
package struct MerkleNode: Hashable, Sendable {
    package var level: Int
    package var index: Int

    package init(level: Int, index: Int) {
        self.level = level
        self.index = index
    }
}

/// An append-only tree that is known by its complete subtrees alone: as much as is needed to append and to tell the
/// root, however many leaves there are (RFC 6962, section 2.1).
package struct MerkleFrontier: Hashable, Sendable {
    /// Leaves so far.
    package private(set) var size = 0
    /// The largest complete subtrees, from the first leaf to the last; as many as `size` has bits that are 1.
    package private(set) var peaks: [MerkleHash] = []

    package init() {}

    /// Goes on where another one ended; nil where there cannot be so many peaks.
    package init?(size: Int, peaks: [MerkleHash]) {
        guard size >= 0, size.nonzeroBitCount == peaks.count else { return nil }
        self.size = size
        self.peaks = peaks
    }

    /// Adds a leaf.
    ///
    /// - Parameter completed: told each subtree that the leaf completes, itself first
    package mutating func append(
        _ leaf: MerkleHash, completed: (MerkleNode, MerkleHash) throws -> Void = { _, _ in }
    ) rethrows {
        var (hash, index) = (leaf, size)
        var level = 0
        try completed(MerkleNode(level: 0, index: index), hash)
        while index & 1 == 1 {
            hash = MerkleHash(peaks.removeLast(), hash)
            (level, index) = (level + 1, index >> 1)
            try completed(MerkleNode(level: level, index: index), hash)
        }
        peaks.append(hash)
        size += 1
    }

    package var root: MerkleHash {
        guard var root = peaks.last else { return .empty }
        for peak in peaks.dropLast().reversed() { root = MerkleHash(peak, root) }
        return root
    }
}

/// A tree whose complete subtrees are looked up one at a time: in memory, in a database, in tiles.
package struct MerkleTree: Sendable {
    package let size: Int
    private let hash: @Sendable (MerkleNode) throws -> MerkleHash

    /// - Parameter hash: gives a complete subtree; asked for those within the first `size` leaves only
    package init(size: Int, hash: @escaping @Sendable (MerkleNode) throws -> MerkleHash) {
        precondition(size >= 0, "a log has no fewer than 0 entries")
        self.size = size
        self.hash = hash
    }

    package func root() throws -> MerkleHash { try size == 0 ? .empty : root(of: 0..<size) }

    /// Proof that a leaf is in the tree: the hashes beside the way from it to the root, the nearest first.
    package func inclusion(of leaf: Int) throws -> [MerkleHash] {
        precondition((0..<size).contains(leaf), "only what is in the log can be proven to be")
        return try path(to: leaf, in: 0..<size)
    }

    /// Proof that this tree begins with all leaves of an older one.
    package func consistency(since older: Int) throws -> [MerkleHash] {
        precondition((0...size).contains(older), "an older log is no larger")
        return older == 0 || older == size ? [] : try proof(older, in: 0..<size, isWhole: true)
    }

    /// The largest power of two below `count`, which is where RFC 6962 splits.
    private static func split(_ count: Int) -> Int {
        1 << (Int.bitWidth - 1 - (count - 1).leadingZeroBitCount)
    }

    /// Of a range that begins where a subtree of its size may begin.
    private func root(of leaves: Range<Int>) throws -> MerkleHash {
        if leaves.count & (leaves.count - 1) == 0 {
            let level = leaves.count.trailingZeroBitCount
            return try hash(MerkleNode(level: level, index: leaves.lowerBound >> level))
        }
        let middle = leaves.lowerBound + MerkleTree.split(leaves.count)
        return MerkleHash(
            try root(of: leaves.lowerBound..<middle), try root(of: middle..<leaves.upperBound))
    }

    private func path(to leaf: Int, in leaves: Range<Int>) throws -> [MerkleHash] {
        guard leaves.count > 1 else { return [] }
        let middle = leaves.lowerBound + MerkleTree.split(leaves.count)
        let (left, right) = (leaves.lowerBound..<middle, middle..<leaves.upperBound)
        return leaf < middle
            ? try path(to: leaf, in: left) + [try root(of: right)]
            : try path(to: leaf, in: right) + [try root(of: left)]
    }

    /// RFC 6962's SUBPROOF: `isWhole` while the older tree is a whole subtree that the verifier has the root of.
    private func proof(_ older: Int, in leaves: Range<Int>, isWhole: Bool) throws -> [MerkleHash] {
        if older == leaves.upperBound { return isWhole ? [] : [try root(of: leaves)] }
        let middle = leaves.lowerBound + MerkleTree.split(leaves.count)
        let (left, right) = (leaves.lowerBound..<middle, middle..<leaves.upperBound)
        return older <= middle
            ? try proof(older, in: left, isWhole: isWhole) + [try root(of: right)]
            : try proof(older, in: right, isWhole: false) + [try root(of: left)]
    }
}
