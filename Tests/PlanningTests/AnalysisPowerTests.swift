import Model
import TestKit
import Testing

@testable import Planning

/// How soon a worse release is found, and that a better one never is.
@Suite struct AnalysisPowerTests {
    struct Case: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var traffic: @Sendable (UInt64) -> AnalysisTraffic
        var candidate = AnalysisTraffic.Behaviour()
        var reference = AnalysisTraffic.Behaviour()
        var settings = AnalysisSettings()
        /// Seconds within which half of all such releases are found.
        var soon: Int
    }

    private static func steady(_ requestsPerSecond: Double, share: Int = 128)
        -> @Sendable (UInt64) -> AnalysisTraffic
    {
        { seed in
            var traffic = AnalysisTraffic(seed: seed)
            traffic.requestsPerSecond = requestsPerSecond
            traffic.share = share
            return traffic
        }
    }

    private static let seeds: UInt64 = 15
    private static let longest = 300

    /// The second after which the candidate is found to be worse, and in what.
    private static func found(_ test: Case, seed: UInt64) -> (second: Int, objection: ComparisonObjection)? {
        var traffic = test.traffic(seed)
        let part = Double(traffic.share) / 256
        var progress = AnalysisProgress(since: Instant(milliseconds: 0))
        for second in 1...longest {
            let candidate = traffic.counts(second, part: part, test.candidate)
            let reference = traffic.counts(second, part: 1 - part, test.reference)
            let now = Instant(milliseconds: second * 1000)
            progress.add(candidate: candidate, reference: reference, at: now, test.settings)
            if let objection = progress.objection(test.settings) { return (second, objection) }
        }
        return nil
    }

    @Test(arguments: [
        Case(
            testDescription: "every request fails, 50 requests/s a side", traffic: steady(100),
            candidate: .init(errorRate: 1), soon: 3),
        Case(
            testDescription: "2 % more errors, 50 requests/s a side", traffic: steady(100),
            candidate: .init(errorRate: 0.02), soon: 25),
        Case(
            testDescription: "5 % more errors, 2 requests/s a side", traffic: steady(4),
            candidate: .init(errorRate: 0.05), soon: 300),
        Case(
            testDescription: "2 % more errors on 5 % of 1,000 requests/s", traffic: steady(1000, share: 13),
            candidate: .init(errorRate: 0.02), soon: 25),
        Case(
            testDescription: "3 % errors against 1 %, 50 requests/s a side", traffic: steady(100),
            candidate: .init(errorRate: 0.03), reference: .init(errorRate: 0.01), soon: 60),
        Case(
            testDescription: "0.5 % more errors, a quarter of the level, 500 requests/s a side",
            traffic: steady(1000), candidate: .init(errorRate: 0.015), reference: .init(errorRate: 0.01),
            settings: AnalysisSettings(falseAlarms: 25), soon: 60),
        Case(
            testDescription: "30 % slower from the 90th percentile on, 200 requests/s a side",
            traffic: steady(400), candidate: .init(slowdown: 1.3, slow: 0.895...1), soon: 90),
        Case(
            testDescription: "30 % slower, 50 requests/s a side", traffic: steady(100),
            candidate: .init(slowdown: 1.3), soon: 30),
        Case(
            testDescription: "20 % slower up to the 90th percentile only, 50 requests/s a side",
            traffic: { seed in
                var traffic = AnalysisTraffic(seed: seed)
                // The slow rest is as slow on both sides.
                traffic.shape = [(10_000, 0.3), (15_000, 0.3), (20_000, 0.3), (400_000, 0.1)]
                return traffic
            }, candidate: .init(slowdown: 1.2, slow: 0...0.85), soon: 60),
        Case(
            testDescription: "7 of 10 answers take 100 times as long, 5 requests/s a side",
            traffic: steady(10),
            candidate: .init(slowdown: 100, slow: 0.295...1), soon: 40),
        Case(
            testDescription: "7 of 10 answers take 100 times as long, 200 requests/s a side",
            traffic: steady(400), candidate: .init(slowdown: 100, slow: 0.295...1), soon: 5),
    ]) func `a worse release is found`(test: Case) throws {
        let found = (0..<Self.seeds).compactMap { Self.found(test, seed: $0 &* 977 &+ 5) }
        let seconds = found.map(\.second).sorted()
        try #require(seconds.count > Self.seeds / 2)
        let median = seconds[Int(Self.seeds) / 2]
        let traffic = test.traffic(0)
        let requests = Double(median) * traffic.requestsPerSecond * Double(traffic.share) / 256
        let kinds = Set(found.map { "\($0.objection)" }).sorted().joined(separator: ", ")
        print(
            "power: \(test.testDescription): found in \(seconds.count) of \(Self.seeds), median after \(median) s"
                + " (\(Int(requests)) requests of the new release), by \(kinds)")
        #expect(median <= test.soon)
    }

    @Test(arguments: 0..<40 as Range<UInt64>) func `a better release never fails`(seed: UInt64) {
        var traffic = AnalysisTraffic.any(seed: seed)
        let part = Double(traffic.share) / 256
        let settings = AnalysisSettings(falseAlarms: 500)
        var progress = AnalysisProgress(since: Instant(milliseconds: 0))
        for second in 0..<90 {
            let candidate = traffic.counts(
                second, part: part, .init(errorRate: traffic.errorRate / 4, slowdown: 0.7))
            let reference = traffic.counts(second, part: 1 - part, .init(errorRate: traffic.errorRate))
            progress.add(
                candidate: candidate, reference: reference, at: Instant(milliseconds: second * 1000), settings
            )
            #expect(progress.objection(settings) == nil)
        }
        #expect([.pass, .notEnoughData].contains(progress.judged(isDue: true, settings).verdict))
    }
}
