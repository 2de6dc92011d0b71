internal import Model
internal import WireAPI

extension RolloutStatus {
    /// All there is to know of it, for people.
    func text(at now: Instant) -> String {
        ([headline, progress(at: now)].compactMap(\.self) + [Screen.table(releases.map(row))]
            + gates(at: now) + finding + [counters] + waiting).joined(separator: "\n")
    }

    private var headline: String {
        let way = [rollout.from, rollout.to].compactMap(\.self).map(\.description).joined(separator: " → ")
        let name = Screen.coloured("\(key)", .bold)
        return "\(name)  \(rollout.kind.rawValue) of \(way), \(strategy), by \(rollout.by)"
    }

    private func progress(at now: Instant) -> String? {
        guard let wait = rollout.wait(in: key, deadline: deadline) else {
            return "  " + Screen.coloured(rollout.outcomeText, rollout.outcome == .succeeded ? .green : .red)
        }
        var lines = ["  \(rollout.place): \(wait.text(at: now))"]
        if let pause = rollout.pause {
            let age = (now - pause.since).readable
            lines.append(
                "  " + Screen.coloured("paused for \(age), since \(pause.since): \(pause.reason)", .yellow))
        }
        return lines.joined(separator: "\n")
    }

    private func row(_ release: ReleaseStatus) -> [String] {
        let share = Double(release.share) / 100
        let written = share == share.rounded() ? "\(Int(share))" : "\(share)"
        return [
            "  \(release.release)", "\(written) % of new requests",
            "\(release.healthy) of \(release.wanted) healthy",
        ]
    }

    private func gates(at now: Instant) -> [String] {
        let gates = rollout.allGates
        guard !gates.isEmpty else { return [] }
        let rows = gates.map { gate in
            let record =
                switch rollout.gates[gate.name] {
                case nil: rollout.outcome == nil ? "not asked yet" : "not asked"
                case .open(let since, _):
                    "open for \((now - since).readable)"
                        + (rollout.approvalText(of: gate).map { ", \($0)" } ?? "")
                case .passed(_, let detail): Screen.coloured("passed", .green) + ": \(detail)"
                case .failed(_, let reason): Screen.coloured("failed", .red) + ": \(reason)"
                }
            return ["    \(gate.name)", record]
        }
        return ["  gates", Screen.table(rows)]
    }

    private var finding: [String] {
        guard let finding = rollout.analysis?.finding else { return [] }
        let reason = finding.reason.isEmpty ? "" : ": \(finding.reason)"
        let numbers = finding.numbers.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }
        return ["  newest comparison: \(finding.verdict.rawValue)\(reason)"]
            + Screen.filled(numbers, indent: "    ")
    }

    private var counters: String {
        let errors = traffic.serverErrors > 0 ? ", \(traffic.serverErrors.grouped) answered with 5xx" : ""
        return "  \(rollout.outcome == nil ? "so far" : "in all"): \(traffic.text)\(errors)"
    }

    private var waiting: [String] {
        queued.isEmpty ? [] : ["  waiting: " + queued.map { "\($0.to)" }.joined(separator: ", ")]
    }
}

extension Rollout {
    /// Throws what a rollout that did not succeed is told as; a script sees it by the exit code.
    func requireSuccess(of key: ServiceKey) throws {
        switch outcome {
        case .succeeded, nil: return
        case .superseded:
            throw Failure(
                .conflict, "\(to) was superseded by another rollout",
                suggestion: "`kiln status` shows what runs now")
        case .rolledBack, .failed:
            throw Failure(
                .rolloutFailed, outcomeText,
                suggestion: "`kiln history \(key) --events` tells all that happened")
        }
    }
}
