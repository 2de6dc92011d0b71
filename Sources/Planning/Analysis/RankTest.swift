internal import Glibc
import Model

/// Wilcoxon, Mann and Whitney's rank test of the candidate's answers taking longer, block by block.
///
/// Each block ranks its own answers, those in one bucket sharing their middle rank, and the sums are added with
/// van Elteren's weights 1 / (n + 1) (1960): load that drifts, or a share of the traffic that changes, cannot look
/// like a difference of the releases. Where both are alike, the ranks of the candidate's answers are a sample
/// without replacement, whose variance and third moment are exact, ties included; their sum over blocks is
/// nearly normal. Where requests of one block and side depend on each other, as while an instance stalls, that
/// variance is too small; the blocks' own squares show it, and the larger of both counts (a sum of symmetric terms
/// over the root of its squares never has more of a tail than a normal one, nearly: Efron 1969).
enum RankTest {
    /// Answers of each side below which the sum is not taken as normal.
    static let answersNeeded = 50

    static func add(_ block: LatencyTable, to sums: inout RankSums) {
        let (candidate, reference) = (Double(block.candidateTotal), Double(block.referenceTotal))
        let all = candidate + reference
        guard candidate > 0, reference > 0 else { return }
        var (below, surplus) = (0.0, 0.0)
        var (squares, cubes) = (0.0, 0.0)
        for row in block.rows {
            let tied = Double(row.candidate + row.reference)
            let rank = (below + (tied + 1) / 2) / (all + 1) - 0.5
            surplus += Double(row.candidate) * rank
            squares += tied * rank * rank
            cubes += tied * rank * rank * rank
            below += tied
        }
        sums.surplus += surplus
        sums.squares += surplus * surplus
        sums.variance += candidate * reference / (all * (all - 1)) * squares
        guard all > 2 else { return }
        sums.thirdMoment +=
            candidate * reference * (reference - candidate) / (all * (all - 1) * (all - 2)) * cubes
    }

    /// How likely chance alone makes a surplus as large as this one; never less than half where there is none.
    ///
    /// The normal tail, times the first term of Cramér's series (1938) where the sum leans to the right: few slow
    /// answers among many equal ones, and a candidate with a small share. Where that term no longer suffices,
    /// nothing is concluded.
    static func chance(_ sums: RankSums) -> Double {
        guard sums.variance > 0, sums.surplus > 0 else { return 1 }
        let deviation = max(sums.variance, sums.squares).squareRoot()
        let score = sums.surplus / deviation
        let lean = max(0, sums.thirdMoment / (deviation * deviation * deviation))
        guard lean * score < 1 else { return 1 }
        return min(1, erfc(score / 2.0.squareRoot()) / 2 * exp(lean * score * score * score / 6))
    }

    /// The level of the `look`th time that the chance is looked at: they add up to `level`, as
    /// Σ 1 / (k (k + 1)) = 1.
    static func level(_ level: Double, look: Int) -> Double { level / Double(look * (look + 1)) }
}
