import Glibc
import Model
import TestKit
import Testing

@testable import Planning

@Suite struct AnalysisRankTests {
    /// Times in milliseconds, many of them equal.
    private static func sample(_ seed: UInt64) -> (candidate: [Int], reference: [Int]) {
        var random = SeededGenerator(seed: seed)
        let sizes = (Int.random(in: 1...9, using: &random), Int.random(in: 1...7, using: &random))
        let most = [1, 3, 12, 99].randomElement(using: &random)!
        let times = (0..<sizes.0 + sizes.1).map { _ in 1000 * Int.random(in: 1...most, using: &random) }
        return (Array(times.prefix(sizes.0)), Array(times.suffix(sizes.1)))
    }

    private static func histogram(_ times: [Int]) -> LatencyHistogram {
        times.reduce(into: LatencyHistogram()) {
            $0.counts[LatencyHistogram.bucket(ofMicroseconds: $1), default: 0] += 1
        }
    }

    private static func table(_ candidate: [Int], _ reference: [Int]) -> LatencyTable {
        LatencyTable(candidate: histogram(candidate), reference: histogram(reference))
    }

    private static func sums(_ candidate: [Int], _ reference: [Int]) -> RankSums {
        var sums = RankSums()
        RankTest.add(table(candidate, reference), to: &sums)
        return sums
    }

    /// Mann and Whitney's U by its definition: pairs in which the candidate is slower, equal ones by half.
    private static func pairs(_ candidate: [Int], _ reference: [Int], factor: Double = 1) -> Double {
        candidate.reduce(0) { sum, mine in
            reference.reduce(sum) { sum, other in
                let scaled = Double(other) * factor
                return sum + (Double(mine) > scaled ? 1 : Double(mine) == scaled ? 0.5 : 0)
            }
        }
    }

    /// All ways to call `size` of these times the candidate's.
    private static func splits(_ times: [Int], _ size: Int) -> [(candidate: [Int], reference: [Int])] {
        (0..<1 << times.count).filter { $0.nonzeroBitCount == size }.map { chosen in
            let indices = times.indices
            return (
                indices.filter { chosen >> $0 & 1 == 1 }.map { times[$0] },
                indices.filter { chosen >> $0 & 1 == 0 }.map { times[$0] }
            )
        }
    }

    @Test(arguments: 0..<60 as Range<UInt64>)
    func `the surplus is Mann and Whitney's U, less what it is on average`(
        seed: UInt64
    ) {
        let (candidate, reference) = Self.sample(seed)
        let (mine, others) = (Double(candidate.count), Double(reference.count))
        let scaled = Self.sums(candidate, reference).surplus * (mine + others + 1)
        #expect(abs(scaled - (Self.pairs(candidate, reference) - mine * others / 2)) < 1e-9)
    }

    @Test(arguments: 0..<12 as Range<UInt64>)
    func `its moments are those over all ways to split the same answers`(
        seed: UInt64
    ) {
        let (candidate, reference) = Self.sample(seed &* 7)
        let sums = Self.sums(candidate, reference)
        let surpluses = Self.splits(candidate + reference, candidate.count).map {
            Self.sums($0.candidate, $0.reference).surplus
        }
        func moment(_ power: Double) -> Double {
            surpluses.reduce(0) { $0 + pow($1, power) } / Double(surpluses.count)
        }
        #expect(abs(moment(1)) < 1e-9)
        #expect(abs(moment(2) - sums.variance) < 1e-9)
        #expect(abs(moment(3) - sums.thirdMoment) < 1e-9)
    }

    @Test func `the chance is near the exact one, and never half of it where it matters`() {
        let times = [1, 2, 2, 3, 4, 4, 4, 5, 6, 7, 8, 8, 9, 40].map { $0 * 1000 }
        let splits = Self.splits(times, 6).map { Self.sums($0.candidate, $0.reference) }
        let surpluses = splits.map(\.surplus)
        for (index, sums) in splits.enumerated() where index.isMultiple(of: 17) {
            var sums = sums
            // As in the sum of many small blocks.
            sums.squares = sums.variance
            guard sums.surplus / sums.variance.squareRoot() > 1 else { continue }
            let exact = Double(surpluses.count { $0 >= sums.surplus - 1e-9 }) / Double(surpluses.count)
            #expect((0.5...2.5).contains(RankTest.chance(sums) / exact), "\(exact)")
        }
    }

    @Test func `a block is one event: it alone is no proof, and many small differences are`() {
        let fast = (1...60).map { $0 * 1000 }
        var sums = Self.sums(fast.map { $0 * 3 }, fast)
        #expect(RankTest.chance(sums) > 0.1)
        for _ in 0..<30 { RankTest.add(Self.table(fast.map { $0 * 3 }, fast), to: &sums) }
        #expect(RankTest.chance(sums) < 1e-6)
    }

    @Test func `equal answers, none, and faster ones are no surprise`() {
        #expect(RankTest.chance(RankSums()) == 1)
        #expect(RankTest.chance(Self.sums([5000, 5000], [5000])) == 1)
        #expect(RankTest.chance(Self.sums([1000, 2000], [5000, 6000])) == 1)
        #expect(RankTest.chance(Self.sums([], [5000])) == 1)
        #expect(RankTest.chance(Self.sums([5000], [])) == 1)
    }

    @Test func `the levels of all looks add up to one`() {
        let sum = (1...10_000).reduce(0) { $0 + RankTest.level(1, look: $1) }
        #expect(sum < 1 && sum > 0.999)
    }

    @Test(arguments: 0..<40 as Range<UInt64>)
    func `pairs are compared as by looking at each, and halved by the median ratio`(
        seed: UInt64
    ) throws {
        let (candidate, reference) = Self.sample(seed)
        let table = Self.table(candidate, reference)
        let count = Double(candidate.count * reference.count)
        for factor in [0.5, 1, 1.1, 2, 10] {
            let expected = Self.pairs(candidate, reference, factor: factor) / count
            #expect(abs(table.superiority(over: factor)! - expected) < 1e-12)
        }
        let ratio = try #require(table.medianRatio)
        #expect(Self.pairs(candidate, reference, factor: ratio * 0.999) / count >= 0.5)
        #expect(Self.pairs(candidate, reference, factor: ratio * 1.001) / count <= 0.5)
    }
}
