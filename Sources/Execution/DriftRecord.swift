internal import Logging
internal import Model
internal import Planning
internal import Ports

extension World {
    /// Has something that differs, or was put right, in the log and in the ledger.
    func record(
        _ kind: LedgerEntry.Kind, _ message: String, _ drift: Drift, _ evidence: KeptEvidence? = nil
    ) async {
        var details = [
            "kind": drift.kind.rawValue, "subject": drift.subject, "source": drift.source.rawValue,
        ]
        details["expected"] = drift.expected
        details["found"] = drift.found
        details["evidence-file"] = evidence?.path
        logger.warning("drift", metadata: ["message": "\(message)", "kind": "\(drift.kind.rawValue)"])
        let entry = LedgerEntry(
            kind, message, at: clock.now, by: LedgerEntry.daemon, evidence: evidence?.digest,
            details: details)
        do { _ = try await ledger.append([entry]) } catch {
            logger.error("drift not in the ledger", metadata: ["error": "\(error)"])
        }
    }
}

extension ServiceState {
    /// The names in registries that the current release came by.
    func currentTags(_ releases: [ReleaseNumber: Release]) -> [TaggedImage] {
        current.flatMap { releases[$0]?.tags } ?? []
    }
}
