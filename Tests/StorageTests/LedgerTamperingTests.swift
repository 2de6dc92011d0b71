import Foundation
import GRDB
import Model
import Ports
import TestKit
import Testing
import Trust

@testable import Storage

/// What somebody may do to the rows of a log, each with whether its first differing entry can be told.
enum Tampering: CaseIterable {
    case flipBody, flipLeaf, flipBoth, changeTime, deleteEntry, swapBodies, swapRows, addEntry, cutEnd,
        cutEndAndHead
    case flipTile, flipTileRoot, deleteTile, addTile, flipHead, growHead, dropMention, addMention,
        renameSubject
    case deleteAll, rewriteEnd, rewriteBeginning

    /// Another log that is whole in itself: only what is known from elsewhere tells.
    var needsCheckpoint: Bool { self == .rewriteEnd || self == .cutEndAndHead || self == .rewriteBeginning }

    func apply(_ path: String, size: Int, _ random: inout SeededGenerator) throws {
        let entry = Int.random(in: 0..<size, using: &random)
        var other = Int.random(in: 0..<size - 1, using: &random)
        if other >= entry { other += 1 }
        let (bit, byte) = (
            UInt8(1 << Int.random(in: 0..<8, using: &random)), Int.random(in: 0..<4096, using: &random)
        )
        func flipped(_ data: Data) -> Data {
            var data = data
            data[byte % data.count] ^= bit
            return data
        }
        if needsCheckpoint { return try rewrite(path, size: size, from: entry) }
        try LedgerFixture.tamper(path) { database in
            func body(_ number: Int) throws -> Data {
                try Data.fetchOne(
                    database, sql: "SELECT body FROM ledger_entry WHERE number = ?", arguments: [number])!
            }
            func change(_ sql: String, _ arguments: StatementArguments = []) throws {
                try database.execute(sql: sql, arguments: arguments)
                try #require(database.changesCount > 0, "\(self) changed nothing")
            }
            func flip(_ table: String, _ column: String, _ condition: String) throws {
                let data = try Data.fetchOne(
                    database, sql: "SELECT \(column) FROM \(table) WHERE \(condition)")!
                try change("UPDATE \(table) SET \(column) = ? WHERE \(condition)", [flipped(data)])
            }
            let tile = entry / 256 < size / 256 ? entry / 256 : 0
            switch self {
            case .flipBody: try flip("ledger_entry", "body", "number = \(entry)")
            case .flipLeaf: try flip("ledger_entry", "leaf", "number = \(entry)")
            case .flipBoth:
                let forged = flipped(try body(entry))
                try change(
                    "UPDATE ledger_entry SET body = ?, leaf = ? WHERE number = ?",
                    [forged, Data(MerkleHash(leaf: Array(forged)).bytes), entry])
            case .changeTime: try change("UPDATE ledger_entry SET at = at + 1 WHERE number = ?", [entry])
            case .deleteEntry: try change("DELETE FROM ledger_entry WHERE number = ?", [entry])
            case .swapBodies:
                let bodies = (try body(entry), try body(other))
                try change("UPDATE ledger_entry SET body = ? WHERE number = ?", [bodies.1, entry])
                try change("UPDATE ledger_entry SET body = ? WHERE number = ?", [bodies.0, other])
            case .swapRows:
                for (from, to) in [(entry, -1), (other, entry), (-1, other)] {
                    try change("UPDATE ledger_entry SET number = ? WHERE number = ?", [to, from])
                }
            case .addEntry:
                try change(
                    "INSERT INTO ledger_entry SELECT ?, leaf, at, body FROM ledger_entry WHERE number = ?",
                    [Bool.random(using: &random) ? size : -1 - byte, entry])
            case .cutEnd: try change("DELETE FROM ledger_entry WHERE number >= ?", [entry])
            case .flipTile: try flip("ledger_tile", "hashes", "level = 0 AND place = \(tile)")
            case .flipTileRoot: try flip("ledger_tile", "root", "level = 0 AND place = \(tile)")
            case .deleteTile: try change("DELETE FROM ledger_tile WHERE place = ?", [tile])
            case .addTile:
                try change(
                    "INSERT INTO ledger_tile SELECT level, place + 1000, root, hashes FROM ledger_tile LIMIT 1"
                )
            case .flipHead: try flip("ledger_head", "peaks", "id = 1")
            case .growHead: try change("UPDATE ledger_head SET size = size + 1")
            case .dropMention: try change("DELETE FROM ledger_mention WHERE entry = ?", [entry])
            case .addMention:
                try change("INSERT INTO ledger_subject (name) VALUES ('service:forged')")
                try change("INSERT INTO ledger_mention VALUES (last_insert_rowid(), ?)", [entry])
            case .renameSubject:
                try change(
                    """
                    UPDATE ledger_subject SET name = name || 'x'
                        WHERE id = (SELECT subject FROM ledger_mention WHERE entry = ? LIMIT 1)
                    """, [entry])
            case .deleteAll: try change("DELETE FROM ledger_entry")
            case .rewriteEnd, .rewriteBeginning, .cutEndAndHead: break
            }
        }
    }

    /// Another log in the place of this one, made as this one was.
    private func rewrite(_ path: String, size: Int, from entry: Int) throws {
        try LedgerFixture.tamper(path) { database in
            for table in ["entry", "tile", "mention", "subject"] {
                try database.execute(sql: "DELETE FROM ledger_\(table)")
            }
            try database.execute(sql: "UPDATE ledger_head SET size = 0, peaks = x''")
            var entries = LedgerFixture.entries(0..<(self == .cutEndAndHead ? entry : size))
            if self == .rewriteEnd { for number in entry..<size { entries[number].by = "nobody" } }
            if self == .rewriteBeginning { entries[0].by = "nobody" }
            try LedgerLog.append(entries, in: database)
        }
    }
}

@Suite struct LedgerTamperingTests {
    /// Of each kind of tampering; more where somebody has the time: `KILN_LEDGER_ROUNDS=100`.
    private static let rounds =
        ProcessInfo.processInfo.environment["KILN_LEDGER_ROUNDS"].flatMap { Int($0) } ?? 4

    @Test(arguments: Tampering.allCases) func `what is done to rows is found, always`(_ tampering: Tampering)
        async throws
    {
        var random = SeededGenerator(seed: UInt64(Tampering.allCases.firstIndex(of: tampering)! + 1))
        for _ in 0..<LedgerTamperingTests.rounds {
            let folder = try TemporaryFolder()
            let path = folder.path + "/kiln.db"
            let size = Int.random(in: 257...700, using: &random)
            var ledger: LedgerFile? = try LedgerFile(path)
            try await ledger!.append(LedgerFixture.entries(0..<size))
            let checkpoint = Checkpoint(origin: "test", size: size, root: try ledger!.head().root)
            // No false alarm: with what is known from elsewhere, and while the log goes on.
            #expect(try ledger!.verify([checkpoint]).problem == nil)
            ledger = nil
            try tampering.apply(path, size: size, &random)
            let report = try LedgerFile.reading(path).verify(tampering.needsCheckpoint ? [checkpoint] : [])
            #expect(report.problem != nil, "\(tampering) of \(size)")
            if tampering.needsCheckpoint {
                #expect(
                    try LedgerFile.reading(path).verify().problem == nil, "another log is whole in itself")
            }
        }
    }

    @Test func `the first entry that differs is named`() async throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/kiln.db"
        try await LedgerFile(path).append(LedgerFixture.entries(0..<600))
        try LedgerFixture.tamper(path) { database in
            for number in [300, 400] {
                let body = LedgerEntry(.breakGlass, "nothing happened", at: LedgerFixture.start, by: "kiln")
                    .bytes
                try database.execute(
                    sql: "UPDATE ledger_entry SET body = ?, leaf = ?, at = ? WHERE number = ?",
                    arguments: [
                        Data(body), Data(MerkleHash(leaf: body).bytes), LedgerFixture.start.milliseconds,
                        number,
                    ])
            }
        }
        #expect(try LedgerFile.reading(path).verify().problem?.entry == 300)
        try LedgerFixture.tamper(path) {
            try $0.execute(sql: "UPDATE ledger_entry SET body = x'00' WHERE number = 77")
        }
        let report = try LedgerFile.reading(path).verify()
        #expect(report.problem?.entry == 77 && report.size == 77)
        try LedgerFixture.tamper(path) { try $0.execute(sql: "DELETE FROM ledger_entry WHERE number = 20") }
        #expect(try LedgerFile.reading(path).verify().problem?.entry == 20)
    }

    @Test func `a log that was cut off or rewritten is none of an older checkpoint's`() async throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/kiln.db"
        let ledger = try LedgerFile(path)
        var checkpoints: [Checkpoint] = [Checkpoint(origin: "test", size: 0, root: .empty)]
        for first in stride(from: 0, to: 700, by: 50) {
            try await ledger.append(LedgerFixture.entries(first..<first + 50))
            let head = try ledger.head()
            checkpoints.append(Checkpoint(origin: "test", size: head.size, root: head.root))
        }
        #expect(try ledger.verify(checkpoints.shuffled()).problem == nil)
        let forged = Checkpoint(origin: "test", size: 350, root: checkpoints[3].root)
        #expect(try ledger.verify(checkpoints + [forged]).problem != nil)
        let longer = Checkpoint(origin: "test", size: 701, root: checkpoints[3].root)
        #expect(try ledger.verify([longer]).problem?.entry == 700)
    }
}
