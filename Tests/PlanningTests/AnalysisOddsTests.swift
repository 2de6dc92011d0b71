import Glibc
import Model
import Testing

@testable import Planning

@Suite struct AnalysisOddsTests {
    private static let sizes = [(1, 1), (1, 4), (5, 1), (3, 3), (6, 8), (20, 5), (31, 40)]

    private func choose(_ all: Int, _ some: Int) -> Double {
        guard (0...all).contains(some) else { return 0 }
        return (0..<some).reduce(1.0) { $0 * Double(all - $1) / Double($1 + 1) }
    }

    /// How often each way to share `hits` happens under an odds ratio, by the definition.
    private func distribution(_ sizes: (Int, Int), hits: Int, odds: Double) -> [(seen: Int, chance: Double)] {
        let ways = (max(0, hits - sizes.1)...min(hits, sizes.0)).map { seen in
            (seen, choose(sizes.0, seen) * choose(sizes.1, hits - seen) * pow(odds, Double(seen)))
        }
        let all = ways.reduce(0) { $0 + $1.1 }
        return ways.map { ($0.0, $0.1 / all) }
    }

    private func table(_ sizes: (Int, Int), hits: Int, seen: Int) -> FixedMargins? {
        FixedMargins(
            PairedCounts(
                candidateHits: seen, candidateTrials: sizes.0, referenceHits: hits - seen,
                referenceTrials: sizes.1))
    }

    @Test(arguments: sizes) func `the likelihood ratio is the one of the definition`(sizes: (Int, Int)) {
        for hits in 0...(sizes.0 + sizes.1) {
            for odds in OddsTest.oddsRatios {
                let alike = distribution(sizes, hits: hits, odds: 1)
                for (here, other) in zip(alike, distribution(sizes, hits: hits, odds: odds)) {
                    guard let table = table(sizes, hits: hits, seen: here.seen) else {
                        #expect(alike.count == 1, "only a table without a choice says nothing")
                        continue
                    }
                    let expected = log(other.chance / here.chance)
                    #expect(abs(table.logLikelihoodRatio(odds) - expected) < 1e-9 * max(1, abs(expected)))
                }
            }
        }
    }

    @Test(arguments: sizes, [1, 0.5, 0.05])
    func `the ratio is 1 on average where both sides are alike, and no more where the candidate is better`(
        sizes: (Int, Int), truth: Double
    ) {
        for hits in 1..<(sizes.0 + sizes.1) {
            for odds in OddsTest.oddsRatios {
                let mean = distribution(sizes, hits: hits, odds: truth).reduce(0) { sum, way in
                    sum + way.chance * exp(table(sizes, hits: hits, seen: way.seen)!.logLikelihoodRatio(odds))
                }
                #expect(truth == 1 ? abs(mean - 1) < 1e-9 : mean < 1, "\(hits) hits, odds \(odds)")
            }
        }
    }

    @Test(arguments: [0.05, 0.25, 0.5, 0.9])
    func `a burst that hits a side with the chance of its share makes no evidence on average`(share: Double) {
        let sizes = (Int(1000 * share), 1000 - Int(1000 * share))
        for (spread, burst) in [(0, 1), (0, 50), (20, 30), (100, 3), (400, 40)] {
            let alike = Int(Double(spread) * share)
            let hits = spread + burst
            for odds in OddsTest.oddsRatios {
                let factors = [alike + burst, alike].map { seen in
                    let table = table(sizes, hits: hits, seen: seen)!
                    let logRatio = table.logLikelihoodRatio(odds)
                    return exp(logRatio - table.logBurstPenalty(odds, logRatio))
                }
                #expect(
                    share * factors[0] + (1 - share) * factors[1] < 1 + 1e-9, "\(spread), \(burst), \(odds)")
            }
        }
    }

    @Test func `millions of requests and errors are compared to many digits`() {
        let million = 1_000_000
        for (candidate, reference) in [(million, million), (million, 7), (3, million), (50_000, million)] {
            for odds in OddsTest.oddsRatios {
                // All but one are hits, so that the expectation has a closed form.
                let all = Double(candidate + reference)
                let miss = Double(candidate) / all
                let logMean = log((1 - miss) + miss / odds)
                let table = table(
                    (candidate, reference), hits: candidate + reference - 1, seen: candidate - 1)!
                #expect(abs(table.logLikelihoodRatio(odds) - (-log(odds) - logMean)) < 1e-5)
            }
        }
        var evidence = OddsEvidence()
        OddsTest.add(
            PairedCounts(
                candidateHits: million / 2, candidateTrials: million, referenceHits: million / 2,
                referenceTrials: million), to: &evidence)
        #expect(evidence.perRequest.allSatisfy { $0.isFinite && $0 < 0 })
        #expect(evidence.perBlock.allSatisfy { $0.isFinite && $0 < 0 })
    }

    @Test(arguments: [
        PairedCounts(candidateHits: 0, candidateTrials: 0, referenceHits: 3, referenceTrials: 9),
        PairedCounts(candidateHits: 3, candidateTrials: 9, referenceHits: 0, referenceTrials: 0),
        PairedCounts(candidateHits: 0, candidateTrials: 9, referenceHits: 0, referenceTrials: 9),
        PairedCounts(candidateHits: 9, candidateTrials: 9, referenceHits: 9, referenceTrials: 9),
        PairedCounts(candidateHits: 99, candidateTrials: 9, referenceHits: 12, referenceTrials: 9),
        PairedCounts(candidateHits: -5, candidateTrials: -1, referenceHits: -2, referenceTrials: 9),
    ]) func `what leaves no choice says nothing`(block: PairedCounts) {
        var evidence = OddsEvidence()
        OddsTest.add(block, to: &evidence)
        #expect(OddsTest.logMixture(evidence.perRequest) == 0)
    }

    @Test func `one burst convinces nobody, many blocks or a blatant row of them do`() {
        var burst = OddsEvidence()
        let block = PairedCounts(
            candidateHits: 500, candidateTrials: 1000, referenceHits: 0, referenceTrials: 1000)
        OddsTest.add(block, to: &burst)
        #expect(OddsTest.logMixture(burst.perRequest) > 100)
        #expect(!OddsTest.isConvinced(burst, level: 0.01))
        for blocks in 2...OddsTest.blatantBlocks {
            OddsTest.add(block, to: &burst)
            #expect(OddsTest.isConvinced(burst, level: 0.01) == (blocks == OddsTest.blatantBlocks))
        }
        var rare = OddsEvidence()
        let all = PairedCounts(
            candidateHits: 5, candidateTrials: 5, referenceHits: 0, referenceTrials: 100_000)
        OddsTest.add(all, to: &rare)
        #expect(OddsTest.logMixture(rare.perBlock) <= log(OddsTest.mostOfOneBlock) + 1e-9)
        #expect(!OddsTest.isConvinced(rare, level: 0.01))
        var trickle = OddsEvidence()
        let few = PairedCounts(
            candidateHits: 30, candidateTrials: 1000, referenceHits: 0, referenceTrials: 1000)
        for _ in 0..<20 { OddsTest.add(few, to: &trickle) }
        #expect(trickle.blatantBlocks == 0 && OddsTest.isConvinced(trickle, level: 0.01))
        #expect(!OddsTest.isConvinced(trickle, level: 0))
    }
}
