internal import Crypto
internal import Glibc
internal import Model

/// The Merkle tree over a file's blocks: the hashes of all blocks, and one root that stands for them. With it, any one
/// block can be checked without the rest of the file.
struct BlockTree: Hashable, Sendable {
    /// Bytes of a block; the last one of a file may be shorter.
    static let block = 64 << 10
    static let hash = 32

    /// The blocks' hashes, one after the other.
    private(set) var leaves: [UInt8] = []

    var count: Int { leaves.count / BlockTree.hash }

    init() {}

    /// Hashes that were kept; nil where they are no whole number of hashes.
    init?(leaves: [UInt8]) {
        guard leaves.count % BlockTree.hash == 0 else { return nil }
        self.leaves = leaves
    }

    mutating func append(_ block: UnsafeRawBufferPointer) { leaves += BlockTree.leaf(block) }

    func holds(_ block: UnsafeRawBufferPointer, at number: Int) -> Bool {
        guard number < count else { return false }
        let start = number * BlockTree.hash
        return leaves[start..<(start + BlockTree.hash)].elementsEqual(BlockTree.leaf(block))
    }

    /// As in RFC 6962: a leaf's hash begins with a 0, a node's with a 1, so that none can stand for the other; a node
    /// without a neighbour goes up as it is.
    var root: Model.Digest {
        var row = (0..<count).map { Array(leaves[($0 * BlockTree.hash)..<(($0 + 1) * BlockTree.hash)]) }
        while row.count > 1 {
            row = stride(from: 0, to: row.count, by: 2).map { index in
                guard index + 1 < row.count else { return row[index] }
                return Array(SHA256.hash(data: [1] + row[index] + row[index + 1]))
            }
        }
        return Model.Digest(bytes: row.first ?? Array(SHA256.hash(data: [UInt8]())))
    }

    private static func leaf(_ block: UnsafeRawBufferPointer) -> [UInt8] {
        var hash = SHA256()
        hash.update(data: [UInt8(0)])
        hash.update(bufferPointer: block)
        return Array(hash.finalize())
    }
}
