internal import Model
internal import WireAPI

/// Shows a rollout until it ends: drawn again and again on a terminal, line by line elsewhere.
struct RolloutWatch {
    let client: DaemonClient
    let key: ServiceKey
    let output: OutputFormat

    /// How long a look waits for news, which is also how old the shown times may be.
    static let wait = "1s"

    /// The rollout as it ended.
    func follow(_ first: RolloutStatus) async throws -> RolloutStatus {
        let drawn = output == .text && Screen.canRedraw
        var status = first
        var picture = ScreenPicture()
        let last: EventsAnswer = try await client.get(WirePath.events(key) + "?after=0")
        var reader = EventReader(client: client, key: key, after: last.events.last?.number ?? 0)
        if output == .text, !drawn { Screen.answer(status.text(at: .fromClock)) }
        while true {
            try Task.checkCancellation()
            if drawn { picture.draw(status.text(at: .fromClock)) }
            if status.rollout.outcome != nil { return status }
            let events = try await reader.read(wait: RolloutWatch.wait)
            status = try await next(status)
            guard output == .text, !drawn else { continue }
            let hasEnded = status.rollout.outcome != nil
            let rest = hasEnded ? try await reader.read(wait: "0s") : []
            // What comes after its end is the story of one that waited for it.
            let mine = (events + rest).filter { ($0.rollout ?? 0) <= status.rollout.number }
            for line in mine.compactMap({ $0.note.line(in: key) }) { Screen.answer(line) }
            if hasEnded { Screen.answer(status.traffic.text) }
        }
    }

    /// The same rollout now, also where another has begun since it ended.
    private func next(_ status: RolloutStatus) async throws -> RolloutStatus {
        let now: RolloutStatus = try await client.get(WirePath.rollout(key))
        if now.rollout.number == status.rollout.number { return now }
        let service: ServiceStatus = try await client.get(WirePath.service(key))
        guard let ended = service.lastRollout, ended.number == status.rollout.number else {
            throw Failure(
                .conflict, "another rollout of \(key) has begun: \(now.rollout.to)",
                suggestion: "`kiln rollout status \(key) --watch` follows that one")
        }
        var last = status
        last.rollout = ended
        last.traffic = ended.traffic ?? status.traffic
        return last
    }
}
