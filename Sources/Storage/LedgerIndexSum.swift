internal import Foundation
internal import GRDB
internal import Model
internal import Trust

/// The index of a log as one number, so that the index that is kept can be compared with the one that its entries make
/// without a room for either. Two that differ have the same number once in 2^64, and nobody can know it beforehand.
struct LedgerIndexSum {
    private let seed = UInt64.random(in: 0 ... .max)
    private var sum: UInt64 = 0
    private var count = 0
    private var room: [UInt8] = []

    mutating func add(_ body: LedgerBody, _ entry: Int) {
        var (sum, count) = (sum, count)
        let seed = seed
        body.forEachSubject(in: &room) { name in
            sum &+= LedgerIndexSum.hash(LedgerIndexSum.hash(name, seed), entry)
            count += 1
        }
        (self.sum, self.count) = (sum, count)
    }

    private static func hash(_ name: borrowing [UInt8], _ seed: UInt64) -> UInt64 {
        var hasher = Hasher()
        hasher.combine(seed)
        name.withUnsafeBytes { hasher.combine(bytes: $0) }
        return UInt64(bitPattern: Int64(hasher.finalize()))
    }

    private static func hash(_ name: UInt64, _ entry: Int) -> UInt64 {
        var hasher = Hasher()
        hasher.combine(name)
        hasher.combine(entry)
        return UInt64(bitPattern: Int64(hasher.finalize()))
    }

    /// What differs between the index that is kept and the one that the entries made; nil where nothing does.
    func difference(from database: GRDB.Database) throws -> LedgerReport.Problem? {
        var (kept, keptCount): (UInt64, Int) = (0, 0)
        let subjects = try Row.fetchCursor(
            database, sql: "SELECT id, name FROM ledger_subject ORDER BY id")
        var subject: (id: Int, hash: UInt64)?
        let mentions = try Row.fetchCursor(
            database, sql: "SELECT subject, entry FROM ledger_mention ORDER BY subject, entry")
        while let row = try mentions.next() {
            let id: Int = row[0]
            while subject.map({ $0.id < id }) ?? true, let next = try subjects.next() {
                subject = (next[0], LedgerIndexSum.hash(Array((next[1] as String).utf8), seed))
            }
            // One of no subject counts, and adds nothing.
            if let subject, subject.id == id { kept &+= LedgerIndexSum.hash(subject.hash, row[1]) }
            keptCount += 1
        }
        guard kept != sum || keptCount != count else { return nil }
        return try firstDifference(in: database)
    }

    /// Goes through all again, slowly, for the first entry that the index has wrong.
    private func firstDifference(in database: GRDB.Database) throws -> LedgerReport.Problem {
        let mentions = try Row.fetchCursor(
            database,
            sql: """
                SELECT entry, COALESCE(name, '') FROM ledger_mention LEFT JOIN ledger_subject ON id = subject
                    ORDER BY entry
                """)
        let entries = try Row.fetchCursor(
            database, sql: "SELECT number, body FROM ledger_entry ORDER BY number")
        var mention = try mentions.next().map { ($0[0] as Int, $0[1] as String) }
        var room: [UInt8] = []
        while let row = try entries.next() {
            let number: Int = row[0]
            var own: [String] = []
            (row[1] as Data).withUnsafeBytes { bytes in
                LedgerBody(bytes).forEachSubject(in: &room) {
                    own.append(String(decoding: copy $0, as: UTF8.self))
                }
            }
            var kept: [String] = []
            while let (entry, name) = mention, entry <= number {
                kept.append(entry == number ? name : "")
                mention = try mentions.next().map { ($0[0] as Int, $0[1] as String) }
            }
            if own.sorted() != kept.sorted() {
                return LedgerReport.Problem(
                    entry: number, what: "the index does not have entry \(number) as it was logged")
            }
        }
        return LedgerReport.Problem(
            entry: mention?.0, what: "the index names entry \(mention?.0 ?? 0), which there is not")
    }
}
