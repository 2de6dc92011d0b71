package import Model
internal import Ports
import Synchronization

/// A ledger that forgets everything at the end of the process.
package final class MemoryLedger: Ledger {
    private let kept = Mutex<[LedgerEntry]>([])

    package init() {}

    package var entries: [LedgerEntry] { kept.withLock { $0 } }

    package func append(_ entries: [LedgerEntry]) async throws -> Int {
        kept.withLock { kept in
            kept += entries
            return kept.count - entries.count
        }
    }
}
