/// What a comparison of two releases tolerates and needs.
package struct AnalysisSettings: Hashable, Sendable, Codable {
    /// How often, in hundredths of a per cent, a release that is no worse may be stopped, over a whole rollout.
    /// 100 (1 %): a careful team ships daily and will look into three or four false alarms a year.
    package var falseAlarms: Int
    /// Requests that each side must have had before the comparison passes.
    package var minRequests: Int
    /// More errors than this, in hundredths of a per cent of the requests, are worth stopping for.
    package var errorTolerance: Int
    /// Per cent by which the new release may be slower.
    package var slowdownTolerance: Int
    /// Compare with fresh instances of the old release, as many as the new one has; else with those that serve.
    package var hasBaseline: Bool
    /// Looked at during each comparison.
    package var queries: [MetricQuery]
    /// Requests made where visitors make too few; nil: none are.
    package var probes: SyntheticProbes?

    package init(
        falseAlarms: Int = 100, minRequests: Int = 100, errorTolerance: Int = 10, slowdownTolerance: Int = 10,
        hasBaseline: Bool = true, queries: [MetricQuery] = [], probes: SyntheticProbes? = nil
    ) {
        self.falseAlarms = falseAlarms
        self.minRequests = minRequests
        self.errorTolerance = errorTolerance
        self.slowdownTolerance = slowdownTolerance
        self.hasBaseline = hasBaseline
        self.queries = queries
        self.probes = probes
    }
}

/// Requests that fill up those of visitors while releases are compared. They go through the router like any other,
/// so each release gets its share of them.
package struct SyntheticProbes: Hashable, Sendable, Codable {
    /// What is asked for, with GET.
    package var path: String
    /// Requests a second, those of visitors among them.
    package var rate: Int

    package init(path: String, rate: Int = 50) {
        self.path = path
        self.rate = rate
    }
}

/// What the router counted of one instance, or of several together.
package struct RequestCounts: Hashable, Sendable, Codable {
    package var requests: Int
    /// Answers with 5xx, and requests that got no whole answer.
    package var errors: Int
    package var latency: LatencyHistogram

    package init(requests: Int = 0, errors: Int = 0, latency: LatencyHistogram = LatencyHistogram()) {
        self.requests = requests
        self.errors = errors
        self.latency = latency
    }

    package static func += (left: inout RequestCounts, right: RequestCounts) {
        left.requests += right.requests
        left.errors += right.errors
        left.latency += right.latency
    }

    /// What was counted since `earlier`; all of it where the counters began anew.
    package func since(_ earlier: RequestCounts) -> RequestCounts {
        guard requests >= earlier.requests, errors >= earlier.errors,
            let latency = latency.since(earlier.latency)
        else { return self }
        return RequestCounts(
            requests: requests - earlier.requests, errors: errors - earlier.errors, latency: latency)
    }
}

/// Times to the first byte of an answer, kept to two significant digits of their microseconds.
package struct LatencyHistogram: Hashable, Sendable, Codable {
    /// By bucket: 100 × the number of decimal digits + the first two digits. 1 234 µs is in 412, 7 µs in 107.
    package var counts: [Int: Int]

    package init(counts: [Int: Int] = [:]) { self.counts = counts }

    package var total: Int { counts.values.reduce(0, +) }

    package static func bucket(ofMicroseconds microseconds: Int) -> Int {
        var (digits, rest) = (1, max(0, microseconds))
        while rest >= 100 { (digits, rest) = (digits + 1, rest / 10) }
        return rest >= 10 ? (digits + 1) * 100 + rest : digits * 100 + rest
    }

    /// The smallest time in a bucket, in microseconds.
    package static func microseconds(ofBucket bucket: Int) -> Int {
        let (digits, front) = (bucket / 100, bucket % 100)
        return digits < 2 ? front : (2..<digits).reduce(front) { value, _ in value * 10 }
    }

    package static func += (left: inout LatencyHistogram, right: LatencyHistogram) {
        left.counts.merge(right.counts, uniquingKeysWith: +)
    }

    /// nil where a bucket holds less than it did: the counters began anew.
    package func since(_ earlier: LatencyHistogram) -> LatencyHistogram? {
        var rest = counts
        for (bucket, count) in earlier.counts where count > 0 {
            guard let now = rest[bucket], now >= count else { return nil }
            rest[bucket] = now == count ? nil : now - count
        }
        return LatencyHistogram(counts: rest)
    }

    /// The time that `share` (0…1) of the answers were as fast as, in microseconds; nil where there are none.
    package func quantile(_ share: Double) -> Int? {
        let wanted = max(1, Int((Double(total) * share).rounded(.up)))
        var seen = 0
        for (bucket, count) in counts.sorted(by: { $0.key < $1.key }) {
            seen += count
            if seen >= wanted { return LatencyHistogram.microseconds(ofBucket: bucket) }
        }
        return nil
    }
}

/// A comparison under way: what was counted since it began, and the evidence so far.
package struct AnalysisProgress: Hashable, Sendable, Codable {
    package var since: Instant
    package var lookedAt: Instant
    package var candidate: RequestCounts
    package var reference: RequestCounts
    /// That the candidate has more errors.
    package var errorEvidence: OddsEvidence
    /// That more of its answers are slower than `slowThreshold`.
    package var slowEvidence: OddsEvidence
    /// Microseconds: the reference's 95th percentile before the block under way, once enough is known of it.
    package var slowThreshold: Int?
    /// How the candidate's answers rank among all of their time.
    package var latencyRanks: RankSums
    /// Comparisons of the whole latencies so far, and how many answers the next one waits for.
    package var latencyLooks: Int
    package var nextLatencyLook: Int
    /// At the last of these comparisons: how likely chance alone ranks the candidate as slow as that, 0…1.
    package var latencyChance: Double
    /// Counted, and not yet compared: where there is little traffic, several looks make a block.
    package var pendingCandidate: RequestCounts
    package var pendingReference: RequestCounts
    package var finding: AnalysisFinding
    /// Synthetic probes asked for at the last look.
    package var probes: Int?

    package init(since: Instant) {
        self.since = since
        lookedAt = since
        candidate = RequestCounts()
        reference = RequestCounts()
        errorEvidence = OddsEvidence()
        slowEvidence = OddsEvidence()
        slowThreshold = nil
        latencyRanks = RankSums()
        latencyLooks = 0
        nextLatencyLook = 0
        latencyChance = 1
        pendingCandidate = RequestCounts()
        pendingReference = RequestCounts()
        finding = AnalysisFinding(.undecided)
    }
}

/// Evidence that something happens more often to the candidate, gathered over blocks of time.
package struct OddsEvidence: Hashable, Sendable, Codable {
    /// Log likelihood ratios, one for each alternative that is tried, each request standing for itself.
    package var perRequest: [Double] = []
    /// The same where all that happens within one block may be one event, as a stalled instance is.
    package var perBlock: [Double] = []
    /// Blocks in a row, up to the last one, in which the difference was blatant.
    package var blatantBlocks = 0

    package init() {}
}

/// A rank test's sums over blocks of time: what a stratified test needs to remember.
package struct RankSums: Hashable, Sendable, Codable {
    /// How far the candidate's ranks lie above the middle, each rank as a part (−½…½) of its block.
    package var surplus: Double = 0
    /// What chance alone makes of `surplus`: its variance and its third central moment.
    package var variance: Double = 0
    package var thirdMoment: Double = 0
    /// The sum of the squares of each block's surplus.
    package var squares: Double = 0

    package init() {}
}

/// What a comparison says, with the numbers that it says it from.
package struct AnalysisFinding: Hashable, Sendable, Codable {
    package enum Verdict: String, Hashable, Sendable, Codable {
        /// Nothing speaks against the new release, and enough was seen.
        case pass
        case fail
        /// Too few requests to say anything.
        case notEnoughData = "not-enough-data"
        case undecided
    }

    package var verdict: Verdict
    /// One sentence.
    package var reason: String
    /// Named numbers, written for people: `candidate-errors`, `p95-candidate-ms` …
    package var numbers: [String: String]

    package init(_ verdict: Verdict, _ reason: String = "", numbers: [String: String] = [:]) {
        self.verdict = verdict
        self.reason = reason
        self.numbers = numbers
    }
}
