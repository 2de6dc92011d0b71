internal import GRDB
internal import Model
internal import Ports
internal import Trust

/// Everything that is intended, done and told is in the ledger in the very transaction that makes it so.
extension Database {
    /// What is intended now, and what led to it.
    static func record(
        _ notes: [Note], intents: [(number: Int, step: Step)], of state: ServiceState, at now: Instant,
        in database: GRDB.Database
    ) throws {
        var images = ReleaseImages(key: state.key)
        var entries: [LedgerEntry] = []
        for note in notes {
            entries.append(
                LedgerEntry(
                    note, of: state.key, rollout: state.newestRollout,
                    image: try note.release.flatMap { try images.image(of: $0, in: database) }, at: now))
        }
        for (number, step) in intents {
            entries.append(
                try LedgerEntry(
                    intent: step, number: number, of: state.key,
                    image: { try images.image(of: $0, in: database) }, at: now))
        }
        try LedgerLog.append(entries, in: database)
    }

    /// What came of steps.
    static func record(
        _ outcomes: [StepOutcome], of state: ServiceState, at now: Instant, in database: GRDB.Database
    ) throws {
        var images = ReleaseImages(key: state.key)
        var entries: [LedgerEntry] = []
        for outcome in outcomes {
            let row = try String.fetchOne(
                database, sql: "SELECT step FROM journal WHERE number = ?",
                arguments: [outcome.journalNumber])
            let step: Step? = try row.map(Database.decode)
            for note in outcome.notes {
                let image = try note.release.flatMap { try images.image(of: $0, in: database) }
                var entry = LedgerEntry(
                    note, of: state.key, rollout: state.newestRollout, image: image, at: now)
                entry.details["step"] = step?.word
                entry.details["number"] = "\(outcome.journalNumber)"
                if outcome.failure != nil { entry.details["result"] = "failed" }
                entries.append(entry)
            }
            guard outcome.notes.isEmpty, let step else { continue }
            entries.append(
                LedgerEntry(
                    outcome: step, number: outcome.journalNumber, failure: outcome.failure, of: state.key,
                    at: now))
        }
        try LedgerLog.append(entries, in: database)
    }
}

/// The images of a service's releases, each looked up once.
private struct ReleaseImages {
    let key: ServiceKey
    private var known: [ReleaseNumber: Digest?] = [:]

    init(key: ServiceKey) { self.key = key }

    mutating func image(of release: ReleaseNumber, in database: GRDB.Database) throws -> Digest? {
        if let image = known[release] { return image }
        let row = try String.fetchOne(
            database, sql: "SELECT release FROM release WHERE key = ? AND number = ?",
            arguments: [key.description, release.value])
        let image = try row.map { try (Database.decode($0) as Release).content.image }
        known[release] = image
        return image
    }
}

extension ServiceState {
    /// The number of the rollout under way, or of the last one.
    var newestRollout: Int? { (rollout ?? lastRollout)?.number }
}
