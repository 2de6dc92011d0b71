import Foundation
import GRDB
import Model
import Ports
import TestKit
import Testing
import Trust

@testable import Storage

@Suite struct LedgerFileTests {
    let folder = try! TemporaryFolder()
    var path: String { folder.path + "/kiln.db" }

    @Test func `roots and proofs are those of the tree in memory, at every size that was ever one`()
        async throws
    {
        let ledger = try LedgerFile(path)
        var random = SeededGenerator(seed: 5)
        var bodies: [[UInt8]] = []
        while bodies.count < 1400 {
            let count = Int.random(in: 0...90, using: &random)
            let entries = LedgerFixture.entries(bodies.count..<bodies.count + count)
            #expect(try await ledger.append(entries) == bodies.count)
            bodies += entries.map(\.bytes)
            #expect(try ledger.head() == (bodies.count, LedgerFixture.root(bodies)))
        }
        for _ in 0..<60 {
            let size = Int.random(in: 1...bodies.count, using: &random)
            let (leaf, older) = (
                Int.random(in: 0..<size, using: &random), Int.random(in: 0...size, using: &random)
            )
            let root = LedgerFixture.root(Array(bodies[..<size]))
            #expect(try ledger.root(size: size) == root)
            #expect(
                MerkleProof.includes(
                    MerkleHash(leaf: bodies[leaf]), at: leaf, size: size, root: root,
                    proof: try ledger.inclusion(of: leaf, size: size)))
            #expect(
                MerkleProof.isConsistent(
                    oldSize: older, oldRoot: LedgerFixture.root(Array(bodies[..<older])), newSize: size,
                    newRoot: root, proof: try ledger.consistency(from: older, to: size)))
        }
    }

    @Test func `tiles of the second level are kept and proven from too`() async throws {
        let ledger = try LedgerFile(path)
        let size = 256 * 256 + 300
        var frontier = MerkleFrontier()
        for first in stride(from: 0, to: size, by: 4096) {
            let entries = (first..<min(size, first + 4096)).map {
                LedgerEntry(.gate, "\($0)", at: LedgerFixture.start, by: "kiln")
            }
            try await ledger.append(entries)
            for entry in entries { frontier.append(MerkleHash(leaf: entry.bytes)) { _, _ in } }
        }
        #expect(try ledger.head() == (size, frontier.root))
        let report = try ledger.verify()
        #expect(report == LedgerReport(size: size, root: frontier.root))
        for leaf in [0, 255, 256, 65_535, 65_536, size - 1] {
            let bytes = try ledger.entry(leaf).bytes
            #expect(
                MerkleProof.includes(
                    MerkleHash(leaf: bytes), at: leaf, size: size, root: frontier.root,
                    proof: try ledger.inclusion(of: leaf, size: size)))
        }
        #expect(throws: Failure.self) { try ledger.inclusion(of: size, size: size) }
        #expect(throws: Failure.self) { try ledger.inclusion(of: 0, size: size + 1) }
        #expect(throws: Failure.self) { try ledger.consistency(from: 3, to: 2) }
    }

    @Test func `what is appended at once by many is there once each, in the order of their numbers`()
        async throws
    {
        let ledger = try LedgerFile(path)
        let numbers = try await withThrowingTaskGroup(of: (Int, Int).self) { group in
            for number in 0..<300 {
                group.addTask { (try await ledger.append([LedgerFixture.entry(number)]), number) }
            }
            return try await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
        }
        #expect(Set(numbers.keys) == Set(0..<300))
        let entries = try ledger.entries(LedgerQuery(), order: .oldestFirst, limit: 1000)
        for entry in entries {
            #expect(entry.bytes == LedgerFixture.entry(numbers[entry.number]!).bytes)
        }
        #expect(try ledger.verify().problem == nil)
    }

    @Test func `several processes' connections append at once, with the daemon's own among them`()
        async throws
    {
        let path = path
        let database = try Storage.Database(path)
        let ledgers = try (0..<3).map { _ in try LedgerFile(path) }
        try await withThrowingTaskGroup { group in
            for (place, ledger) in ledgers.enumerated() {
                group.addTask {
                    for number in 0..<40 {
                        try await ledger.append([LedgerFixture.entry(place * 100 + number)])
                    }
                }
            }
            group.addTask {
                var state = ServiceState(key: ServiceKey(try ServiceName("hello")))
                for generation in 1...40 {
                    state.generation = generation
                    _ = try await database.commit(
                        state, adding: nil, intents: [], notes: [], at: LedgerFixture.start)
                }
            }
            try await group.waitForAll()
        }
        let report = try LedgerFile.reading(path).verify()
        #expect(report.problem == nil && report.size == 120)
    }

    @Test func `an entry is in the log exactly where the transaction that it belongs to is`() async throws {
        let queue = try DatabaseQueue(path: path)
        try Storage.Database.migrator.migrate(queue)
        struct Change: Error {}
        _ = try await queue.write { try LedgerLog.append(LedgerFixture.entries(0..<3), in: $0) }
        await #expect(throws: Change.self) {
            try await queue.write { database in
                #expect(try LedgerLog.append(LedgerFixture.entries(3..<700), in: database) == 3)
                throw Change()
            }
        }
        let ledger = try LedgerFile.reading(path)
        #expect(try ledger.verify().problem == nil)
        #expect(try ledger.head().size == 3)
    }

    @Test func `entries are found by what they are about, from either end, page by page`() async throws {
        let ledger = try LedgerFile(path)
        let all = LedgerFixture.entries(0..<500)
        try await ledger.append(all)
        func numbers(_ query: LedgerQuery, _ order: LedgerOrder = .oldestFirst, limit: Int = 1000) throws
            -> [Int]
        {
            try ledger.entries(query, order: order, limit: limit).map(\.number)
        }
        func expected(_ isMeant: (LedgerEntry) -> Bool) -> [Int] {
            all.indices.filter { isMeant(all[$0]) }
        }
        let web = ServiceKey(try ServiceName("web"))
        #expect(try numbers(LedgerQuery()) == Array(0..<500))
        #expect(try numbers(LedgerQuery(), .newestFirst, limit: 3) == [499, 498, 497])
        #expect(try numbers(LedgerQuery(service: web)) == expected { $0.service == web })
        #expect(
            try numbers(LedgerQuery(service: web, release: ReleaseNumber(3), kind: .deploy))
                == expected { $0.service == web && $0.release == ReleaseNumber(3) && $0.kind == .deploy })
        #expect(try numbers(LedgerQuery(kind: .gate)) == expected { $0.kind == .gate })
        let image = LedgerFixture.image(4)
        #expect(try numbers(LedgerQuery(image: image)) == expected { $0.image == image })
        #expect(try numbers(LedgerQuery(evidence: LedgerFixture.image(7))) == [7])
        #expect(try numbers(LedgerQuery(instance: all[8].instance)) == [8])
        let since = LedgerFixture.start + .seconds(480)
        #expect(
            try numbers(LedgerQuery(service: web, since: since))
                == expected { $0.service == web && $0.at >= since })
        #expect(try numbers(LedgerQuery(service: ServiceKey(try ServiceName("none")))) == [])
        var pages: [Int] = []
        var query = LedgerQuery(service: web)
        while let last = try ledger.entries(query, order: .newestFirst, limit: 7).map({
            pages.append($0.number); return $0.number
        }).last {
            query.numbers = 0..<last
        }
        #expect(pages == expected { $0.service == web }.reversed())
        #expect(try ledger.entry(17).parsed() == all[17])
        #expect(throws: Failure.self) { try ledger.entry(500) }
    }

    @Test func `rows are not changed or deleted by mistake`() async throws {
        try await LedgerFile(path).append(LedgerFixture.entries(0..<300))
        let queue = try DatabaseQueue(path: path)
        for sql in [
            "UPDATE ledger_entry SET at = 0 WHERE number = 3", "DELETE FROM ledger_entry WHERE number = 299",
            "UPDATE ledger_tile SET place = 1", "DELETE FROM ledger_tile",
            "UPDATE ledger_head SET size = 299", "DELETE FROM ledger_head",
        ] {
            #expect(throws: DatabaseError.self, "\(sql)") { try queue.write { try $0.execute(sql: sql) } }
        }
    }

    @Test func `where there is no ledger, that is said`() throws {
        let failure = #expect(throws: Failure.self) { try LedgerFile.reading(path) }
        #expect(failure?.code == .notFound)
        #expect(!FileManager.default.fileExists(atPath: path))
        _ = try DatabaseQueue(path: path)
        #expect(throws: Failure.self) { try LedgerFile.reading(path) }
    }

    @Test func `a full disk is said, and the log is whole up to there`() async throws {
        let disk = try SmallDisk(megabytes: 2)
        let ledger = try LedgerFile(disk.path + "/kiln.db")
        var written = 0
        var failure: Failure?
        while failure == nil, written < 100_000 {
            do {
                try await ledger.append(LedgerFixture.entries(written..<written + 20))
                written += 20
            } catch let error as Failure {
                failure = error
            }
        }
        #expect(failure?.code == .diskFull)
        let report = try ledger.verify()
        #expect(report.problem == nil && report.size == written)
    }
}
