internal import Model
internal import WireAPI

/// Follows one rollout to its end and tells what happens.
struct RolloutFollower {
    let client: DaemonClient
    let key: ServiceKey
    let isQuiet: Bool

    /// How long one request waits for news. The rollout's own deadlines bound the whole.
    static let wait = "10s"
    /// How long, and how often, what failed instances said last is waited for.
    private static let waitForLastWords = "2s"
    private static let readsForLastWords = 5

    /// The rollout as it ended, and all that happened in it.
    func follow(_ answer: RolloutAnswer) async throws -> (Rollout, [Event]) {
        guard let rollout = answer.rollout else {
            throw Failure(.internalError, "there is no rollout to follow")
        }
        var reader = EventReader(client: client, key: key, after: answer.eventsAfter)
        while true {
            try Task.checkCancellation()
            tell(try await reader.read(wait: RolloutFollower.wait), of: rollout)
            let status: ServiceStatus = try await client.get(WirePath.service(key))
            if status.rollout?.number == rollout.number { continue }
            tell(try await reader.read(wait: "0s"), of: rollout)
            guard let ended = status.lastRollout, ended.number == rollout.number else {
                throw Failure(
                    .conflict, "rollout \(rollout.number) of \(key) was superseded",
                    suggestion: "`kiln status` shows what runs now")
            }
            if ended.outcome != .succeeded { try await awaitLastWords(of: ended, &reader) }
            return (ended, reader.all)
        }
    }

    /// A rollout can be over before those that failed in it are removed, and what they said last is told then.
    private func awaitLastWords(of rollout: Rollout, _ reader: inout EventReader) async throws {
        for _ in 1...RolloutFollower.readsForLastWords {
            let failed = reader.all.filter {
                $0.note.kind == .instanceFailed && $0.note.release == rollout.to
            }.map(\.note.instance)
            let isTold = reader.all.contains {
                $0.note.details["log"] != nil
                    || $0.note.kind == .removed && failed.contains($0.note.instance)
            }
            if failed.isEmpty || isTold { return }
            tell(try await reader.read(wait: RolloutFollower.waitForLastWords), of: rollout)
        }
    }

    /// Waits until the release's turn has come; then it can be followed.
    func awaitTurn(_ queued: QueuedRollout, after number: Int) async throws -> RolloutAnswer {
        var reader = EventReader(client: client, key: key, after: number)
        while true {
            try Task.checkCancellation()
            let status: ServiceStatus = try await client.get(WirePath.service(key))
            let mine = [status.rollout, status.lastRollout].compactMap(\.self).first { $0.to == queued.to }
            if let mine {
                _ = try await reader.read(wait: "0s")
                let began = reader.all.last { $0.note.kind == .rolloutBegan && $0.note.release == queued.to }
                return RolloutAnswer(rollout: mine, eventsAfter: began.map { $0.number - 1 } ?? reader.after)
            }
            guard status.queued?.contains(queued) == true else {
                throw Failure(
                    .conflict, "\(queued.to) no longer waits: another deploy took its place",
                    suggestion: "`kiln status` shows what runs now")
            }
            _ = try await reader.read(wait: RolloutFollower.wait)
        }
    }

    /// What comes after a rollout's end is not its story, but that of one that waited for it.
    private func tell(_ events: [Event], of rollout: Rollout) {
        guard !isQuiet else { return }
        let events = events.filter { ($0.rollout ?? 0) <= rollout.number }
        for line in events.compactMap({ $0.note.line(in: key) }) { Screen.tell(line) }
    }

    /// Throws what went wrong, with what the failed instances last said.
    func requireSuccess(_ rollout: Rollout, _ events: [Event]) throws {
        let reason: String
        switch rollout.outcome {
        case .succeeded, nil: return
        case .superseded: return try rollout.requireSuccess(of: key)
        case .rolledBack(let why):
            reason = rollout.from.map { "\(rollout.to) was rolled back, \($0) serves: \(why)" } ?? why
        case .failed: reason = rollout.outcomeText
        }
        let log = events.last { $0.note.details["log"] != nil }
        let lines = log.map { "\nthe last lines of \($0.note.instance?.text ?? "the instance"):\n" }
        let text = log?.note.details["log"]?.split(separator: "\n").map { "  | \($0)" }.joined(
            separator: "\n")
        throw Failure(
            .rolloutFailed, reason + (lines ?? "") + (text ?? ""),
            suggestion: "`kiln history \(key)` tells all that happened")
    }
}

extension Note {
    /// The line that a person sees; nil for what only the history needs.
    func line(in key: ServiceKey) -> String? {
        switch kind {
        case .releaseCreated, .rolloutBegan, .allHealthy, .scaled, .retiring, .retired, .stageBegan,
            .gateOpened, .analysis, .promoted, .resumed, .queued:
            // The numbers of a comparison are for `kiln rollout status` and for programs.
            return "  " + message
        case .launched, .instanceHealthy:
            let time = (details["milliseconds"] ?? details["afterMilliseconds"]).map { " (\($0) ms)" } ?? ""
            return "  " + message + Screen.coloured(time, .faint)
        case .switched, .gatePassed, .approved: return "  " + Screen.coloured(message, .green)
        case .paused:
            let hint = message.contains("kiln rollout") ? "" : "; \(Hint.resume(key))"
            return "  " + Screen.coloured(message + hint, .yellow)
        case .routed:
            return details["serving"]?.isEmpty == false
                ? "  \(message) (\(details["milliseconds"]!) ms)" : nil
        case .altered: return "  " + Screen.coloured(message, .red)
        case .bypassed, .drifted, .driftHalted, .setRight, .tainted, .repaved:
            return "  " + Screen.coloured(message, .yellow)
        case .removed:
            return details["reason"] == "exited" ? nil : "  " + Screen.coloured(message, .faint)
        case .instanceFailed, .launchFailed, .stepFailed, .backingOff, .returning:
            return "  " + Screen.coloured(message, .yellow)
        case .gateFailed: return "  " + Screen.coloured(message, .red)
        case .rolloutEnded:
            return "  " + Screen.coloured(message, details["outcome"] == "succeeded" ? .green : .red)
        }
    }
}

/// Reads the events of a service on from where it stopped.
struct EventReader {
    let client: DaemonClient
    let key: ServiceKey
    var after: Int
    private(set) var all: [Event] = []

    init(client: DaemonClient, key: ServiceKey, after: Int) {
        self.client = client
        self.key = key
        self.after = after
    }

    /// The events since the last read; waits for news up to `wait`.
    mutating func read(wait: String) async throws -> [Event] {
        let path = WirePath.events(key) + "?after=\(after)&wait=\(wait)"
        let events = try await client.get(path, as: EventsAnswer.self).events
        after = events.last?.number ?? after
        all += events
        return events
    }
}
