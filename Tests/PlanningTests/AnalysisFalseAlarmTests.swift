import Model
import TestKit
import Testing

@testable import Planning

/// How often a release is stopped that is the same as the one before it.
@Suite struct AnalysisFalseAlarmTests {
    /// The whole count takes optimised code a few seconds: `swift test -c release -Xswiftc -enable-testing`.
    #if DEBUG
        static let canaries = 800
        static let longest = 180
    #else
        static let canaries = 2000
        static let longest = 600
    #endif

    /// No effect is too small here, so that nothing but the tests' own levels holds alarms back.
    private static func strict(_ falseAlarms: Int) -> AnalysisSettings {
        AnalysisSettings(falseAlarms: falseAlarms, errorTolerance: 0, slowdownTolerance: 0)
    }

    private static let levels = [100, 500]

    /// For each level, what was found wrong with a release that is not.
    private static func alarms(seed: UInt64, hasStalls: Bool) -> [ComparisonObjection?] {
        var traffic = AnalysisTraffic.any(seed: seed)
        var progress = AnalysisProgress(since: Instant(milliseconds: 0))
        var found: [ComparisonObjection?] = levels.map { _ in nil }
        let seconds = Int.random(in: 120...longest, using: &traffic.random)
        // A stage with another share of the traffic: slow hours and big shares must not be mixed up.
        let isStaged = traffic.random.happens(percent: 20)
        for second in 0..<seconds {
            if isStaged, second == seconds / 2 { traffic.share = 256 - traffic.share }
            var counts = traffic.sameOnBothSides(second)
            if hasStalls, traffic.random.happens(percent: 4) {
                let isCandidate = Int.random(in: 0..<256, using: &traffic.random) < traffic.share
                if isCandidate { traffic.stall(&counts.candidate) } else { traffic.stall(&counts.reference) }
            }
            progress.add(
                candidate: counts.candidate, reference: counts.reference,
                at: Instant(milliseconds: second * 1000), strict(levels[0]))
            for (index, level) in levels.enumerated() where found[index] == nil {
                found[index] = progress.objection(strict(level))
            }
        }
        return found
    }

    @Test(arguments: [false, true])
    func `a release that is the same is stopped no more often than configured`(hasStalls: Bool) async {
        let slices = 4
        let canaries = hasStalls ? Self.canaries / 4 : Self.canaries
        let found = await withTaskGroup(of: [[ComparisonObjection?]].self) { group in
            for slice in 0..<slices {
                group.addTask {
                    stride(from: slice, to: canaries, by: slices).map {
                        Self.alarms(seed: UInt64($0), hasStalls: hasStalls)
                    }
                }
            }
            return await group.reduce(into: []) { $0 += $1 }
        }
        #expect(found.count == canaries)
        for (index, level) in Self.levels.enumerated() {
            let alarms = found.compactMap { $0[index] }
            let kinds = ComparisonObjection.allCases.map { kind in "\(alarms.count { $0 == kind }) \(kind)" }
            let share = Decimals.percent(Double(alarms.count) / Double(canaries))
            print(
                "false alarms: \(alarms.count) of \(canaries) (\(share)), configured \(level / 100) %,"
                    + " no tolerance\(hasStalls ? ", instances stall" : ""): \(kinds.joined(separator: ", "))"
            )
            #expect(alarms.count * 10_000 <= level * canaries)
        }
    }
}
