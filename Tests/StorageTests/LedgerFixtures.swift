import Foundation
import GRDB
import Model
import Ports
import TestKit
import Testing
import Trust

@testable import Storage

/// Ledgers to try things on.
enum LedgerFixture {
    static let start = Instant(milliseconds: 1_800_000_000_000)

    static func image(_ number: Int) -> Model.Digest {
        Model.Digest.sha256(of: Array("image \(number)".utf8))
    }

    /// Entries like those of a host with a few services.
    static func entry(_ number: Int) -> LedgerEntry {
        let key = ServiceKey(try! ServiceName(["web", "api", "db"][number % 3]))
        let release = ReleaseNumber(number / 40 + 1)
        let kinds: [LedgerEntry.Kind] = [.intent, .outcome, .deploy, .admission, .gate]
        return LedgerEntry(
            kinds[number % 5], "entry \(number)", at: start + .seconds(number), by: "uid:\(number % 4)",
            service: key, release: release,
            instance: number % 2 == 0 ? InstanceID(key, release: release, ordinal: number) : nil,
            image: image(number / 40), reason: number % 7 == 0 ? "because \"of\" \\ it\n" : nil,
            evidence: number % 5 == 2 ? image(number) : nil, details: ["step": "launch", "service": "none"])
    }

    static func entries(_ range: Range<Int>) -> [LedgerEntry] { range.map(entry) }

    /// The root of a log of such entries, by nothing but the tree's own rules.
    static func root(_ bodies: [[UInt8]]) -> MerkleHash {
        var frontier = MerkleFrontier()
        for body in bodies { frontier.append(MerkleHash(leaf: body)) { _, _ in } }
        return frontier.root
    }

    /// What somebody does who can write to the file, and takes away what refuses it.
    static func tamper(_ path: String, _ body: (GRDB.Database) throws -> Void) throws {
        let queue = try DatabaseQueue(path: path)
        try queue.write { database in
            for name in try String.fetchAll(
                database, sql: "SELECT name FROM sqlite_master WHERE type = 'trigger'")
            {
                try database.execute(sql: "DROP TRIGGER \(name)")
            }
            try body(database)
        }
        try queue.close()
    }
}
