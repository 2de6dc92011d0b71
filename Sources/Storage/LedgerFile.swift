internal import Foundation
internal import GRDB
package import Model
internal import Ports
internal import Synchronization
internal import Trust

/// The ledger of a root folder, for any process: needs neither a daemon nor its lease. What is appended at the same
/// time goes to disk in one transaction, since each costs a flush.
package final class LedgerFile: Ledger {
    /// nil where it is only read.
    private let writer: DatabaseQueue?
    let reader: DatabaseQueue
    let path: String
    private let line = Mutex(Line())

    package enum Limit {
        /// Entries in one transaction; more wait for the next.
        package static let batch = 1000
        /// Seconds to wait for another process before giving up.
        static let patience = 30.0
    }

    /// Opens the database at `path`, and makes it where there is none.
    package convenience init(_ path: String) throws { try self.init(path, isReadOnly: false) }

    /// Opens a database that is there, to be read. Throws `notFound` where there is no ledger.
    package static func reading(_ path: String) throws -> LedgerFile {
        guard FileManager.default.fileExists(atPath: path) else { throw LedgerFile.none(path) }
        let file = try LedgerFile(path, isReadOnly: true)
        guard try file.read({ try $0.tableExists("ledger_head") }) else { throw LedgerFile.none(path) }
        return file
    }

    private init(_ path: String, isReadOnly: Bool) throws {
        self.path = path
        writer = isReadOnly ? nil : try LedgerFile.openWriter(path)
        reader = try LedgerFile.openReader(path)
    }

    private static func openWriter(_ path: String) throws -> DatabaseQueue {
        var configuration = Configuration()
        configuration.journalMode = .wal
        configuration.busyMode = .timeout(Limit.patience)
        return try Database.translated {
            let queue = try DatabaseQueue(path: path, configuration: configuration)
            // The library lowers this to NORMAL for WAL; only FULL survives a power cut.
            try queue.writeWithoutTransaction { try $0.execute(sql: "PRAGMA synchronous=FULL") }
            try Database.migrator.migrate(queue)
            return queue
        }
    }

    static func openReader(_ path: String) throws -> DatabaseQueue {
        var configuration = Configuration()
        configuration.readonly = true
        configuration.busyMode = .timeout(Limit.patience)
        return try Database.translated { try DatabaseQueue(path: path, configuration: configuration) }
    }

    private static func none(_ path: String) -> Failure {
        Failure(
            .notFound, "there is no ledger yet", at: path,
            suggestion: "the daemon begins it, and so does the first bake; or name another folder with --root"
        )
    }

    /// Reads one state of the log, whatever is appended meanwhile.
    func read<Value>(_ body: (GRDB.Database) throws -> Value) throws -> Value {
        try Database.translated { try reader.read(body) }
    }

    func write<Value: Sendable>(_ body: @Sendable @escaping (GRDB.Database) throws -> Value) async throws
        -> Value
    {
        guard let writer else {
            throw Failure(.internalError, "a ledger that was opened to be read is not written to")
        }
        // Not to be cancelled: others' entries are in the same transaction.
        return try await withCheckedThrowingContinuation { continuation in
            writer.asyncWrite(body) { _, result in
                continuation.resume(with: Result { try Database.translated { try result.get() } })
            }
        }
    }

    // MARK: Appending

    /// Who writes now, and who waits for the next transaction.
    private struct Line {
        var isWriting = false
        var waiting: [Waiter] = []
    }

    private struct Waiter {
        var entries: [LedgerEntry]
        var continuation: CheckedContinuation<Turn, any Error>
    }

    private enum Turn {
        case written(first: Int)
        case write
    }

    @discardableResult
    package func append(_ entries: [LedgerEntry]) async throws -> Int {
        let turn: Turn = try await withCheckedThrowingContinuation { continuation in
            let isFree = line.withLock { line in
                guard line.isWriting else {
                    line.isWriting = true
                    return true
                }
                line.waiting.append(Waiter(entries: entries, continuation: continuation))
                return false
            }
            if isFree { continuation.resume(returning: .write) }
        }
        switch turn {
        case .written(let first): return first
        case .write: return try await writeBatch(beginning: entries)
        }
    }

    /// Writes these entries and those of all who wait, and lets the next one write.
    private func writeBatch(beginning entries: [LedgerEntry]) async throws -> Int {
        let others = line.withLock { line in
            var count = entries.count
            let fitting = line.waiting.prefix { waiter in
                count += waiter.entries.count
                return count <= Limit.batch
            }
            line.waiting.removeFirst(fitting.count)
            return Array(fitting)
        }
        let all = others.reduce(into: entries) { $0 += $1.entries }
        let result: Result<Int, any Error>
        do {
            result = .success(try await write { try LedgerLog.append(all, in: $0) })
        } catch {
            result = .failure(error)
        }
        var place = entries.count
        for other in others {
            other.continuation.resume(with: result.map { .written(first: $0 + place) })
            place += other.entries.count
        }
        let next = line.withLock { line -> Waiter? in
            line.isWriting = !line.waiting.isEmpty
            return line.waiting.isEmpty ? nil : line.waiting.removeFirst()
        }
        next?.continuation.resume(returning: .write)
        return try result.get()
    }
}
