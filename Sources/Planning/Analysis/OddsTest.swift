internal import Glibc
import Model

/// What happened on both sides within one block of time: `hits` (errors, slow answers) among `trials`.
struct PairedCounts: Hashable {
    var candidateHits: Int
    var candidateTrials: Int
    var referenceHits: Int
    var referenceTrials: Int
}

/// An exact test, valid whenever it is looked at, of the candidate having more hits among its trials.
///
/// Where both sides are alike, and given how many trials each had within a block and how many hits there were
/// in all, the candidate's hits are hypergeometric, whatever the rate of hits is and however it changes from
/// block to block. Under an odds ratio ψ > 1 they follow Fisher's noncentral hypergeometric distribution
/// (Fisher 1935). The ratio of the two likelihoods, ψ^x / E[ψ^X], has the expectation 1 where both are alike,
/// and at most 1 where the candidate is better, as ψ^x grows with x. The running product over blocks is therefore
/// a nonnegative supermartingale that starts at 1, and so is the average of such products over several ψ (the
/// method of mixtures: Robbins 1970). It ever reaches 1/α with a probability of at most α (Ville 1939).
/// Looking after every block, and stopping at the first rejection, costs nothing. Turner, Ly and Grünwald (2024)
/// treat tests of 2 × 2 tables of this kind; Johari, Pekelis and Walsh (2015) brought mixtures to A/B tests.
///
/// All this takes for granted that a request's outcome does not depend on the others of its block and side. It does
/// where one instance stalls or loses a connection, which happens to releases that are alike, too. Therefore more
/// is asked for: the same evidence with all of a block taken as one event, or a blatant difference over several
/// blocks in a row, which no short burst makes.
enum OddsTest {
    /// The odds ratios that are tried, with equal weights: from barely worse to only the candidate has hits.
    /// A true odds ratio between two of them is found nearly as fast; each one more costs all the others a little.
    static let oddsRatios = [1.1, 1.3, 1.8, 3, 8, 100]
    /// By how much the rates of hits within a block differ where that is blatant, 0…1, and for how many blocks in
    /// a row it has to: a burst that begins in one block may end in the next, and is over in the third.
    static let blatantDifference = 0.1
    static let blatantBlocks = 3
    /// The likelihood ratio that a block taken as one event makes at most: where the candidate has a small share, its
    /// few requests of one block must not decide alone. A lowered ratio keeps an expectation of at most 1.
    static let mostOfOneBlock = 16.0

    /// Multiplies a block's likelihood ratios into `evidence`.
    static func add(_ block: PairedCounts, to evidence: inout OddsEvidence) {
        if evidence.perRequest.count != oddsRatios.count {
            evidence.perRequest = oddsRatios.map { _ in 0 }
            evidence.perBlock = evidence.perRequest
        }
        evidence.blatantBlocks = block.difference >= blatantDifference ? evidence.blatantBlocks + 1 : 0
        guard let table = FixedMargins(block) else { return }
        for (index, odds) in oddsRatios.enumerated() {
            let logRatio = table.logLikelihoodRatio(odds)
            evidence.perRequest[index] += logRatio
            evidence.perBlock[index] +=
                min(log(mostOfOneBlock), logRatio - table.logBurstPenalty(odds, logRatio))
        }
    }

    /// Whether the evidence would convince if no burst could have made it.
    static func isSuspicious(_ evidence: OddsEvidence, level: Double) -> Bool {
        level > 0 && logMixture(evidence.perRequest) >= -log(level)
    }

    /// Whether the evidence is one that chance ever reaches with a probability of at most `level`.
    static func isConvinced(_ evidence: OddsEvidence, level: Double) -> Bool {
        guard isSuspicious(evidence, level: level) else { return false }
        return evidence.blatantBlocks >= blatantBlocks || logMixture(evidence.perBlock) >= -log(level)
    }

    /// The logarithm of the averaged likelihood ratios.
    static func logMixture(_ evidence: [Double]) -> Double {
        guard let largest = evidence.max() else { return 0 }
        return largest + log(evidence.reduce(0) { $0 + exp($1 - largest) } / Double(evidence.count))
    }
}

extension PairedCounts {
    /// By how much the candidate's rate of hits is the larger one; 0 where a side had no trials.
    fileprivate var difference: Double {
        guard candidateTrials > 0, referenceTrials > 0 else { return 0 }
        let candidateRate = Double(candidateHits) / Double(candidateTrials)
        return candidateRate - Double(referenceHits) / Double(referenceTrials)
    }
}

/// A 2 × 2 table with all four margins given, and at least two ways to fill it.
struct FixedMargins {
    private let candidate: Double
    private let reference: Double
    private let hits: Double
    private let seen: Double
    private let least: Double
    private let most: Double

    /// nil where the margins leave no choice, so that the table says nothing. Counters that were read one after
    /// the other may show more hits than trials: such hits are left out.
    init?(_ block: PairedCounts) {
        let candidateTrials = max(0, block.candidateTrials)
        let referenceTrials = max(0, block.referenceTrials)
        let candidateHits = min(max(0, block.candidateHits), candidateTrials)
        let referenceHits = min(max(0, block.referenceHits), referenceTrials)
        let all = candidateHits + referenceHits
        (candidate, reference) = (Double(candidateTrials), Double(referenceTrials))
        (hits, seen) = (Double(all), Double(candidateHits))
        (least, most) = (max(0, Double(all) - reference), min(Double(all), candidate))
        guard least < most else { return nil }
    }

    /// Of an odds ratio against 1. Sums outwards from the mode: the terms are log-concave, so that what is left
    /// out beyond the first negligible one is negligible too, and for 10^6 trials a side and as many hits some
    /// 6,000 terms remain.
    func logLikelihoodRatio(_ odds: Double) -> Double {
        let mode = mode(odds)
        var sum = 1.0
        var (term, count) = (1.0, mode)
        while count < most {
            let ratio = odds * growth(at: count)
            term *= ratio
            sum += term
            count += 1
            if ratio < 1, term < sum * FixedMargins.negligible { break }
        }
        (term, count) = (1.0, mode)
        while count > least {
            count -= 1
            let ratio = odds * growth(at: count)
            term /= ratio
            sum += term
            if ratio > 1, term < sum * FixedMargins.negligible { break }
        }
        return (seen - mode) * log(odds) - logProbability(mode) - log(sum)
    }

    /// By how much (as a logarithm) a likelihood ratio is lowered so that the block may also be one burst.
    ///
    /// Of the hits, as many as the sides' shares allow are spread alike, and the rest are a burst on one side. It
    /// could as well have hit the other one, each with a chance of its share of the trials. Divided by the average
    /// over these two cases, where that is above 1, the ratio has an expectation of at most 1 for bursts as well.
    /// Small differences lose next to nothing by it; the largest make no more than 1 / share of a block.
    func logBurstPenalty(_ odds: Double, _ logRatio: Double) -> Double {
        let share = candidate / (candidate + reference)
        let isOnCandidate = seen >= hits * share
        let mirrored =
            isOnCandidate ? share * (hits - seen) / (1 - share) : hits - (1 - share) * seen / share
        let mirroredLogRatio = logRatio + (mirrored - seen) * log(odds)
        let chance = isOnCandidate ? share : 1 - share
        let largest = max(logRatio, mirroredLogRatio)
        let average = chance * exp(logRatio - largest) + (1 - chance) * exp(mirroredLogRatio - largest)
        return max(0, largest + log(average))
    }

    private static let negligible = 0x1p-56

    /// How much likelier one more of the hits is the candidate's than `count` of them are, where both are alike.
    private func growth(at count: Double) -> Double {
        (candidate - count) * (hits - count) / ((count + 1) * (reference - hits + count + 1))
    }

    /// The likeliest number of the candidate's hits: where `odds * growth` falls below 1, a quadratic equation
    /// (Liao and Rosen 2001). Being off by one or two would cost a few terms and no exactness.
    private func mode(_ odds: Double) -> Double {
        let square = odds - 1
        let linear = -((candidate + hits + 2) * odds + reference - hits)
        let constant = (candidate + 1) * (hits + 1) * odds
        let root = max(0, linear * linear - 4 * square * constant).squareRoot()
        return min(max((2 * constant / (root - linear)).rounded(.down), least), most)
    }

    /// The logarithm of the hypergeometric probability.
    private func logProbability(_ count: Double) -> Double {
        logChoose(candidate, count) + logChoose(reference, hits - count)
            - logChoose(candidate + reference, hits)
    }

    private func logChoose(_ all: Double, _ some: Double) -> Double {
        logFactorial(all) - logFactorial(some) - logFactorial(all - some)
    }

    private func logFactorial(_ number: Double) -> Double { lgamma(number + 1).0 }
}
