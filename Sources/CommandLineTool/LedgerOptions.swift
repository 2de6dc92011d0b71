internal import ArgumentParser
internal import Foundation
internal import Model
internal import Notary
internal import Ports
internal import Trust

/// Who signs checkpoints too, and under which name.
struct WitnessOptions: ParsableArguments {
    @Option(
        name: .customLong("witness"),
        help: ArgumentHelp(
            "A witness that signs checkpoints too (c2sp.org/tlog-witness). Repeatable.", valueName: "url"))
    var witnessAddresses: [String] = []
    @Option(
        name: .customLong("witness-key"),
        help: ArgumentHelp("The key of each --witness, in the same order.", valueName: "vkey"))
    var witnessKeys: [String] = []
    @Option(
        help: ArgumentHelp(
            "What the ledger is called from its first checkpoint on, for ever (default: HOST/ledger).",
            valueName: "name"))
    var ledgerName: String?

    func validate() throws {
        guard witnessAddresses.count == witnessKeys.count else {
            throw ValidationError(
                "There are \(witnessAddresses.count) times --witness and \(witnessKeys.count) times --witness-key."
            )
        }
        for address in witnessAddresses {
            guard let url = URL(string: address), ["http", "https"].contains(url.scheme), url.host != nil
            else {
                throw ValidationError(
                    "--witness takes an address such as https://witness.example, not \"\(address)\"")
            }
        }
    }

    func witnesses() throws -> [Witness] {
        try zip(witnessAddresses, witnessKeys).map { address, key in
            do {
                return Witness(address: address, key: try Cosignature.Key(parsing: key))
            } catch let failure as Failure {
                throw failure.at("--witness-key \(key)")
            }
        }
    }
}

/// The ledger of a root folder, read from its database: no daemon is needed.
struct LedgerOptions: ParsableArguments {
    @OptionGroup var root: RootOptions
    @OptionGroup var keys: KeyFolderOptions

    func open(toRead: Bool = true) throws -> any LedgerArchive {
        try Adapters.require().openLedger(root.path, toRead)
    }

    /// The public keys that this ledger's checkpoints may be signed with.
    func knownKeys() throws -> [PublicKey] { LedgerKey.known(try keys.folder(root).ring()) }

    /// Where the newest checkpoint lies, beside the database.
    var checkpointPath: String { root.path + "/ledger/checkpoint" }

    /// A signed head that covers entries up to `size`: the stored one where that will do, or else a new one.
    func signedHead(of ledger: any LedgerArchive, covering size: Int) async throws -> (Checkpoint, SignedNote)
    {
        let known = try knownKeys()
        if let stored = try ledger.checkpoints().first(where: { $0.witness == nil && $0.size >= size }),
            let origin = try ledger.origin(),
            let checkpoint = try? Checkpoint(opening: stored.note, origin: origin, keys: known)
        {
            return (checkpoint, try SignedNote(parsing: stored.note))
        }
        let outcome = try await withNotary() {
            try await $0.checkpoint(at: Instant.fromClock)
        }
        return (outcome.checkpoint, outcome.note)
    }

    /// Hands over somebody who signs for this ledger. Throws where the log is not what it was.
    func withNotary<Value>(
        name: String? = nil, files: [String] = [], witnesses: [Witness] = [],
        _ body: (Notary) async throws -> Value
    ) async throws -> Value {
        // Nothing is made where nothing is.
        _ = try open()
        let ledger = try open(toRead: false)
        let key = try LedgerKey.ready(in: keys.folder(root), at: Instant.fromClock)
        if let warning = key.warning { Screen.warn("\(warning)") }
        if var made = key.made {
            made.by = LedgerEntry.thisUser
            try await ledger.append([made])
        }
        let folder = (checkpointPath as NSString).deletingLastPathComponent
        try? FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let client = WitnessClient()
        do {
            let notary = try await Notary(
                ledger: ledger, name: name ?? LedgerKey.usualOrigin, key: key.key,
                known: key.known,
                files: ([checkpointPath] + files).map { CheckpointFile($0) },
                witnesses: witnesses, client: client)
            for warning in try notary.requireLocalPast() { Screen.warn("\(warning)") }
            let value = try await body(notary)
            try await client.close()
            return value
        } catch {
            try? await client.close()
            throw error
        }
    }
}

/// A moment, as it is stated: a time, a day, or how long ago.
struct SinceOption: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Not before then: 2026-01-31, 2026-01-31T12:00:00Z, or how long ago, such as 7d.",
            valueName: "time"))
    var since: String?

    func validate() throws {
        if let since, SinceOption.moment(since, now: .fromClock) == nil {
            throw ValidationError("--since takes a time such as 2026-01-31T12:00:00Z or 7d, not \"\(since)\"")
        }
    }

    func moment(now: Instant) -> Instant? { since.flatMap { SinceOption.moment($0, now: now) } }

    static func moment(_ text: String, now: Instant) -> Instant? {
        if let span = Span(text) { return Instant(milliseconds: now.milliseconds - span.milliseconds) }
        return Instant(text) ?? Instant(text + "T00:00:00Z")
    }
}
