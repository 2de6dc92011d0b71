internal import Foundation
internal import GRDB
internal import Model
internal import Trust

/// The log as rows of a database: appended to within the transaction that also changes what the entries tell of, so
/// that neither is ever without the other. What it is now is read in that transaction, so any number of processes may
/// append.
enum LedgerLog {
    /// Adds entries at the end, in their order. Returns the number of the first; the log's first entry is number 0.
    @discardableResult
    static func append(_ entries: [LedgerEntry], in database: GRDB.Database) throws -> Int {
        var frontier = try head(in: database)
        let first = frontier.size
        guard !entries.isEmpty else { return first }
        for entry in entries { try append(entry, to: &frontier, in: database) }
        try database.cachedStatement(sql: "UPDATE ledger_head SET size = ?, peaks = ?").execute(
            arguments: [frontier.size, data(frontier.peaks)])
        return first
    }

    /// How long the log is, and its peaks.
    static func head(in database: GRDB.Database) throws -> MerkleFrontier {
        let row = try Row.fetchOne(
            try database.cachedStatement(sql: "SELECT size, peaks FROM ledger_head"))
        guard let row, let frontier = MerkleFrontier(size: row[0], peaks: hashes(row[1] as Data)) else {
            throw Failure(
                .logInconsistent, "the head of the ledger is gone or cut off",
                suggestion: "`kiln ledger verify` tells what is left; bring back the database from a copy")
        }
        return frontier
    }

    private static func append(
        _ entry: LedgerEntry, to frontier: inout MerkleFrontier, in database: GRDB.Database
    ) throws {
        let (body, number) = (entry.bytes, frontier.size)
        assert(body.count <= LedgerEntry.Limit.bytes, "an entry's texts are cut to fit")
        let leaf = MerkleHash(leaf: body)
        try database.cachedStatement(
            sql: "INSERT INTO ledger_entry (number, leaf, at, body) VALUES (?, ?, ?, ?)"
        ).execute(arguments: [number, Data(leaf.bytes), entry.at.milliseconds, Data(body)])
        try body.withUnsafeBytes { bytes in
            var room: [UInt8] = []
            try LedgerBody(bytes).forEachSubject(in: &room) { name in
                try mention(String(decoding: copy name, as: UTF8.self), number, in: database)
            }
        }
        try frontier.append(leaf) { node, root in
            guard node.level > 0, node.level.isMultiple(of: LedgerNodes.tileBits) else { return }
            let tile = MerkleNode(level: node.level / LedgerNodes.tileBits - 1, index: node.index)
            let hashes = try LedgerNodes.row(tile, count: LogTile.width, in: database)
            try database.cachedStatement(
                sql: "INSERT INTO ledger_tile (level, place, root, hashes) VALUES (?, ?, ?, ?)"
            ).execute(arguments: [tile.level, tile.index, Data(root.bytes), data(hashes)])
        }
    }

    private static func mention(_ name: String, _ entry: Int, in database: GRDB.Database) throws {
        let find = try database.cachedStatement(sql: "SELECT id FROM ledger_subject WHERE name = ?")
        var subject = try Int64.fetchOne(find, arguments: [name])
        if subject == nil {
            try database.cachedStatement(sql: "INSERT INTO ledger_subject (name) VALUES (?)").execute(
                arguments: [name])
            subject = database.lastInsertedRowID
        }
        try database.cachedStatement(
            sql: "INSERT INTO ledger_mention (subject, entry) VALUES (?, ?)"
        ).execute(arguments: [subject, entry])
    }

    static func data(_ hashes: [MerkleHash]) -> Data { Data(hashes.flatMap(\.bytes)) }

    /// Those that are whole.
    static func hashes(_ data: Data) -> [MerkleHash] {
        stride(from: 0, to: data.count, by: MerkleHash.byteCount).compactMap { start in
            MerkleHash(bytes: data.dropFirst(start).prefix(MerkleHash.byteCount))
        }
    }
}
