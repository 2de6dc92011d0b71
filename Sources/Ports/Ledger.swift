package import Model

/// What was done, in an order that cannot be changed unseen. Safe for several processes at once.
package protocol Ledger: Sendable {
    /// Adds entries at the end, in their order, and returns the number of the first. They are on disk before this
    /// returns.
    @discardableResult
    func append(_ entries: [LedgerEntry]) async throws -> Int
}

/// An entry as the log has it.
package struct LoggedEntry: Hashable, Sendable {
    /// The first entry of a log is number 0.
    package var number: Int
    /// What the log hashes.
    package var bytes: [UInt8]

    package init(number: Int, bytes: [UInt8]) {
        self.number = number
        self.bytes = bytes
    }

    package func parsed() throws -> LedgerEntry {
        do {
            return try LedgerEntry(parsing: bytes)
        } catch let failure as Failure {
            throw failure.at("entry \(number)")
        }
    }
}

/// Which entries are asked for. All that is stated has to hold.
package struct LedgerQuery: Hashable, Sendable {
    package var service: ServiceKey?
    /// Only together with `service`.
    package var release: ReleaseNumber?
    package var instance: InstanceID?
    package var kind: LedgerEntry.Kind?
    package var image: Digest?
    package var evidence: Digest?
    /// Not before this moment.
    package var since: Instant?
    /// Numbers to look at.
    package var numbers: Range<Int>

    package init(
        service: ServiceKey? = nil, release: ReleaseNumber? = nil, instance: InstanceID? = nil,
        kind: LedgerEntry.Kind? = nil, image: Digest? = nil, evidence: Digest? = nil, since: Instant? = nil,
        numbers: Range<Int> = 0..<Int.max
    ) {
        self.service = service
        self.release = release
        self.instance = instance
        self.kind = kind
        self.image = image
        self.evidence = evidence
        self.since = since
        self.numbers = numbers
    }
}

/// Which end of the log is read from.
package enum LedgerOrder: Hashable, Sendable {
    case oldestFirst, newestFirst
}

/// A signed head of the log, as it was stored, for later comparison.
package struct StoredCheckpoint: Hashable, Sendable {
    /// The witness that signed it too; nil for the log's own.
    package var witness: String?
    package var size: Int
    package var at: Instant
    /// A signed note.
    package var note: [UInt8]

    package init(witness: String? = nil, size: Int, at: Instant, note: [UInt8]) {
        self.witness = witness
        self.size = size
        self.at = at
        self.note = note
    }
}
