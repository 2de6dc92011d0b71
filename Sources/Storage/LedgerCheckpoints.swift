internal import Foundation
internal import GRDB
internal import Model
package import Ports
internal import Trust

/// The log's name, and the heads of it that were signed. Of each signer the newest is kept: it covers those before it.
extension LedgerFile {
    /// The name that the log signs under; nil before it has one.
    package func origin() throws -> String? {
        try read { try String.fetchOne($0, sql: "SELECT origin FROM ledger_head") }
    }

    /// Gives the log a name, for ever. Returns the one that it has: of several who choose at once, the first decides.
    package func named(_ origin: String) async throws -> String {
        if let known = try self.origin() { return known }
        return try await write { database in
            try database.execute(
                sql: "UPDATE ledger_head SET origin = ? WHERE origin IS NULL", arguments: [origin])
            return try String.fetchOne(database, sql: "SELECT origin FROM ledger_head") ?? origin
        }
    }

    package func checkpoints() throws -> [StoredCheckpoint] {
        try read { database in
            try Row.fetchAll(database, sql: "SELECT * FROM ledger_checkpoint ORDER BY source").map { row in
                let source: String = row["source"]
                return StoredCheckpoint(
                    witness: source.isEmpty ? nil : source, size: row["size"],
                    at: Instant(milliseconds: row["at"]), note: Array(row["note"] as Data))
            }
        }
    }

    /// Keeps a checkpoint, unless there is one of a longer log by the same signer.
    package func store(_ checkpoint: StoredCheckpoint) async throws {
        try await write { database in
            try database.execute(
                sql: """
                    INSERT INTO ledger_checkpoint (source, size, at, note) VALUES (?, ?, ?, ?)
                        ON CONFLICT (source) DO UPDATE SET
                            size = excluded.size, at = excluded.at, note = excluded.note
                        WHERE excluded.size >= size
                    """,
                arguments: [
                    checkpoint.witness ?? "", checkpoint.size, checkpoint.at.milliseconds,
                    Data(checkpoint.note),
                ])
        }
    }

    /// Looks at what costs nothing to look at: that the end of the log is there, and is what the head says. Throws
    /// `logInconsistent`.
    package func requireWholeEnd() throws {
        try read { database in
            let head = try LedgerLog.head(in: database)
            let last = try Int.fetchOne(database, sql: "SELECT MAX(number) FROM ledger_entry") ?? -1
            guard last == head.size - 1 else {
                throw LedgerFile.damaged(
                    "the ledger had \(counted(head.size, "entry", "entries")), and the newest that is left is "
                        + "number \(last)")
            }
            let first = head.size / LogTile.width * LogTile.width
            for row in try Row.fetchAll(
                database, sql: "SELECT number, leaf, body FROM ledger_entry WHERE number >= ?",
                arguments: [first])
            where MerkleHash(leaf: Array(row[2] as Data)).bytes != Array(row[1] as Data) {
                throw LedgerFile.damaged("entry \(row[0] as Int) of the ledger is not what was logged")
            }
            nonisolated(unsafe) var nodes = LedgerNodes(database)
            guard try MerkleTree(size: head.size, hash: { try nodes.hash($0) }).root() == head.root else {
                throw LedgerFile.damaged("the head of the ledger is not that of its entries")
            }
        }
    }

    private static func damaged(_ what: String) -> Failure {
        Failure(
            .logInconsistent, what,
            suggestion:
                "`kiln ledger verify` looks at all of it; bring back kiln.db from a copy that is whole")
    }
}
