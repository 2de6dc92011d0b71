import Model

/// The answer times of both sides, bucket by bucket from the fastest.
struct LatencyTable {
    struct Row {
        var microseconds: Int
        var candidate: Int
        var reference: Int
    }

    let rows: [Row]
    let candidateTotal: Int
    let referenceTotal: Int

    init(candidate: LatencyHistogram, reference: LatencyHistogram) {
        var buckets = candidate.counts.filter { $0.value > 0 }.mapValues { ($0, 0) }
        for (bucket, count) in reference.counts where count > 0 { buckets[bucket, default: (0, 0)].1 = count }
        rows = buckets.sorted { $0.key < $1.key }.map { bucket, counts in
            let microseconds = LatencyHistogram.microseconds(ofBucket: bucket)
            return Row(microseconds: microseconds, candidate: counts.0, reference: counts.1)
        }
        candidateTotal = rows.reduce(0) { $0 + $1.candidate }
        referenceTotal = rows.reduce(0) { $0 + $1.reference }
    }

    /// Answers that took longer than the bucket of `microseconds`.
    func slower(than microseconds: Int) -> PairedCounts {
        var counts = PairedCounts(
            candidateHits: 0, candidateTrials: candidateTotal, referenceHits: 0,
            referenceTrials: referenceTotal)
        for row in rows where row.microseconds > microseconds {
            counts.candidateHits += row.candidate
            counts.referenceHits += row.reference
        }
        return counts
    }

    /// How often an answer of the candidate takes more than `factor` times as long as one of the reference, over
    /// all pairs of them, equal ones counting half: the common language effect size. nil where a side has none.
    func superiority(over factor: Double) -> Double? {
        guard candidateTotal > 0, referenceTotal > 0 else { return nil }
        var (next, faster) = (0, 0)
        var pairs = 0.0
        for row in rows where row.candidate > 0 {
            let time = Double(row.microseconds)
            while next < rows.count, Double(rows[next].microseconds) * factor < time {
                faster += rows[next].reference
                next += 1
            }
            let isEqual = next < rows.count && Double(rows[next].microseconds) * factor == time
            let equal = isEqual ? rows[next].reference : 0
            pairs += Double(row.candidate) * (Double(faster) + Double(equal) / 2)
        }
        return pairs / (Double(candidateTotal) * Double(referenceTotal))
    }

    /// The median of the ratios of every answer of the candidate to every one of the reference: Hodges and
    /// Lehmann's estimate of a shift (1963), on the scale of logarithms. Found by halving the interval in which
    /// `superiority(over:)` passes ½, to a hundredth of a per cent; 1/1024…1024.
    var medianRatio: Double? {
        guard superiority(over: 1) != nil else { return nil }
        var (low, high) = (1.0 / 1024, 1024.0)
        // 2^20 halved 18 times on the scale of logarithms.
        for _ in 0..<18 {
            let middle = (low * high).squareRoot()
            if superiority(over: middle) ?? 0 > 0.5 { low = middle } else { high = middle }
        }
        return (low * high).squareRoot()
    }
}
