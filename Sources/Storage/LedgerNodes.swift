internal import Foundation
internal import GRDB
internal import Model
internal import Trust

/// The hashes of a log's complete subtrees, as its tiles keep them: 256 neighbours of one height in a row. What is not
/// 256 long yet is taken from the entries, or from the roots of the tiles below.
struct LedgerNodes {
    /// A tile of one level has eight levels of the tree in it.
    static let tileBits = 8

    private let database: GRDB.Database
    /// The tiles that a proof goes through, and their neighbours.
    private var tiles: [MerkleNode: [MerkleHash]] = [:]

    private static let tilesKept = 64

    init(_ database: GRDB.Database) { self.database = database }

    mutating func hash(_ node: MerkleNode) throws -> MerkleHash {
        let (level, up) = node.level.quotientAndRemainder(dividingBy: LedgerNodes.tileBits)
        let first = node.index << up
        let tile = MerkleNode(level: level, index: first / LogTile.width)
        let from = first % LogTile.width
        let hashes = try hashes(of: tile)
        guard from + 1 << up <= hashes.count else { throw LedgerNodes.missing(node) }
        var row = hashes[from..<from + 1 << up].map { $0 }
        while row.count > 1 {
            row = stride(from: 0, to: row.count, by: 2).map { MerkleHash(row[$0], row[$0 + 1]) }
        }
        return row[0]
    }

    /// As many hashes as the log has of this tile.
    private mutating func hashes(of tile: MerkleNode) throws -> [MerkleHash] {
        if let known = tiles[tile] { return known }
        let whole = try Data.fetchOne(
            try database.cachedStatement(sql: "SELECT hashes FROM ledger_tile WHERE level = ? AND place = ?"),
            arguments: [tile.level, tile.index])
        let found =
            try whole.map(LedgerLog.hashes) ?? LedgerNodes.row(tile, count: nil, in: database)
        if tiles.count >= LedgerNodes.tilesKept { tiles.removeAll() }
        tiles[tile] = found
        return found
    }

    /// The hashes of a tile from what lies below it. Throws where fewer than `count` are there.
    static func row(_ tile: MerkleNode, count: Int?, in database: GRDB.Database) throws -> [MerkleHash] {
        let first = tile.index * LogTile.width
        let found: [Data]
        if tile.level == 0 {
            found = try Data.fetchAll(
                try database.cachedStatement(
                    sql: "SELECT leaf FROM ledger_entry WHERE number >= ? AND number < ? ORDER BY number"),
                arguments: [first, first + LogTile.width])
        } else {
            found = try Data.fetchAll(
                try database.cachedStatement(
                    sql: """
                        SELECT root FROM ledger_tile WHERE level = ? AND place >= ? AND place < ?
                            ORDER BY place
                        """),
                arguments: [tile.level - 1, first, first + LogTile.width])
        }
        let hashes = found.compactMap { MerkleHash(bytes: $0) }
        guard hashes.count == found.count, count == nil || count == hashes.count else {
            throw missing(MerkleNode(level: tile.level * tileBits, index: first))
        }
        return hashes
    }

    private static func missing(_ node: MerkleNode) -> Failure {
        Failure(
            .logInconsistent,
            "the ledger lacks what it keeps of the entries from \(node.index << node.level) on",
            suggestion: "`kiln ledger verify` tells which entry is the first that differs")
    }
}
