internal import GRDB
internal import Model

extension Database {
    static var migrator: DatabaseMigrator {
        var migrator = DatabaseMigrator()
        migrator.registerMigration("1 services, releases, journal, events") { database in
            try database.execute(
                sql: """
                    CREATE TABLE service (key TEXT PRIMARY KEY, generation INTEGER NOT NULL, state TEXT NOT NULL) STRICT;
                    CREATE TABLE release (
                        key TEXT NOT NULL, number INTEGER NOT NULL, digest TEXT NOT NULL, release TEXT NOT NULL,
                        PRIMARY KEY (key, number)) STRICT;
                    CREATE TABLE journal (
                        number INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL, step TEXT NOT NULL,
                        intended_at INTEGER NOT NULL, ended_at INTEGER, failure TEXT) STRICT;
                    CREATE INDEX journal_unfinished ON journal (number) WHERE ended_at IS NULL;
                    CREATE TABLE event (
                        number INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL, at INTEGER NOT NULL,
                        rollout INTEGER, note TEXT NOT NULL) STRICT;
                    CREATE INDEX event_by_key ON event (key, number);
                    """)
        }
        migrator.registerMigration("2 lease") { try $0.execute(sql: Lease.table) }
        migrator.registerMigration("3 ledger") { try $0.execute(sql: LedgerSchema.tables) }
        return migrator
    }

    /// Finished steps are kept for a look at what happened, not for ever.
    private static let journalLength = 10_000
    /// How many commits of a service go by between two clean-ups.
    private static let trimEvery = 100

    /// Forgets the oldest of what only grows.
    func trim(_ state: ServiceState, _ database: GRDB.Database) throws {
        guard state.generation.isMultiple(of: Database.trimEvery) else { return }
        try database.execute(
            sql: """
                DELETE FROM journal WHERE ended_at IS NOT NULL
                    AND number <= (SELECT MAX(number) FROM journal) - ?
                """, arguments: [Database.journalLength])
        try database.execute(
            sql: """
                DELETE FROM event WHERE key = ?1 AND number <=
                    (SELECT number FROM event WHERE key = ?1 ORDER BY number DESC LIMIT 1 OFFSET ?2)
                """, arguments: [state.key.description, eventsKept])
    }
}
