import Foundation
import Model
import Testing
import Trust
import TestKit

/// A log in memory, with everything that was ever completed.
final class MemoryLog: Sendable {
    let entries: [[UInt8]]
    let nodes: [MerkleNode: MerkleHash]
    let root: MerkleHash

    init(_ entries: [[UInt8]]) {
        var (frontier, nodes) = (MerkleFrontier(), [MerkleNode: MerkleHash]())
        for entry in entries {
            frontier.append(MerkleHash(leaf: entry)) { nodes[$0] = $1 }
        }
        (self.entries, self.nodes, root) = (entries, nodes, frontier.root)
    }

    static func numbered(_ count: Int) -> MemoryLog {
        MemoryLog((0..<count).map { Array("entry \($0)".utf8) })
    }

    func tree(_ size: Int? = nil) -> MerkleTree {
        MerkleTree(size: size ?? entries.count) { node in
            guard let hash = self.nodes[node] else {
                throw Failure(.internalError, "\(node) is not complete, and was asked for")
            }
            return hash
        }
    }

    func leaf(_ index: Int) -> MerkleHash { MerkleHash(leaf: entries[index]) }

    /// Puts the log into files, as the layout has them.
    func export(to folder: TemporaryFolder) throws {
        for tile in LogTile.all(size: entries.count) {
            switch tile.kind {
            case .entries:
                let bundle = EntryBundle.encode(tile.nodes.map { entries[$0.index] })
                try folder.write(tile.path, bundle)
            case .hashes: try folder.write(tile.path, tile.nodes.flatMap { nodes[$0]!.bytes })
            }
        }
    }
}

@Suite struct MerkleTests {
    private static let five = MemoryLog(["", "a", "b", "c", "d"].map { Array($0.utf8) })

    @Test func `five leaves have RFC 6962's hashes and proofs`() throws {
        let log = Self.five
        #expect(
            log.root.description == "ff9cdaec73345d3896e37ff5681084b7be4097839f760e621412f9343d139f22")
        #expect(try log.tree().root() == log.root)
        #expect(
            (0..<5).map { String(log.leaf($0).description.prefix(8)) }
                == ["6e340b9c", "022a6979", "57eb3561", "597fcb31", "d070dc5b"])
        #expect(
            MerkleHash.empty.description
                == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
        let node01 = MerkleHash(log.leaf(0), log.leaf(1))
        #expect(try log.tree().inclusion(of: 3) == [log.leaf(2), node01, log.leaf(4)])
        #expect(try log.tree().consistency(since: 3) == [log.leaf(2), log.leaf(3), node01, log.leaf(4)])
    }

    @Test func `every leaf of every log is proven, and is at no other place`() throws {
        let log = MemoryLog.numbered(40)
        for size in 1...40 {
            let tree = log.tree(size)
            let root = try tree.root()
            #expect(root == MemoryLog.numbered(size).root)
            for leaf in 0..<size {
                let proof = try tree.inclusion(of: leaf)
                for index in -1...size {
                    #expect(
                        MerkleProof.includes(log.leaf(leaf), at: index, size: size, root: root, proof: proof)
                            == (index == leaf))
                }
                #expect(
                    !MerkleProof.includes(
                        MerkleHash.empty, at: leaf, size: size, root: root, proof: proof))
                #expect(
                    !MerkleProof.includes(
                        log.leaf(leaf), at: leaf, size: size, root: root, proof: proof + [root]))
                if !proof.isEmpty {
                    #expect(
                        !MerkleProof.includes(
                            log.leaf(leaf), at: leaf, size: size, root: root, proof: proof.dropLast()))
                }
            }
        }
    }

    @Test func `every log is consistent with each of its beginnings, and with no other log`() throws {
        let log = MemoryLog.numbered(40)
        var forked = log.entries
        forked[0] = Array("forged".utf8)
        let fork = MemoryLog(forked)
        for new in 0...40 {
            let root = try log.tree(new).root()
            for old in 0...new {
                let (older, proof) = (
                    try log.tree(old).root(), try log.tree(new).consistency(since: old)
                )
                func holds(_ oldRoot: MerkleHash, _ newRoot: MerkleHash, _ proof: [MerkleHash]) -> Bool {
                    MerkleProof.isConsistent(
                        oldSize: old, oldRoot: oldRoot, newSize: new, newRoot: newRoot, proof: proof)
                }
                #expect(holds(older, root, proof))
                #expect(!holds(older, root, proof + [root]))
                if old > 0 {
                    let forgedRoot = try fork.tree(new).root()
                    let forgedProof = try fork.tree(new).consistency(since: old)
                    #expect(!holds(older, forgedRoot, forgedProof))
                    #expect(!holds(try fork.tree(old).root(), root, proof))
                }
                #expect(
                    new == old
                        || !MerkleProof.isConsistent(
                            oldSize: new, oldRoot: root, newSize: old, newRoot: older, proof: proof)
                )
            }
        }
    }

    @Test(arguments: [
        (0, "000"), (7, "007"), (999, "999"), (1000, "x001/000"), (1_234_067, "x001/x234/067"),
    ])
    func `tiles lie where the layout has them`(index: Int, path: String) {
        #expect(LogTile(.hashes(level: 2), index: index, count: 256).path == "tile/2/\(path)")
        #expect(LogTile(.entries, index: index, count: 8).path == "tile/entries/\(path).p/8")
    }

    @Test func `entries are read back from their bundle, and a damaged one is refused`() throws {
        let entries: [[UInt8]] = [[], [1], Array(repeating: 7, count: EntryBundle.Limit.entry)]
        let bytes = EntryBundle.encode(entries)
        #expect(try EntryBundle.decode(bytes) == entries)
        #expect(try EntryBundle.decode([]) == [])
        for cut in [1, 3, 100] {
            #expect(failure { _ = try EntryBundle.decode(bytes.dropLast(cut)) }?.code == .malformedEvidence)
        }
        #expect(
            failure { _ = try EntryBundle.decode([UInt8](repeating: 0, count: 2 * 257)) }?.code
                == .malformedEvidence)
    }
}
