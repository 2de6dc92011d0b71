import Model
import TestKit
import Testing

@testable import Planning

@Suite struct AnalysisComparisonTests {
    private static let start = Instant(milliseconds: 0)

    private static func counts(_ requests: Int, errors: Int = 0, milliseconds: Int = 10) -> RequestCounts {
        let bucket = LatencyHistogram.bucket(ofMicroseconds: milliseconds * 1000)
        let latency = LatencyHistogram(counts: requests > 0 ? [bucket: requests] : [:])
        return RequestCounts(requests: requests, errors: errors, latency: latency)
    }

    private static func progress(
        _ seconds: Int, candidate: RequestCounts, reference: RequestCounts,
        _ settings: AnalysisSettings = AnalysisSettings()
    ) -> AnalysisProgress {
        (0..<seconds).reduce(into: AnalysisProgress(since: start)) { progress, second in
            progress.add(
                candidate: candidate, reference: reference, at: start + .seconds(second + 1), settings)
        }
    }

    @Test(arguments: [(0, 0), (0, 50), (50, 0), (1, 1), (9, 50), (50, 9)], [0, 1, 100])
    func `too little traffic is neither a pass nor a failure`(requests: (Int, Int), minRequests: Int) {
        let settings = AnalysisSettings(minRequests: minRequests)
        let progress = Self.progress(
            10, candidate: Self.counts(requests.0), reference: Self.counts(requests.1), settings)
        let isEnough = 10 * min(requests.0, requests.1) >= max(1, minRequests)
        #expect(progress.judged(isDue: false, settings).verdict == .undecided)
        #expect(progress.judged(isDue: true, settings).verdict == (isEnough ? .pass : .notEnoughData))
        #expect(progress.judged(isDue: true, settings).reason.isEmpty == false)
    }

    @Test func `a comparison without a single look has not enough data`() {
        let finding = AnalysisProgress(since: Self.start).judged(
            isDue: true, AnalysisSettings(minRequests: 0))
        #expect(finding.verdict == .notEnoughData)
        let expected =
            "too little traffic to compare: 0 requests against 0 requests; 1 is needed on each side"
        #expect(finding.reason == expected)
    }

    @Test(arguments: [
        (
            Self.counts(50), Self.counts(50), AnalysisFinding.Verdict.pass,
            "no worse than the old release: errors 0.0 % against 0.0 %, p95 10 ms against 10 ms"
        ),
        (
            Self.counts(50, errors: 2), Self.counts(50), .fail,
            "errors 4.0 % against 0.0 % (80 of 2000, 0 of 2000), evidence over 1:1000000000"
        ),
        (
            Self.counts(50, milliseconds: 13), Self.counts(50), .fail,
            "slow answers: p95 13 ms against 10 ms, evidence over 1:1000000000"
        ),
        // Slower for certain, and by no more than is tolerated.
        (
            Self.counts(50, milliseconds: 11), Self.counts(50), .pass,
            "no worse than the old release: errors 0.0 % against 0.0 %, p95 11 ms against 10 ms"
        ),
        (
            Self.counts(50), Self.counts(50, errors: 2, milliseconds: 30), .pass,
            "no worse than the old release: errors 0.0 % against 4.0 %, p95 10 ms against 30 ms"
        ),
    ]) func `the finding says why`(
        candidate: RequestCounts, reference: RequestCounts, verdict: AnalysisFinding.Verdict, reason: String
    ) {
        let progress = Self.progress(40, candidate: candidate, reference: reference)
        let finding = progress.judged(isDue: true, AnalysisSettings())
        #expect(finding.verdict == verdict)
        #expect(finding.reason == reason)
        let early = progress.judged(isDue: false, AnalysisSettings())
        #expect(early.verdict == (verdict == .fail ? .fail : .undecided))
    }

    @Test func `all numbers that the verdict was taken from are told`() {
        let progress = Self.progress(
            40, candidate: Self.counts(50, errors: 2, milliseconds: 13), reference: Self.counts(50))
        let numbers = progress.judged(isDue: true, AnalysisSettings()).numbers
        let expected = [
            "candidate-requests": "2000", "candidate-errors": "80", "candidate-error-rate": "4.0 %",
            "reference-requests": "2000", "reference-errors": "0", "reference-error-rate": "0.0 %",
            "error-tolerance": "0.10 %", "slowdown-tolerance": "10 %", "false-alarms": "1.0 %",
            "min-requests": "100", "needed-evidence": "1:300", "p95-candidate-ms": "13",
            "p95-reference-ms": "10", "p50-candidate-ms": "13", "p50-reference-ms": "10",
            "slow-threshold-ms": "10", "median-slowdown": "30 % more", "latency-looks": "6",
        ]
        for (name, value) in expected { #expect(numbers[name] == value, "\(name)") }
        #expect(numbers.keys.allSatisfy { $0.allSatisfy { $0.isLowercase || $0.isNumber || $0 == "-" } })
    }

    @Test(arguments: 1...12) func `how often is looked makes no difference where there is little traffic`(
        looks: Int
    ) {
        var (rare, often) = (AnalysisProgress(since: Self.start), AnalysisProgress(since: Self.start))
        for second in 0..<30 {
            let now = Self.start + .seconds(second)
            let errors = second % 3 == 0 ? 1 : 0
            let settings = AnalysisSettings()
            rare.add(candidate: Self.counts(5, errors: errors), reference: Self.counts(5), at: now, settings)
            for look in 0..<looks {
                let isLast = look == looks - 1
                often.add(
                    candidate: isLast ? Self.counts(5, errors: errors) : Self.counts(0),
                    reference: isLast ? Self.counts(5) : Self.counts(0), at: now, settings)
            }
        }
        #expect(rare == often)
    }

    @Test func `nothing fails where no false alarm is allowed`() {
        let settings = AnalysisSettings(falseAlarms: 0)
        let progress = Self.progress(
            200, candidate: Self.counts(50, errors: 50, milliseconds: 90), reference: Self.counts(50),
            settings)
        #expect(progress.judged(isDue: true, settings).verdict == .pass)
        #expect(progress.judged(isDue: true, settings).numbers["needed-evidence"] == "none suffices")
    }

    @Test(arguments: [
        (0, "1:1"), (0.2, "1:1"), (3.4, "1:3"), (99.4, "1:99"), (99.9, "1:100"), (5312, "1:5300"),
        (123_456_789, "1:120000000"), (1e9, "over 1:1000000000"), (Double.infinity, "over 1:1000000000"),
    ]) func `odds are written to two digits`(value: Double, text: String) {
        #expect(Decimals.odds(value) == text)
    }

    @Test(arguments: [
        (0, "0.0 %"), (0.00049, "0.05 %"), (0.0213, "2.1 %"), (0.00996, "1.00 %"), (1, "100.0 %"),
    ]) func `shares are written with what digits they need`(share: Double, text: String) {
        #expect(Decimals.percent(share) == text)
    }
}
