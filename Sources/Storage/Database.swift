internal import Foundation
internal import GRDB
package import Model
package import Ports
internal import Trust

/// Intent, journal and history in one SQLite file. A write is on disk before its call returns.
package final class Database: StateStore {
    private let queue: DatabaseQueue
    private let lease: Lease
    let eventsKept: Int

    /// Events of each service that are kept: months of a healthy one, and days of one that never rests.
    package static let eventsKept = 10_000

    /// Opens or makes the database at `path`, and takes its lease: whoever opened it before can no longer
    /// write.
    package init(
        _ path: String, holder: String = Lease.thisProcess, at now: Instant? = nil,
        eventsKept: Int = Database.eventsKept
    ) throws {
        self.eventsKept = eventsKept
        var configuration = Configuration()
        configuration.journalMode = .wal
        configuration.busyMode = .timeout(Database.lockPatience)
        queue = try Database.translated { try DatabaseQueue(path: path, configuration: configuration) }
        lease = try Database.translated { [queue] in
            // The library lowers this to NORMAL for WAL; only FULL survives a power cut.
            try queue.writeWithoutTransaction { try $0.execute(sql: "PRAGMA synchronous=FULL") }
            let level = try queue.read { try Int.fetchOne($0, sql: "PRAGMA synchronous") }
            guard level == 2 else {
                throw Failure(.internalError, "the database does not flush its writes", at: path)
            }
            try Database.migrator.migrate(queue)
            let since = now ?? Instant(milliseconds: Int(Date().timeIntervalSince1970 * 1000))
            return try queue.write { try Lease.take(holder, at: since, in: $0) }
        }
    }

    /// Seconds to wait for another process before giving up on the database.
    private static let lockPatience = 30.0

    package func services() async throws -> [ServiceState] {
        try await read { database in
            try String.fetchAll(database, sql: "SELECT state FROM service ORDER BY key").map(Database.decode)
        }
    }

    package func service(_ key: ServiceKey) async throws -> ServiceState? {
        try await read { database in
            try String.fetchOne(
                database, sql: "SELECT state FROM service WHERE key = ?", arguments: [key.description]
            )
            .map(Database.decode)
        }
    }

    package func releases(of key: ServiceKey) async throws -> [Release] {
        try await read { database in
            try String.fetchAll(
                database, sql: "SELECT release FROM release WHERE key = ? ORDER BY number",
                arguments: [key.description]
            ).map(Database.decode)
        }
    }

    /// The images that releases need, of a database that another process may be writing to. None where there is no
    /// database; throws where there is one that cannot be read.
    package static func imagesInUse(_ path: String) throws -> Set<Digest> {
        guard FileManager.default.fileExists(atPath: path) else { return [] }
        var configuration = Configuration()
        configuration.readonly = true
        configuration.busyMode = .timeout(lockPatience)
        return try translated {
            try DatabaseQueue(path: path, configuration: configuration).read { database in
                var images: Set<Digest> = []
                for text in try String.fetchAll(database, sql: "SELECT state FROM service") {
                    let state: ServiceState = try decode(text)
                    for number in state.releasesToKeep {
                        let row = try String.fetchOne(
                            database, sql: "SELECT release FROM release WHERE key = ? AND number = ?",
                            arguments: [state.key.description, number.value])
                        if let row { images.insert(try (decode(row) as Release).content.image) }
                    }
                }
                return images
            }
        }
    }

    package func commit(
        _ state: ServiceState, adding release: Release?, intents: [Step], notes: [Note], at now: Instant
    ) async throws -> [Int] {
        try await write { [lease] database in
            try lease.check(in: database)
            let key = state.key.description
            let stored = try Int.fetchOne(
                database, sql: "SELECT generation FROM service WHERE key = ?", arguments: [key])
            guard state.generation == (stored ?? 0) + 1 else {
                throw Failure(
                    .conflict, "\(state.key) was changed by somebody else at the same time",
                    suggestion: "look at `kiln status` and try again")
            }
            try database.execute(
                sql: "INSERT OR REPLACE INTO service (key, generation, state) VALUES (?, ?, ?)",
                arguments: [key, state.generation, try Database.encode(state)])
            if let release {
                try database.execute(
                    sql: "INSERT INTO release (key, number, digest, release) VALUES (?, ?, ?, ?)",
                    arguments: [
                        key, release.number.value, release.digest.description, try Database.encode(release),
                    ])
            }
            for note in notes { try Database.insert(note, of: state, at: now, into: database) }
            try self.trim(state, database)
            let numbers = try intents.map { step in
                try database.execute(
                    sql: "INSERT INTO journal (key, step, intended_at) VALUES (?, ?, ?)",
                    arguments: [key, try Database.encode(step), now.milliseconds])
                return Int(database.lastInsertedRowID)
            }
            try Database.record(
                notes, intents: Array(zip(numbers, intents)), of: state, at: now, in: database)
            return numbers
        }
    }

    package func finish(_ outcomes: [StepOutcome], for key: ServiceKey, at now: Instant) async throws {
        try await write { [lease] database in
            try lease.check(in: database)
            let state =
                try String.fetchOne(
                    database, sql: "SELECT state FROM service WHERE key = ?", arguments: [key.description]
                ).map { try Database.decode($0) as ServiceState } ?? ServiceState(key: key)
            for outcome in outcomes {
                try database.execute(
                    sql: "UPDATE journal SET ended_at = ?, failure = ? WHERE number = ?",
                    arguments: [now.milliseconds, outcome.failure?.description, outcome.journalNumber])
                for note in outcome.notes {
                    try Database.insert(note, of: state, at: now, into: database)
                }
            }
            try Database.record(outcomes, of: state, at: now, in: database)
        }
    }

    package func events(of key: ServiceKey, after number: Int, limit: Int) async throws -> [Event] {
        try await read { database in
            try Row.fetchAll(
                database,
                sql: "SELECT * FROM event WHERE key = ? AND number > ? ORDER BY number DESC LIMIT ?",
                arguments: [key.description, number, limit]
            ).reversed().map { row in
                Event(
                    number: row["number"], at: Instant(milliseconds: row["at"]), key: key,
                    rollout: row["rollout"],
                    note: try Database.decode(row["note"]))
            }
        }
    }

    package func unfinishedSteps() async throws -> [UnfinishedStep] {
        try await read { database in
            try Row.fetchAll(database, sql: "SELECT * FROM journal WHERE ended_at IS NULL ORDER BY number")
                .map {
                    UnfinishedStep(
                        journalNumber: $0["number"], key: try ServiceKey(parsing: $0["key"]),
                        step: try Database.decode($0["step"]))
                }
        }
    }

    private static func insert(
        _ note: Note, of state: ServiceState, at now: Instant, into database: GRDB.Database
    ) throws {
        try database.execute(
            sql: "INSERT INTO event (key, at, rollout, note) VALUES (?, ?, ?, ?)",
            arguments: [
                state.key.description, now.milliseconds, state.newestRollout, try encode(note),
            ])
    }

    private static func encode(_ value: some Encodable) throws -> String {
        String(decoding: try CanonicalJSON.encode(value), as: UTF8.self)
    }

    static func decode<Value: Decodable>(_ text: String) throws -> Value {
        try CanonicalJSON.decode(Value.self, from: Data(text.utf8))
    }

    private func read<Value: Sendable>(
        _ body: @Sendable @escaping (GRDB.Database) throws -> Value
    ) async throws -> Value {
        try await Database.translated { try await queue.read(body) }
    }

    private func write<Value: Sendable>(
        _ body: @Sendable @escaping (GRDB.Database) throws -> Value
    ) async throws -> Value {
        try await Database.translated { try await queue.write(body) }
    }
}
