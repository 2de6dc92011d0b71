import Simulation
import Testing

/// Laws that hold whatever happens, over many seeds. A failure names its seed: `simulate --seed N` shows it made small.
@Suite struct SimulationLawsTests {
    /// Seeds are tried in slices, so that slices run side by side.
    private static let slices = 8
    private static let seeds: Range<UInt64> = 0..<2000

    @Test(arguments: 0..<slices)
    func `whatever happens, no law is broken at any step, and when it stops all is as intended`(slice: Int) {
        let survey = Survey.of(
            Self.seeds, first: UInt64(slice), stride: UInt64(Self.slices), atMost: 1)
        for finding in survey.findings {
            let violation = finding.violation
            Issue.record("seed \(finding.seed): \(violation.law.rawValue): \(violation.text)")
        }
        #expect(survey.census.rollouts > survey.seeds)
    }
}
