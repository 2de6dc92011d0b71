import Glibc
import Model
import TestKit

/// Traffic on two sides, drawn second by second as counts: no request exists by itself.
struct AnalysisTraffic {
    /// Answer times in microseconds, and how much of the traffic takes each.
    typealias Shape = [(microseconds: Double, part: Double)]

    /// What one side's release does with its requests.
    struct Behaviour {
        var errorRate = 0.0
        var slowdown = 1.0
        /// The answers that it applies to, by their place in the shape from the fastest (0) to the slowest (1).
        var slow = 0.0...1.0
    }

    var random: SeededGenerator
    /// Of both sides together.
    var requestsPerSecond = 100.0
    /// The candidate's part of the traffic, in 256ths.
    var share = 128
    var shape: Shape = AnalysisTraffic.logNormal(median: 20_000, spread: 0.5)
    var errorRate = 0.0

    // Common to both sides, by the second.
    var loadDrift = 0.0
    var slownessDrift = 0.0
    var errorDrift = 0.0
    var period = 100.0
    var outage: Range<Int> = 0..<0

    init(seed: UInt64) { random = SeededGenerator(seed: seed) }

    /// Any traffic that there may be, for two releases that are the same.
    static func any(seed: UInt64) -> AnalysisTraffic {
        var traffic = AnalysisTraffic(seed: seed)
        traffic.requestsPerSecond = 5 * exp(Double.random(in: 0...log(400), using: &traffic.random))
        traffic.share = [8, 16, 32, 64, 128, 128, 192].randomElement(using: &traffic.random)!
        traffic.errorRate = [0, 0.0005, 0.002, 0.01, 0.05].randomElement(using: &traffic.random)!
        let median = exp(Double.random(in: log(800)...log(500_000), using: &traffic.random))
        traffic.shape =
            switch Int.random(in: 0..<5, using: &traffic.random) {
            case 0: logNormal(median: median, spread: 0.3)
            case 1: logNormal(median: median, spread: 1.2)
            case 2: bimodal(median: median, slowPart: 0.04, times: 40)
            case 3: bimodal(median: median, slowPart: 0.3, times: 8)
            default: [(median, 0.97), (median * 3, 0.03)]
            }
        traffic.loadDrift = Double.random(in: 0...0.9, using: &traffic.random)
        traffic.slownessDrift = Double.random(in: 0...1.5, using: &traffic.random)
        traffic.errorDrift = Double.random(in: 0...1, using: &traffic.random)
        traffic.period = Double.random(in: 20...900, using: &traffic.random)
        if traffic.random.happens(percent: 30) {
            let start = Int.random(in: 0..<300, using: &traffic.random)
            traffic.outage = start..<start + Int.random(in: 1...10, using: &traffic.random)
        }
        return traffic
    }

    /// A second's counts where both sides are the same: each request falls to a side by its share, and to nothing else.
    mutating func sameOnBothSides(_ second: Int) -> (candidate: RequestCounts, reference: RequestCounts) {
        var (candidate, reference) = (RequestCounts(), RequestCounts())
        let moment = moment(second)
        let load = requestsPerSecond * moment.load
        for (time, part) in shape {
            let all = poisson(load * part)
            guard all > 0 else { continue }
            let mine = binomial(all, share)
            let bucket = LatencyHistogram.bucket(ofMicroseconds: Int(time * moment.slowness))
            candidate.requests += mine
            reference.requests += all - mine
            if mine > 0 { candidate.latency.counts[bucket, default: 0] += mine }
            if mine < all { reference.latency.counts[bucket, default: 0] += all - mine }
        }
        let errors = poisson(load * min(1, errorRate * moment.errors + moment.outage))
        candidate.errors = binomial(errors, share)
        reference.errors = errors - candidate.errors
        candidate.requests += candidate.errors
        reference.requests += reference.errors
        return (candidate, reference)
    }

    /// A second's counts of a side that has `part` of the traffic.
    mutating func counts(_ second: Int, part: Double, _ behaviour: Behaviour) -> RequestCounts {
        var counts = RequestCounts()
        let moment = moment(second)
        var place = 0.0
        for (time, weight) in shape {
            let number = poisson(requestsPerSecond * moment.load * part * weight)
            let factor = behaviour.slow.contains(place) ? behaviour.slowdown : 1
            place += weight
            guard number > 0 else { continue }
            let bucket = LatencyHistogram.bucket(ofMicroseconds: Int(time * moment.slowness * factor))
            counts.requests += number
            counts.latency.counts[bucket, default: 0] += number
        }
        counts.errors = min(counts.requests, poisson(Double(counts.requests) * behaviour.errorRate))
        return counts
    }

    /// One of a side's instances stood still for a third of the second: what came then waited, and a part failed.
    mutating func stall(_ counts: inout RequestCounts) {
        var latency = LatencyHistogram()
        // In an order that is the same in every process.
        for (bucket, count) in counts.latency.counts.sorted(by: { $0.key < $1.key }) {
            let late = binomial(count, 85)
            let time = LatencyHistogram.microseconds(ofBucket: bucket) + 170_000
            latency.counts[bucket, default: 0] += count - late
            latency.counts[LatencyHistogram.bucket(ofMicroseconds: time), default: 0] += late
        }
        counts.latency = latency
        counts.errors += binomial(counts.requests - counts.errors, 16)
    }

    private func moment(_ second: Int) -> (load: Double, slowness: Double, errors: Double, outage: Double) {
        let wave = sin(2 * .pi * Double(second) / period)
        let isOut = outage.contains(second)
        return (
            1 + loadDrift * wave, (isOut ? 4 : 1) * (1 + slownessDrift * (1 + wave) / 2),
            1 + errorDrift * wave,
            isOut ? 0.5 : 0
        )
    }
}

// MARK: - Shapes

extension AnalysisTraffic {
    /// Parts of the traffic, from the fastest: narrow ones where the tail is looked at.
    private static let parts =
        Array(repeating: 0.1, count: 8) + [0.05, 0.05, 0.03, 0.02, 0.02, 0.02, 0.005, 0.005]

    static func logNormal(median: Double, spread: Double) -> Shape {
        var below = 0.0
        return parts.map { part in
            below += part
            return (median * exp(spread * normalQuantile(below - part / 2)), part)
        }
    }

    static func bimodal(median: Double, slowPart: Double, times factor: Double) -> Shape {
        logNormal(median: median, spread: 0.3).map { ($0, $1 * (1 - slowPart)) }
            + [(median * factor, slowPart / 2), (median * factor * 1.3, slowPart / 2)]
    }

    private static func normalQuantile(_ share: Double) -> Double {
        var (low, high) = (-8.0, 8.0)
        for _ in 0..<50 {
            let middle = (low + high) / 2
            if erfc(-middle / 2.0.squareRoot()) / 2 < share { low = middle } else { high = middle }
        }
        return low
    }
}

// MARK: - Draws

extension AnalysisTraffic {
    private mutating func uniform() -> Double { Double(random.next() >> 11) * 0x1p-53 }

    /// Exact up to 30; beyond, a rounded normal: how much traffic there is need not be Poisson.
    mutating func poisson(_ mean: Double) -> Int {
        guard mean > 0 else { return 0 }
        if mean > 30 {
            let normal = (-2 * log(1 - uniform())).squareRoot() * cos(2 * .pi * uniform())
            return max(0, Int((mean + mean.squareRoot() * normal).rounded()))
        }
        let draw = uniform()
        var (count, term) = (0, exp(-mean))
        var sum = term
        while sum < draw, count < 200 {
            count += 1
            term *= mean / Double(count)
            sum += term
        }
        return count
    }

    /// How many of `trials` happen, each with a chance of `chance` 256ths: exact, 64 trials at a time. Going
    /// through the chance's binary digits from the last, an or with random bits makes (1 + p) / 2 of p, an and p / 2.
    mutating func binomial(_ trials: Int, _ chance: Int) -> Int {
        let firstDigit = chance.trailingZeroBitCount
        var (left, count) = (trials, 0)
        while left > 0 {
            var bits: UInt64 = 0
            for digit in firstDigit..<8 {
                bits = chance >> digit & 1 == 1 ? bits | random.next() : bits & random.next()
            }
            count += (left < 64 ? bits & (1 << UInt64(left) - 1) : bits).nonzeroBitCount
            left -= 64
        }
        return count
    }
}
