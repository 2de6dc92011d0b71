import Model

/// A canary is compared with the old release while both have traffic.
extension Draft {
    mutating func compare(_ gate: Gate, _ rollout: Rollout, since: Instant, _ span: Span) {
        var settings = situation.releases[rollout.to]?.content.rollout.analysis ?? AnalysisSettings()
        // The rollout's level is divided among its comparisons.
        settings.falseAlarms = max(1, settings.falseAlarms / max(1, rollout.analyses))
        for query in queryGates(gate, settings) { put(query, rollout, every: Limits.queryLook) }
        guard var progress = rollout.analysis else {
            state.rollout?.analysis = AnalysisProgress(since: now)
            usesTraffic = true
            return
        }
        lookAgain(at: progress.lookedAt + Limits.analysisLook)
        let isDue = situation.elapsed(since: since) >= span
        guard now - progress.lookedAt >= Limits.analysisLook else { return }
        let (candidate, reference) = countsSinceLastLook(rollout)
        progress.add(candidate: candidate, reference: reference, at: now, settings)
        progress.lookedAt = now
        progress.probes = fillUp(gate, rollout, settings.probes, asked: progress.probes ?? 0)
        progress.finding = withQueries(
            progress.judged(isDue: isDue, settings), gate, rollout, settings, isDue: isDue)
        state.rollout?.analysis = progress
        usesTraffic = true
        conclude(progress.finding, gate, since: since)
    }

    private mutating func conclude(_ finding: AnalysisFinding, _ gate: Gate, since: Instant) {
        let isPaused = state.rollout?.pause?.reason.hasPrefix(Draft.lackOfData) == true
        switch finding.verdict {
        case .undecided: break
        case .fail:
            tell(finding, gate)
            state.rollout?.gates[gate.name] = .failed(at: now, reason: finding.reason)
            turnBack(finding.reason)
        case .pass:
            // A pause for lack of data is over when there is enough of it; one that somebody asked for is not.
            if isPaused { state.rollout?.pause = nil }
            guard state.rollout?.pause == nil else { return }
            tell(finding, gate)
            state.rollout?.gates[gate.name] = .passed(at: now, detail: finding.reason)
            goOn()
        case .notEnoughData:
            if situation.elapsed(since: since) >= gate.timeout {
                turnBack("\(Draft.lackOfData) within \(gate.timeout)")
            } else if !isPaused, state.rollout?.pause == nil {
                tell(finding, gate)
                pause(
                    "\(Draft.lackOfData): \(finding.reason); `kiln rollout resume \(state.key)` goes on without"
                )
            }
        }
    }

    /// Asks for as many requests as visitors are missing at the wanted rate, and says how many those are.
    private mutating func fillUp(
        _ gate: Gate, _ rollout: Rollout, _ probes: SyntheticProbes?, asked: Int
    ) -> Int? {
        guard let probes, state.rollout?.pause.map({ $0.reason.hasPrefix(Draft.lackOfData) }) ?? true else {
            return nil
        }
        let visits = { Gate("\(gate.name)/probes", .visits(path: probes.path, count: $0)) }
        guard !situation.checking.contains(key(of: visits(0), rollout)) else { return nil }
        let counted = situation.traffic.values.reduce(0) { $0 + $1.requests }
        let missing = probes.rate - max(0, counted - asked)
        guard missing > 0 else { return nil }
        put(visits(missing), rollout, every: .zero)
        return missing
    }

    private static let lackOfData = "not enough data"

    private mutating func tell(_ finding: AnalysisFinding, _ gate: Gate) {
        notes.append(
            Note(
                .analysis, "\(gate.name): \(finding.verdict.rawValue): \(finding.reason)",
                release: state.rollout?.to, details: finding.numbers))
    }

    /// What the router counted for the new release, and for what it is compared with.
    private func countsSinceLastLook(_ rollout: Rollout) -> (RequestCounts, RequestCounts) {
        var candidate = RequestCounts()
        var reference = RequestCounts()
        for (id, counts) in situation.traffic {
            guard let view = view(id) else { continue }
            if view.release == rollout.to {
                candidate += counts
            } else if view.release == state.current,
                rollout.baseline.isEmpty || rollout.baseline.contains(id)
            {
                reference += counts
            }
        }
        return (candidate, reference)
    }

    private func queryGates(_ gate: Gate, _ settings: AnalysisSettings) -> [Gate] {
        settings.queries.enumerated().map { Gate("\(gate.name)/query-\($0 + 1)", .query($1)) }
    }

    /// The finding, with what the queries said: one that fails ends it, one without an answer is a lack of data.
    private func withQueries(
        _ finding: AnalysisFinding, _ gate: Gate, _ rollout: Rollout, _ settings: AnalysisSettings,
        isDue: Bool
    ) -> AnalysisFinding {
        guard finding.verdict != .fail else { return finding }
        var result = finding
        for query in queryGates(gate, settings) {
            switch situation.gateReports[key(of: query, rollout)]?.answer {
            case .failed(let reason): return AnalysisFinding(.fail, reason, numbers: finding.numbers)
            case .passed: continue
            case .unanswered(let reason) where isDue:
                result = AnalysisFinding(.notEnoughData, reason, numbers: finding.numbers)
            case nil where isDue:
                result = AnalysisFinding(.notEnoughData, "no answer to a query", numbers: finding.numbers)
            case .unanswered, nil: continue
            }
        }
        return result
    }
}
