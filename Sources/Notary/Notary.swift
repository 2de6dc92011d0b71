internal import Foundation
package import Model
internal import Ports
internal import Synchronization
package import Trust

/// Signs heads of a ledger, and puts them where they outlive it: into the database, into files, and before witnesses.
package struct Notary: Sendable {
    package let ledger: any LedgerArchive
    /// The log's name.
    package let origin: String
    package private(set) var key: SigningKey
    /// The keys that may have signed what is found: this one, and those before it.
    package private(set) var known: [PublicKey]
    /// Files that the newest checkpoint lies in; the first is the one in the root folder.
    package let files: [CheckpointFile]
    package let witnesses: [Witness]
    let client: WitnessClient
    private let last = LastHead()

    /// What this process knows itself: nobody can change it but in its memory.
    private final class LastHead: Sendable {
        /// What it signed last, or found to be whole.
        let checkpoint = Mutex<Checkpoint?>(nil)
        /// What a witness held against the log when it was asked last.
        let doubt = Mutex<Failure?>(nil)
    }

    package enum Limit {
        package static let witnesses = 16
        package static let files = 16
        /// How often one witness is asked in one go: each time from where it says that it is.
        static let asks = 3
    }

    /// - Parameter name: what the log is called from now on, if it has no name yet
    package init(
        ledger: any LedgerArchive, name: String, key: SigningKey, known: [PublicKey] = [],
        files: [CheckpointFile] = [], witnesses: [Witness] = [], client: WitnessClient
    ) async throws {
        guard witnesses.count <= Limit.witnesses, files.count <= Limit.files else {
            throw Failure(
                .invalidArgument,
                "a ledger has at most \(Limit.witnesses) witnesses and \(Limit.files) files for its checkpoint"
            )
        }
        self.ledger = ledger
        origin = try await ledger.named(name)
        self.key = key
        self.known = Notary.known(key, known)
        self.files = files
        self.witnesses = witnesses
        self.client = client
        // A name that no note can have is told now, and not by every checkpoint.
        _ = try NoteKey(name: origin, publicKey: key.publicKey)
    }

    /// The same, with what it remembers, signing with another key from now on.
    package func signing(with key: SigningKey, known: [PublicKey]) -> Notary {
        var notary = self
        (notary.key, notary.known) = (key, Notary.known(key, known))
        return notary
    }

    private static func known(_ key: SigningKey, _ others: [PublicKey]) -> [PublicKey] {
        [key.publicKey] + others.filter { $0 != key.publicKey }
    }

    /// What other programs check this log's checkpoints with.
    package var verifier: NoteKey {
        get throws { try NoteKey(name: origin, publicKey: key.publicKey) }
    }

    /// What came of one checkpoint.
    package struct Outcome: Sendable {
        package var checkpoint: Checkpoint
        /// With the signatures of all witnesses that gave one.
        package var note: SignedNote
        package var cosignatures: [Cosignature] = []
        /// What did not work, and will be tried again.
        package var warnings: [Failure] = []
        /// What tells of another log than this one.
        package var alarms: [Failure] = []
    }

    /// Signs the head of the log as it is now, and takes it everywhere. Throws `logInconsistent`, and signs nothing, where
    /// the log does not begin with what was signed before, as far as this process and the files know.
    ///
    /// - Parameter asking: whether witnesses are asked too
    package func checkpoint(at now: Instant, asking: Bool = true) async throws -> Outcome {
        let doubt = last.doubt.withLock { $0 }
        if let doubt, !asking { throw doubt }
        var outcome = try signed()
        if doubt == nil { try await keep(&outcome, at: now) }
        guard asking, outcome.checkpoint.size > 0, !witnesses.isEmpty else { return outcome }
        if try await ask(&outcome, at: now) != nil { return outcome }
        if doubt != nil { try await keep(&outcome, at: now) }
        if !outcome.cosignatures.isEmpty { write(&outcome) }
        return outcome
    }

    /// Asks all witnesses. Returns what one of them holds against the log.
    private func ask(_ outcome: inout Outcome, at now: Instant) async throws -> Failure? {
        let known = outcome.alarms.count
        for (witness, answer) in await askAll(outcome.checkpoint, outcome.note) {
            try await take(answer, of: witness, &outcome, at: now)
        }
        let doubt = outcome.alarms.dropFirst(known).first
        last.doubt.withLock { $0 = doubt }
        return doubt
    }

    /// The signature proves to whoever has nothing else that this is the log: it is made of no other one.
    private func signed() throws -> Outcome {
        let head = try ledger.head()
        let checkpoint = Checkpoint(origin: origin, size: head.size, root: head.root)
        if let last = last.checkpoint.withLock({ $0 }), last.size > 0 {
            let proof = last.size <= head.size ? try ledger.consistency(from: last.size, to: head.size) : []
            try checkpoint.requireConsistency(with: last, proof: proof)
        }
        for file in files {
            // What cannot be read is told when it is to be written.
            guard let older = (try? file.read(origin: origin, keys: known)) ?? nil else { continue }
            try ledger.requireConsistency(with: older, from: file.path)
        }
        return Outcome(checkpoint: checkpoint, note: try checkpoint.signed(with: key))
    }

    private func keep(_ outcome: inout Outcome, at now: Instant) async throws {
        let (checkpoint, note) = (outcome.checkpoint, outcome.note)
        remember(checkpoint)
        try await ledger.store(StoredCheckpoint(size: checkpoint.size, at: now, note: note.bytes))
        write(&outcome)
    }

    private func remember(_ checkpoint: Checkpoint) {
        last.checkpoint.withLock { last in
            if checkpoint.size >= last?.size ?? 0 { last = checkpoint }
        }
    }

    private func write(_ outcome: inout Outcome) {
        for file in files {
            do {
                // What somebody else put there meanwhile is evidence, and is not written over.
                if let older = try file.read(origin: origin, keys: known) {
                    try ledger.requireConsistency(with: older, from: file.path)
                }
                try file.write(outcome.note)
            } catch {
                let failure = Failure.list(error)[0]
                if failure.code == .logInconsistent {
                    if !outcome.alarms.contains(failure) { outcome.alarms.append(failure) }
                } else if !outcome.warnings.contains(failure) {
                    outcome.warnings.append(failure)
                }
            }
        }
    }

    // MARK: Witnesses

    /// All at once: a slow one holds up nobody.
    private func askAll(_ checkpoint: Checkpoint, _ note: SignedNote) async -> [(Witness, WitnessAnswer)] {
        let stored = (try? ledger.checkpoints()) ?? []
        return await withTaskGroup(of: (Int, WitnessAnswer).self) { group in
            for (place, witness) in witnesses.enumerated() {
                let older = stored.first { $0.witness == witness.key.name }?.size ?? 0
                group.addTask { (place, await ask(witness, checkpoint, note, from: older)) }
            }
            return await group.reduce(into: []) { $0.append((witnesses[$1.0], $1.1)) }
        }
    }

    /// Asks from where the witness is, as we know it, and then as it says.
    private func ask(
        _ witness: Witness, _ checkpoint: Checkpoint, _ note: SignedNote, from older: Int
    ) async -> WitnessAnswer {
        var older = min(older, checkpoint.size)
        for _ in 1...Limit.asks {
            let answer: WitnessAnswer
            do {
                let proof = try ledger.consistency(from: older, to: checkpoint.size)
                answer = await client.ask(
                    witness, WitnessRequest(note: note, checkpoint: checkpoint, older: older, proof: proof))
            } catch {
                return .refused(reason: "\(error)")
            }
            guard case .remembers(let size) = answer, size <= checkpoint.size, size != older else {
                return answer
            }
            older = size
        }
        return .refused(reason: "each time that it is asked it has seen a log of another length")
    }

    private func take(
        _ answer: WitnessAnswer, of witness: Witness, _ outcome: inout Outcome, at now: Instant
    ) async throws {
        let name = witness.key.name
        switch answer {
        case .signed(let signature, let cosignature):
            outcome.note.add(signature)
            outcome.cosignatures.append(cosignature)
            var own = try SignedNote(parsing: try outcome.checkpoint.signed(with: key).bytes)
            own.add(signature)
            try await ledger.store(
                StoredCheckpoint(witness: name, size: outcome.checkpoint.size, at: now, note: own.bytes))
        case .remembers(let size):
            // Another process of this host may have shown it more meanwhile.
            let length = try ledger.head().size
            if size > length { outcome.alarms.append(Notary.isShort(by: size - length, length, name)) }
        case .fork(let reason): outcome.alarms.append(Notary.isForked(name, reason))
        case .refused(let reason):
            outcome.warnings.append(
                Failure(
                    .notTrusted, "the witness \(name) did not sign: \(reason)", at: witness.address,
                    suggestion: "has it been given this log's key? `kiln ledger checkpoint` shows it"))
        case .silent(let reason):
            outcome.warnings.append(
                Failure(
                    .registryUnreachable, "the witness \(name) did not answer: \(reason)", at: witness.address
                ))
        }
    }

    private static func isShort(by missing: Int, _ size: Int, _ name: String) -> Failure {
        Failure(
            .logInconsistent,
            "the ledger has \(counted(size, "entry", "entries")), and the witness \(name) has seen "
                + "\(size + missing): the last \(missing) \(missing == 1 ? "is" : "are") missing",
            suggestion: LedgerAdvice.bringBack)
    }

    private static func isForked(_ name: String, _ reason: String) -> Failure {
        Failure(
            .logInconsistent, "the witness \(name) refuses this log: \(reason)",
            suggestion: "compare the log with a copy: either its past was rewritten, or the witness errs")
    }

    // MARK: At the start

    /// Compares the log with all that is known of it: the checkpoints in the database, those in the files, and what
    /// the witnesses remember. Throws `logInconsistent` where it is shorter, or another; returns what could not be
    /// asked or read.
    package func requirePast(at now: Instant) async throws -> [Failure] {
        let warnings = try requireLocalPast()
        let head = try ledger.head()
        remember(Checkpoint(origin: origin, size: head.size, root: head.root))
        guard !witnesses.isEmpty else { return warnings }
        if head.size == 0 {
            // Nothing is worth a signature, but a witness may remember more than nothing.
            let empty = Checkpoint(origin: origin, size: 0, root: head.root)
            for case (let witness, .remembers(let size)) in await askAll(empty, try empty.signed(with: key)) {
                throw Notary.isShort(by: size, 0, witness.key.name)
            }
            return warnings
        }
        // Before it is kept anywhere: what only the witnesses remember is all that tells of a log which was put in the
        // place of this one together with its files.
        var outcome = try signed()
        if let alarm = try await ask(&outcome, at: now) { throw alarm }
        try await keep(&outcome, at: now)
        return warnings + outcome.warnings
    }

    /// The same without the witnesses.
    package func requireLocalPast() throws -> [Failure] {
        try ledger.requireWholeEnd()
        var warnings: [Failure] = []
        for stored in try ledger.checkpoints() {
            let place = stored.witness.map { "the checkpoint that \($0) signed" } ?? "the last checkpoint"
            do {
                let checkpoint = try Checkpoint(opening: stored.note, origin: origin, keys: known)
                try ledger.requireConsistency(with: checkpoint, from: place)
            } catch let failure as Failure where failure.code != .logInconsistent {
                warnings.append(failure.at("\(place) in the database"))
            }
        }
        for file in files {
            guard let checkpoint = try file.read(origin: origin, keys: known) else { continue }
            try ledger.requireConsistency(with: checkpoint, from: file.path)
        }
        return warnings
    }
}
