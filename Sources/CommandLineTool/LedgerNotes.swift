internal import Baking
internal import Foundation
internal import Model
internal import Notary
internal import Ports
internal import Trust

/// What verbs tell the ledger of their root folder, with or without a daemon.
extension RootOptions {
    /// What can be had again, such as an image, is had all the same: a ledger that cannot be written is a warning.
    func log(_ entry: LedgerEntry) async {
        do {
            try await append(entry)
        } catch {
            Screen.warn("this is not in the ledger: \(Failure.list(error)[0])")
        }
    }

    func append(_ entry: LedgerEntry) async throws {
        try await Adapters.require().openLedger(path, false).append([entry])
    }

    /// A new image, with the lock that it was made from. One that was there already is no news, unless the ledger knows
    /// nothing of it.
    func logBake(_ result: BakeResult, of session: BakeSession) async {
        if result.wasCached, knowsBake(of: result.image.digest) { return }
        let lock = FileManager.default.contents(atPath: session.lockPath).map { Digest.sha256(of: Array($0)) }
        await log(
            LedgerEntry(
                .bake, "baked \(session.spec.service)\(result.summary)", at: Instant.fromClock,
                by: LedgerEntry.thisUser, service: ServiceKey(session.spec.service),
                image: result.image.digest, commit: GitSource(session.reading).commit,
                evidence: lock, details: ["architecture": result.image.config.architecture.rawValue]))
    }

    private func knowsBake(of image: Digest) -> Bool {
        guard FileManager.default.fileExists(atPath: path + "/kiln.db"),
            let ledger = try? Adapters.require().openLedger(path, true)
        else { return false }
        let query = LedgerQuery(kind: .bake, image: image)
        return (try? ledger.entries(query, order: .oldestFirst, limit: 1).isEmpty) == false
    }

    /// What was put beside images, where anything was. Whoever only signs, on a machine without a ledger, begins none.
    func logSignatures(_ signed: [ImageSigner.Signed], at place: String, by key: String) async {
        guard FileManager.default.fileExists(atPath: path + "/kiln.db") else { return }
        for entry in signed where !entry.published.isEmpty {
            await log(
                LedgerEntry(
                    .sign, "signed \(entry.digest) as \(place)", at: Instant.fromClock,
                    by: LedgerEntry.thisUser,
                    image: entry.digest,
                    details: ["key": key, "published": entry.published.joined(separator: " ")]))
        }
    }
}

extension LedgerEntry {
    /// Whoever runs this program.
    static var thisUser: String { "uid:\(getuid())" }
}
