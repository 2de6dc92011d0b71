internal import Execution
internal import Foundation
internal import Logging
internal import Model
internal import Ports
internal import Storage

/// The gate that every launch of a daemon goes through, tried before anything is.
struct AdmissionGate {
    let admission: ImageAdmission

    /// Throws where the host's files cannot be read, or where the gate lets pass what it must not.
    init(_ root: String, store: ContentStore, ledger: any Ledger, logger: Logger) async throws {
        let host = HostTrustFiles(root: root)
        let faults = FaultFiles(store: store)
        let verifier = "urn:kiln:host:\(ProcessInfo.processInfo.hostName)"
        admission = ImageAdmission(
            store: store, host: host, faults: faults, ledger: ledger, verifier: verifier, logger: logger)
        let rules = try host.rules()
        let now = SystemClock().now

        let scratch = "\(root)/tmp/admission-self-test-\(getpid())"
        defer { try? FileManager.default.removeItem(atPath: scratch) }
        let trialStore = try ContentStore(scratch)
        try await AdmissionSelfTest(scratch: trialStore, now: now).run(
            gate: admission,
            trial: {
                ImageAdmission(
                    store: trialStore, host: $0, faults: faults, ledger: NoLedger(), verifier: verifier,
                    logger: logger)
            }, host: host)

        try await ledger.append([
            LedgerEntry(
                .start, "the daemon serves this folder; its admission gate passed its own test", at: now,
                by: "uid:\(getuid())", evidence: rules.policyDigest,
                details: ["pid": "\(getpid())", "host": ProcessInfo.processInfo.hostName])
        ])
    }
}

/// What a trial decides is nobody's business.
private struct NoLedger: Ledger {
    func append(_ entries: [LedgerEntry]) async throws -> Int { 0 }
}
