internal import Foundation
internal import GRDB
internal import Model
internal import Ports
package import Trust

extension LedgerFile {
    /// Makes leaves, tiles, head and index anew from the entries' bodies, in one pass, and compares them with what is
    /// kept; then with checkpoints, whose signatures somebody checked. Needs no more room for a longer log.
    ///
    /// - Parameter progress: told now and then how many entries were read, of how many
    package func verify(
        _ checkpoints: [Checkpoint] = [], progress: (_ read: Int, _ size: Int) throws -> Void = { _, _ in }
    ) throws -> LedgerReport {
        try read { database in
            do {
                var pass = try LedgerPass(database, checkpoints: checkpoints)
                return try pass.run(progress)
            } catch let failure as Failure where failure.code == .logInconsistent {
                // Nothing can be told of entries while it is not known how many there are to be.
                return LedgerReport(
                    size: 0, root: .empty, problem: LedgerReport.Problem(what: failure.message))
            }
        }
    }
}

/// One pass over a log, from its first entry on.
struct LedgerPass {
    private let database: GRDB.Database
    private let head: MerkleFrontier
    /// The shortest first.
    private let checkpoints: [Checkpoint]
    private var frontier = MerkleFrontier()
    /// Roots at the sizes that checkpoints speak of.
    private var roots: [Int: MerkleHash] = [:]
    /// For each level, what its next tile is to be made of.
    private var rows: [[MerkleHash]] = []
    private var index = LedgerIndexSum()
    private var tiles = 0

    private static let progressEvery = 8192

    init(_ database: GRDB.Database, checkpoints: [Checkpoint]) throws {
        self.database = database
        self.checkpoints = checkpoints.sorted { $0.size < $1.size }
        head = try LedgerLog.head(in: database)
    }

    private typealias Problem = LedgerReport.Problem

    private struct Found: Error {
        var problem: LedgerReport.Problem
    }

    mutating func run(_ progress: (Int, Int) throws -> Void) throws -> LedgerReport {
        do {
            try readEntries(progress)
            try compareHead()
            try compareCheckpoints()
            try compareTileCount()
            if let problem = try index.difference(from: database) { throw Found(problem: problem) }
        } catch let found as Found {
            return LedgerReport(size: frontier.size, root: frontier.root, problem: found.problem)
        }
        return LedgerReport(size: frontier.size, root: frontier.root)
    }

    private func fail(_ entry: Int?, _ what: String) -> Found {
        Found(problem: Problem(entry: entry, what: what))
    }

    // MARK: Entries

    private mutating func readEntries(_ progress: (Int, Int) throws -> Void) throws {
        let sizes = Set(checkpoints.map(\.size))
        if sizes.contains(0) { roots[0] = frontier.root }
        var completed: [(MerkleNode, MerkleHash)] = []
        let cursor = try Row.fetchCursor(
            database, sql: "SELECT number, leaf, at, body FROM ledger_entry ORDER BY number")
        while let row = try cursor.next() {
            let number = frontier.size
            guard row[0] as Int == number else {
                throw row[0] as Int > number
                    ? fail(number, "entry \(number) is missing: the next that is there is \(row[0] as Int)")
                    : fail(row[0], "there is an entry of the number \(row[0] as Int)")
            }
            guard number < head.size else {
                throw fail(number, "entry \(number) lies beyond the log, which has \(head.size)")
            }
            let leaf = try row.withUnsafeData(atIndex: 3) { body in
                try (body ?? Data()).withUnsafeBytes { try take($0, number, row) }
            }
            completed.removeAll(keepingCapacity: true)
            frontier.append(leaf) { node, hash in
                if node.level.isMultiple(of: LedgerNodes.tileBits) { completed.append((node, hash)) }
            }
            for (node, hash) in completed { try complete(node, hash) }
            if sizes.contains(frontier.size) { roots[frontier.size] = frontier.root }
            if frontier.size.isMultiple(of: LedgerPass.progressEvery) {
                try Task.checkCancellation()
                try progress(frontier.size, head.size)
            }
        }
        guard frontier.size == head.size else {
            throw fail(
                frontier.size,
                "the log had \(counted(head.size, "entry", "entries")), and those from \(frontier.size) on are missing"
            )
        }
    }

    /// Compares an entry with what is kept of it beside its body.
    private mutating func take(_ bytes: UnsafeRawBufferPointer, _ number: Int, _ row: Row) throws
        -> MerkleHash
    {
        let leaf = MerkleHash(leaf: bytes)
        let isKept = try row.withUnsafeData(atIndex: 1) { kept in
            (kept ?? Data()).withUnsafeBytes { leaf.isEqual(to: $0) }
        }
        guard isKept else { throw fail(number, "entry \(number) is not what was logged") }
        let body = LedgerBody(bytes)
        guard Instant(body.at)?.milliseconds == row[2] as Int else {
            throw fail(number, "the time beside entry \(number) is not the one in it")
        }
        index.add(body, number)
        return leaf
    }

    // MARK: What is made of them

    /// A subtree whose leaves fill whole tiles: compares the tile that it is the root of.
    private mutating func complete(_ node: MerkleNode, _ hash: MerkleHash) throws {
        let level = node.level / LedgerNodes.tileBits
        if level > 0 { try compareTile(MerkleNode(level: level - 1, index: node.index), root: hash) }
        if rows.count == level { rows.append([]) }
        rows[level].append(hash)
    }

    private mutating func compareTile(_ tile: MerkleNode, root: MerkleHash) throws {
        let own = rows[tile.level]
        rows[tile.level].removeAll(keepingCapacity: true)
        tiles += 1
        let span = 1 << (tile.level * LedgerNodes.tileBits)
        let first = tile.index * LogTile.width * span
        let row = try Row.fetchOne(
            try database.cachedStatement(
                sql: "SELECT root, hashes FROM ledger_tile WHERE level = ? AND place = ?"),
            arguments: [tile.level, tile.index])
        guard let row else { throw fail(first, "the tile over the entries from \(first) on is missing") }
        let kept = LedgerLog.hashes(row[1])
        guard kept == own else {
            let place =
                zip(kept, own).enumerated().first { $1.0 != $1.1 }?.offset ?? min(kept.count, own.count)
            let entry = first + place * span
            throw fail(
                entry,
                span == 1
                    ? "entry \(entry) is not what was logged"
                    : "the tile over the entries from \(entry) on is not theirs")
        }
        guard root.bytes == Array(row[0] as Data) else {
            throw fail(first, "the root of the tile over the entries from \(first) on is not theirs")
        }
    }

    private func compareHead() throws {
        guard frontier.peaks != head.peaks else { return }
        // Each peak is over as many entries as its bit of the size says.
        var first = 0
        for (peak, bit) in zip(
            0..., stride(from: Int.bitWidth - 2, through: 0, by: -1).filter { head.size >> $0 & 1 == 1 })
        {
            if frontier.peaks[peak] != head.peaks[peak] { break }
            first += 1 << bit
        }
        throw fail(first, "one of the entries from \(first) on is not what was logged, or the head is not")
    }

    private func compareTileCount() throws {
        let kept = try Int.fetchOne(database, sql: "SELECT COUNT(*) FROM ledger_tile")
        guard kept == tiles else {
            throw fail(nil, "there are \(kept ?? 0) tiles where \(tiles) belong")
        }
    }

    private func compareCheckpoints() throws {
        for checkpoint in checkpoints {
            guard checkpoint.size <= frontier.size else {
                throw fail(
                    frontier.size,
                    "the last \(counted(checkpoint.size - frontier.size, "entry", "entries")) of "
                        + "\(checkpoint.size) that a checkpoint tells of are cut off")
            }
            guard roots[checkpoint.size] == checkpoint.root else {
                throw fail(
                    nil,
                    "the first \(counted(checkpoint.size, "entry", "entries")) are not those of a checkpoint: "
                        + "the log was rewritten")
            }
        }
    }
}
