import Model

/// What a comparison needs besides what its settings say.
enum AnalysisLimits {
    /// Requests of each side that make a block: ranks and odds of fewer would tell less than they could. Where
    /// there is less traffic, blocks take longer than one look.
    static let blockRequests = 5
    /// Answers of the reference from which its 95th percentile is taken. The test is as exact with any threshold:
    /// with one from so few it only finds a little less, until the next block's is a better one.
    static let answersForThreshold = 20
    /// The share of the reference's answers that are not slow.
    static let slowShare = 0.95
    /// Errors, slow answers and whole latencies are tested, each at this part of the level (Bonferroni), so that all
    /// together raise false alarms no more often than the level says.
    static let tests = 3.0
}

/// A candidate fails when a test finds it worse than chance explains, and the difference is also larger than is
/// tolerated. The first keeps healthy releases from being stopped; the second, good ones for trifles.
extension AnalysisProgress {
    /// Takes in what was counted since the last look.
    ///
    /// To be called about once a second: what comes between two looks is taken as of one time, so that seldom looks
    /// find less, and as what one stalled instance may have caused, so that hasty ones take a stall for several.
    mutating func add(
        candidate newCandidate: RequestCounts, reference newReference: RequestCounts, at now: Instant,
        _ settings: AnalysisSettings
    ) {
        lookedAt = now
        candidate += newCandidate
        reference += newReference
        pendingCandidate += newCandidate
        pendingReference += newReference
        // Decided by the number of requests alone: what came of them must not choose the block's end.
        guard min(pendingCandidate.requests, pendingReference.requests) >= AnalysisLimits.blockRequests
        else { return }
        addBlock(pendingCandidate, pendingReference)
        pendingCandidate = RequestCounts()
        pendingReference = RequestCounts()
    }

    private mutating func addBlock(_ candidateBlock: RequestCounts, _ referenceBlock: RequestCounts) {
        let errors = PairedCounts(
            candidateHits: candidateBlock.errors, candidateTrials: candidateBlock.requests,
            referenceHits: referenceBlock.errors, referenceTrials: referenceBlock.requests)
        OddsTest.add(errors, to: &errorEvidence)
        let table = LatencyTable(candidate: candidateBlock.latency, reference: referenceBlock.latency)
        if let slowThreshold { OddsTest.add(table.slower(than: slowThreshold), to: &slowEvidence) }
        RankTest.add(table, to: &latencyRanks)
        compareLatencies()
        // For the next block: a threshold that the block itself had a part in would not be independent of it.
        if reference.latency.total >= AnalysisLimits.answersForThreshold {
            slowThreshold = reference.latency.quantile(AnalysisLimits.slowShare)
        }
    }

    /// Only where there are twice as many answers as at the last comparison: each look takes a part of the level.
    private mutating func compareLatencies() {
        let (candidates, references) = (candidate.latency.total, reference.latency.total)
        guard min(candidates, references) >= RankTest.answersNeeded,
            candidates + references >= nextLatencyLook
        else { return }
        latencyLooks += 1
        nextLatencyLook = 2 * (candidates + references)
        latencyChance = RankTest.chance(latencyRanks)
    }

    /// What all that was counted says. `isDue`: the time that the comparison was to take is over.
    func judged(isDue: Bool, _ settings: AnalysisSettings) -> AnalysisFinding {
        let words = ComparisonWords(self, settings)
        let numbers = words.numbers
        if let objection = objection(settings) {
            return AnalysisFinding(.fail, words.reason(objection), numbers: numbers)
        }
        guard isDue else { return AnalysisFinding(.undecided, words.soFar, numbers: numbers) }
        // Nothing is never enough, whatever is asked for.
        let needed = max(1, settings.minRequests)
        guard min(candidate.requests, reference.requests) >= needed else {
            return AnalysisFinding(.notEnoughData, words.tooFew(needed), numbers: numbers)
        }
        guard !isSuspicious(settings) else {
            return AnalysisFinding(.notEnoughData, words.suspicious, numbers: numbers)
        }
        return AnalysisFinding(.pass, words.noWorse, numbers: numbers)
    }

    /// Whether the candidate looks worse than is tolerated, and only a longer look can tell a fault from a burst.
    private func isSuspicious(_ settings: AnalysisSettings) -> Bool {
        let level = settings.testLevel
        return OddsTest.isSuspicious(errorEvidence, level: level) && hasTooManyErrors(settings)
            || OddsTest.isSuspicious(slowEvidence, level: level) && hasSlowTail(settings)
    }

    /// The first test that finds the candidate worse, by more than is tolerated.
    func objection(_ settings: AnalysisSettings) -> ComparisonObjection? {
        let level = settings.testLevel
        if OddsTest.isConvinced(errorEvidence, level: level), hasTooManyErrors(settings) { return .errors }
        if OddsTest.isConvinced(slowEvidence, level: level), hasSlowTail(settings) { return .slowTail }
        if latencyLooks > 0, latencyChance <= RankTest.level(level, look: latencyLooks), isSlower(settings) {
            return .slower
        }
        return nil
    }

    private func hasTooManyErrors(_ settings: AnalysisSettings) -> Bool {
        candidate.errorRate - reference.errorRate > Double(settings.errorTolerance) / 10_000
    }

    private func hasSlowTail(_ settings: AnalysisSettings) -> Bool {
        guard let candidateTail = candidate.latency.quantile(AnalysisLimits.slowShare),
            let referenceTail = reference.latency.quantile(AnalysisLimits.slowShare)
        else { return false }
        return Double(candidateTail) > Double(referenceTail) * settings.toleratedFactor
    }

    /// Whether the median of all ratios of an answer to another (Hodges and Lehmann's estimate) is too large.
    private func isSlower(_ settings: AnalysisSettings) -> Bool {
        let table = LatencyTable(candidate: candidate.latency, reference: reference.latency)
        return table.superiority(over: settings.toleratedFactor) ?? 0 > 0.5
    }
}

/// In what a candidate is worse.
enum ComparisonObjection: Hashable, CaseIterable {
    case errors, slowTail, slower
}

extension AnalysisSettings {
    /// How often each of the tests may be wrong, 0…1.
    var testLevel: Double { Double(falseAlarms) / 10_000 / AnalysisLimits.tests }

    /// How many times as long an answer may take.
    var toleratedFactor: Double { 1 + Double(slowdownTolerance) / 100 }
}

extension RequestCounts {
    /// 0…1; 0 where there were no requests.
    var errorRate: Double { requests > 0 ? Double(min(max(0, errors), requests)) / Double(requests) : 0 }
}
