internal import Model
internal import WireAPI

/// Follows one rollout to its end and tells what happens.
struct RolloutFollower {
    let client: DaemonClient
    let key: ServiceKey
    let isQuiet: Bool

    /// How long one request waits for news. The rollout's own deadlines bound the whole.
    static let wait = "10s"

    /// The rollout as it ended, and all that happened in it.
    func follow(_ answer: RolloutAnswer) async throws -> (Rollout, [Event]) {
        guard let rollout = answer.rollout else {
            throw Failure(.internalError, "there is no rollout to follow")
        }
        var reader = EventReader(client: client, key: key, after: answer.eventsAfter)
        while true {
            try Task.checkCancellation()
            tell(try await reader.read(wait: RolloutFollower.wait))
            let status: ServiceStatus = try await client.get(WirePath.service(key))
            if status.rollout?.number == rollout.number { continue }
            tell(try await reader.read(wait: "0s"))
            guard let ended = status.lastRollout, ended.number == rollout.number else {
                throw Failure(
                    .conflict, "rollout \(rollout.number) of \(key) was superseded",
                    suggestion: "`kiln status` shows what runs now")
            }
            return (ended, reader.all)
        }
    }

    private func tell(_ events: [Event]) {
        guard !isQuiet else { return }
        for line in events.compactMap(\.note.line) { Screen.tell(line) }
    }

    /// Throws what went wrong, with what the failed instances last said.
    func requireSuccess(_ rollout: Rollout, _ events: [Event]) throws {
        let reason: String
        switch rollout.outcome {
        case .succeeded, nil: return
        case .superseded:
            throw Failure(.conflict, "\(rollout.to) was superseded by another rollout")
        case .rolledBack(let why):
            reason = rollout.from.map { "\(rollout.to) was rolled back, \($0) serves: \(why)" } ?? why
        case .failed(let why): reason = "\(rollout.to) failed: \(why)"
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
    var line: String? {
        switch kind {
        case .releaseCreated, .rolloutBegan, .allHealthy, .scaled, .retiring, .retired:
            return "  " + message
        case .launched, .instanceHealthy:
            let time = (details["milliseconds"] ?? details["afterMilliseconds"]).map { " (\($0) ms)" } ?? ""
            return "  " + message + Screen.coloured(time, .faint)
        case .switched: return "  " + Screen.coloured(message, .green)
        case .routed:
            return details["serving"]?.isEmpty == false
                ? "  \(message) (\(details["milliseconds"]!) ms)" : nil
        case .removed: return details["reason"] == "exited" ? nil : "  " + Screen.coloured(message, .faint)
        case .instanceFailed, .launchFailed, .stepFailed, .backingOff, .returning:
            return "  " + Screen.coloured(message, .yellow)
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
