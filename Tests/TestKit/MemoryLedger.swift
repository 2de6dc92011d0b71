package import Model
internal import Ports
import Synchronization

/// A ledger that forgets everything at the end of the process.
package final class MemoryLedger: Ledger {
    private let kept = Mutex<[LedgerEntry]>([])

    private let isFull = Mutex(false)
    private let hook = Mutex<(@Sendable (LedgerEntry) async -> Void)?>(nil)

    package init() {}

    /// Whether nothing more can be written from now on.
    package func fill(_ isFull: Bool) { self.isFull.withLock { $0 = isFull } }

    /// Has something happen while an entry is on its way.
    package func whenAppending(_ hook: @escaping @Sendable (LedgerEntry) async -> Void) {
        self.hook.withLock { $0 = hook }
    }

    package var entries: [LedgerEntry] { kept.withLock { $0 } }

    package func append(_ entries: [LedgerEntry]) async throws -> Int {
        if isFull.withLock({ $0 }) { throw Failure(.diskFull, "the ledger is full") }
        if let hook = hook.withLock({ $0 }) {
            for entry in entries { await hook(entry) }
        }
        return kept.withLock { kept in
            kept += entries
            return kept.count - entries.count
        }
    }
}
