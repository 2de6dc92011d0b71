internal import Glibc
import Model

/// A comparison, told to people.
struct ComparisonWords {
    private let progress: AnalysisProgress
    private let settings: AnalysisSettings
    private let medianRatio: Double?
    private let candidate: RequestCounts
    private let reference: RequestCounts

    init(_ progress: AnalysisProgress, _ settings: AnalysisSettings) {
        self.progress = progress
        self.settings = settings
        (candidate, reference) = (progress.candidate, progress.reference)
        medianRatio = LatencyTable(candidate: candidate.latency, reference: reference.latency).medianRatio
    }

    var soFar: String { "nothing speaks against the new release so far (\(requests))" }

    var noWorse: String { "no worse than the old release: \(errors), \(tails)" }

    var suspicious: String {
        "it looks worse than the old release, and only a longer look can tell a fault from a burst: \(errors), \(tails)"
    }

    func tooFew(_ needed: Int) -> String {
        "too little traffic to compare: \(requests); \(needed) \(needed == 1 ? "is" : "are") needed on each side"
    }

    func reason(_ objection: ComparisonObjection) -> String {
        switch objection {
        case .errors:
            let counts =
                "\(candidate.errors) of \(candidate.requests), \(reference.errors) of \(reference.requests)"
            return "\(errors) (\(counts)), evidence \(odds(progress.errorEvidence.perRequest))"
        case .slowTail: return "slow answers: \(tails), evidence \(odds(progress.slowEvidence.perRequest))"
        case .slower:
            let slowdown = medianRatio.map(Decimals.change) ?? "0 %"
            return "answers take \(slowdown) time, \(medians), evidence \(rankOdds)"
        }
    }

    /// Everything that the verdict was taken from.
    var numbers: [String: String] {
        var numbers = [
            "candidate-requests": "\(candidate.requests)", "reference-requests": "\(reference.requests)",
            "candidate-errors": "\(candidate.errors)", "reference-errors": "\(reference.errors)",
            "candidate-error-rate": Decimals.percent(candidate.errorRate),
            "reference-error-rate": Decimals.percent(reference.errorRate),
            "error-tolerance": Decimals.percent(Double(settings.errorTolerance) / 10_000),
            "slowdown-tolerance": "\(settings.slowdownTolerance) %",
            "false-alarms": Decimals.percent(Double(settings.falseAlarms) / 10_000),
            "min-requests": "\(settings.minRequests)",
            "error-evidence": odds(progress.errorEvidence.perRequest),
            "slow-evidence": odds(progress.slowEvidence.perRequest),
            "error-evidence-by-block": odds(progress.errorEvidence.perBlock),
            "slow-evidence-by-block": odds(progress.slowEvidence.perBlock),
            "needed-evidence": neededOdds(settings.testLevel),
            "latency-looks": "\(progress.latencyLooks)",
        ]
        for (name, share) in [("p50", 0.5), ("p95", AnalysisLimits.slowShare)] {
            numbers["\(name)-candidate-ms"] = candidate.latency.quantile(share).map(Decimals.milliseconds)
            numbers["\(name)-reference-ms"] = reference.latency.quantile(share).map(Decimals.milliseconds)
        }
        numbers["slow-threshold-ms"] = progress.slowThreshold.map(Decimals.milliseconds)
        numbers["median-slowdown"] = medianRatio.map(Decimals.change)
        if progress.latencyLooks > 0 {
            numbers["latency-evidence"] = rankOdds
            numbers["needed-latency-evidence"] = neededOdds(
                RankTest.level(settings.testLevel, look: progress.latencyLooks))
        }
        return numbers
    }

    private var requests: String {
        "\(counted(candidate.requests, "request")) against \(counted(reference.requests, "request"))"
    }

    private var errors: String {
        "errors \(Decimals.percent(candidate.errorRate)) against \(Decimals.percent(reference.errorRate))"
    }

    private var tails: String { quantiles("p95", AnalysisLimits.slowShare) }
    private var medians: String { quantiles("p50", 0.5) }

    private func quantiles(_ name: String, _ share: Double) -> String {
        let sides = [candidate, reference].map { side in
            side.latency.quantile(share).map { "\(Decimals.milliseconds($0)) ms" } ?? "none"
        }
        return "\(name) \(sides[0]) against \(sides[1])"
    }

    private func odds(_ evidence: [Double]) -> String {
        Decimals.odds(exp(min(OddsTest.logMixture(evidence), Decimals.logLargestOdds)))
    }

    private var rankOdds: String { Decimals.odds(1 / max(progress.latencyChance, .leastNormalMagnitude)) }

    private func neededOdds(_ level: Double) -> String {
        level > 0 ? Decimals.odds(1 / level) : "none suffices"
    }
}

/// Numbers as people write them, without a locale.
enum Decimals {
    /// Odds beyond it are told as it: more digits would claim more than a test can know.
    private static let largestOdds = 1e9
    static let logLargestOdds = 21.0

    /// `2.1 %`; with two digits after the point below 1 %.
    static func percent(_ share: Double) -> String {
        let value = share * 100
        return "\(value > 0 && value < 1 ? fixed(value, digits: 2) : fixed(value, digits: 1)) %"
    }

    /// `31 % more` or `4 % less`, of a ratio.
    static func change(_ ratio: Double) -> String {
        let percent = Int(((ratio - 1) * 100).rounded())
        return "\(abs(percent)) % \(percent < 0 ? "less" : "more")"
    }

    static func milliseconds(_ microseconds: Int) -> String {
        trimmed(fixed(Double(microseconds) / 1000, digits: 3))
    }

    /// `1:5300` for 5,312, to two significant digits; `1:1` also for evidence of the opposite.
    static func odds(_ value: Double) -> String {
        guard value < largestOdds else { return "over 1:\(Int(largestOdds))" }
        var (digits, scale) = (max(1, value), 1)
        while digits >= 100 { (digits, scale) = (digits / 10, scale * 10) }
        return "1:\(Int(digits.rounded()) * scale)"
    }

    static func fixed(_ value: Double, digits: Int) -> String {
        let scale = (0..<digits).reduce(1) { scale, _ in scale * 10 }
        let scaled = Int((abs(value) * Double(scale)).rounded())
        let fraction = String(scaled % scale)
        let sign = value < 0 && scaled > 0 ? "-" : ""
        return "\(sign)\(scaled / scale).\(String(repeating: "0", count: digits - fraction.count))\(fraction)"
    }

    /// Without zeros at the end.
    private static func trimmed(_ number: String) -> String {
        let digits = number.reversed().drop { $0 == "0" }
        return String((digits.first == "." ? digits.dropFirst() : digits).reversed())
    }
}
