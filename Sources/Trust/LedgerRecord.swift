package import Model

/// What the ledger keeps of intents, of what came of them, and of what was decided.
extension LedgerEntry {
    /// - Parameter image: of the release that the note is about
    package init(_ note: Note, of key: ServiceKey, rollout: Int?, image: Digest?, at now: Instant) {
        var details = note.details
        details["rollout"] = rollout.map { "\($0)" }
        let reason = details.removeValue(forKey: "message")
        let commit = details.removeValue(forKey: "commit")
        let named = details.removeValue(forKey: "digest") ?? details.removeValue(forKey: "evidence")
        let evidence = named.flatMap { try? Digest(parsing: $0) }
        self.init(
            LedgerEntry.kind(of: note), note.message, at: now, by: note.by ?? LedgerEntry.daemon,
            service: key,
            release: note.release ?? note.instance?.release, instance: note.instance, image: image,
            reason: reason.flatMap { $0.isEmpty ? nil : $0 }, commit: commit, evidence: evidence,
            details: details)
    }

    private static func kind(of note: Note) -> Kind {
        switch note.kind {
        case .releaseCreated: .deploy
        case .rolloutBegan: note.details["kind"] == Rollout.Kind.rollback.rawValue ? .rollback : .rollout
        case .stageBegan, .allHealthy, .paused, .resumed, .promoted, .queued, .rolloutEnded: .rollout
        case .returning: .rollback
        case .approved: .approval
        case .gatePassed, .gateOpened, .gateFailed, .analysis: .gate
        case .switched: .switch
        case .scaled: .scale
        case .retiring, .retired: .retire
        case .instanceFailed, .altered, .drifted, .driftHalted: .drift
        case .backingOff, .setRight, .repaved: .repair
        case .bypassed, .tainted: .breakGlass
        case .instanceHealthy, .launched, .launchFailed, .removed, .routed, .stepFailed: .outcome
        }
    }

    /// A step that is about to be taken.
    ///
    /// - Parameters:
    ///   - number: its number in the journal, which its outcome has too
    ///   - image: of a release
    package init(
        intent step: Step, number: Int, of key: ServiceKey, image: (ReleaseNumber) throws -> Digest?,
        at now: Instant
    ) rethrows {
        self.init(.intent, step.text, at: now, by: LedgerEntry.daemon, service: key)
        switch step {
        case .launch(let id, let release): (instance, self.release) = (id, release)
        case .runTask(let id, let release, _): (instance, self.release) = (id, release)
        case .check(let check): release = check.release
        case .remove(let id, _, _), .restoreLimits(let id): (instance, self.release) = (id, id.release)
        case .route, .removeRoute: break
        }
        if let release { self.image = try image(release) }
        details = ["step": step.word, "number": "\(number)"]
    }

    /// What came of a step that nothing else is told of.
    package init(outcome step: Step, number: Int, failure: Failure?, of key: ServiceKey, at now: Instant) {
        self.init(
            .outcome, failure.map { "\(step.text): \($0.message)" } ?? "done: \(step.text)", at: now,
            by: LedgerEntry.daemon, service: key, details: ["step": step.word, "number": "\(number)"])
    }
}

extension Step {
    /// What kind of step it is, for searches. Never renamed: old entries have it.
    package var word: String {
        switch self {
        case .launch: "launch"
        case .runTask: "run-task"
        case .check: "check"
        case .route: "route"
        case .remove: "remove"
        case .restoreLimits: "restore-limits"
        case .removeRoute: "remove-route"
        }
    }
}
