internal import Model
internal import WireAPI

/// What a rollout waits for, in words.
struct RolloutWait: Equatable {
    var text: String
    /// When it goes on by itself, or gives up; nil: when somebody or something says so.
    var until: Instant?
    /// Whether it gives up then.
    var isDeadline = false

    /// `comparing …, goes on in 48s`.
    func text(at now: Instant) -> String {
        guard let until else { return text }
        let left = Span(milliseconds: max(0, (until - now).milliseconds)).readable
        return "\(text); \(isDeadline ? "gives up" : "goes on") in \(left)"
    }
}

extension Rollout {
    /// `stage 2 of 7`.
    var place: String { "stage \(stage + 1) of \(stages.count)" }

    /// `deadline`: for instances to be proven, where it is known. nil: it has ended.
    func wait(in key: ServiceKey, deadline: Span?) -> RolloutWait? {
        if case .ended = phase { return nil }
        if case .returning(_, let reason) = phase {
            return RolloutWait(text: "giving the traffic back: \(reason)")
        }
        if pause != nil { return RolloutWait(text: "paused; \(Hint.resume(key))") }
        switch phase {
        case .returning, .ended: return nil
        case .launching(let since):
            return RolloutWait(
                text: "waiting for \(to) to become healthy", until: deadline.map { since + $0 },
                isDeadline: true)
        case .switching: return RolloutWait(text: "changing where the traffic goes")
        case .waiting(let since):
            switch currentStage.wait {
            case .none: return RolloutWait(text: "going on")
            case .settle(let span): return RolloutWait(text: "watching \(to)", until: since + span)
            case .pause(let span?): return RolloutWait(text: "pausing", until: since + span)
            case .pause(nil): return RolloutWait(text: "pausing; \(Hint.resume(key))")
            case .gate(let gate): return wait(for: gate, in: key, since: since)
            }
        }
    }

    private func wait(for gate: Gate, in key: ServiceKey, since stageBegan: Instant) -> RolloutWait {
        let since = if case .open(let opened, _) = gates[gate.name] { opened } else { stageBegan }
        let name = "gate \(gate.name)"
        switch gate.kind {
        case .health(let span):
            return RolloutWait(text: "\(name): \(to) is to stay healthy", until: since + span)
        case .analysis(let span):
            return RolloutWait(
                text: "\(name): comparing \(to) with \(from.map { "\($0)" } ?? "the old release")",
                until: since + span)
        case .approval:
            let count = approvalText(of: gate).map { "\($0); " } ?? ""
            return RolloutWait(
                text: "\(name): \(count)\(Hint.approve(key, gate))", until: since + gate.timeout,
                isDeadline: gate.otherwise == .fail)
        case .http, .command, .webhook, .query, .visits:
            return RolloutWait(
                text: "\(name): \(gate.kind.question)", until: since + gate.timeout,
                isDeadline: gate.otherwise == .fail)
        }
    }

    /// The gates of all stages, in the order in which they are asked.
    var allGates: [Gate] {
        stages.compactMap { if case .gate(let gate) = $0.wait { gate } else { nil } }
    }
}

/// Which command goes on.
enum Hint {
    static func resume(_ key: ServiceKey) -> String { "`kiln rollout resume \(key)` goes on" }
    static func approve(_ key: ServiceKey, _ gate: Gate) -> String {
        let command = "`kiln rollout approve \(key) --gate \(gate.name)"
        guard case .approval(let approvers?) = gate.kind else { return command + "` goes on" }
        return "\(command) --key NAME` by \(approvers) goes on"
    }
}

extension TrafficCounts {
    /// `12,345 requests, 0 refused, 0 cut, 0 failed`: those are what no instance answered.
    var text: String {
        [
            "\(requests.grouped) \(requests == 1 ? "request" : "requests")", "\(refused.grouped) refused",
            "\(cut.grouped) cut", "\(failed.grouped) failed",
        ].joined(separator: ", ")
    }
}

extension Int {
    /// With a comma between groups of three digits.
    var grouped: String {
        let digits = String(magnitude)
        var text = self < 0 ? "-" : ""
        for (index, digit) in digits.enumerated() {
            if index > 0, (digits.count - index).isMultiple(of: 3) { text += "," }
            text.append(digit)
        }
        return text
    }
}
