internal import Foundation
internal import GRDB
package import Model

/// Who may write to a database: the last one that opened it. One that wakes up after its successor has begun
/// is refused by the number of its lease, whatever it believes.
package struct Lease: Hashable, Sendable {
    /// `pid 123 of uid 0 on web-1`.
    package var holder: String
    package var since: Instant
    /// Grows by one with each lease.
    package var generation: Int

    /// A name for this process, for whoever finds its lease.
    package static var thisProcess: String {
        "pid \(getpid()) of uid \(geteuid()) on \(ProcessInfo.processInfo.hostName)"
    }

    /// The lease in a database that another process may be writing to; nil where there is none to be read.
    package static func newest(in path: String) -> Lease? {
        var configuration = Configuration()
        configuration.readonly = true
        return try? DatabaseQueue(path: path, configuration: configuration).read { try fetch($0) }
    }

    static let table = """
        CREATE TABLE lease (
            id INTEGER PRIMARY KEY CHECK (id = 1), holder TEXT NOT NULL, since INTEGER NOT NULL,
            generation INTEGER NOT NULL) STRICT;
        """

    /// Takes the lease from whoever has it.
    static func take(_ holder: String, at now: Instant, in database: GRDB.Database) throws -> Lease {
        try database.execute(
            sql: """
                INSERT INTO lease (id, holder, since, generation) VALUES (1, ?, ?, 1)
                    ON CONFLICT (id) DO UPDATE SET holder = excluded.holder, since = excluded.since,
                        generation = generation + 1
                """, arguments: [holder, now.milliseconds])
        return try fetch(database)!
    }

    private static func fetch(_ database: GRDB.Database) throws -> Lease? {
        try Row.fetchOne(database, sql: "SELECT * FROM lease").map {
            Lease(
                holder: $0["holder"], since: Instant(milliseconds: $0["since"]), generation: $0["generation"])
        }
    }

    /// Throws `conflict` where somebody took a newer one. To be asked in the transaction that writes.
    func check(in database: GRDB.Database) throws {
        let newest = try Lease.fetch(database)
        guard newest?.generation != generation else { return }
        throw Failure(
            .conflict,
            newest.map { "\($0.holder) has served this folder since \($0.since), in the place of \(holder)" }
                ?? "the lease of \(holder) is gone",
            suggestion: "stop this daemon; the other one goes on with its services")
    }
}
