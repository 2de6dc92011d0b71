import Glibc
import Model
import TestKit
import Testing

@testable import Planning

@Suite struct AutoscalerTests {
    /// A service under a load, second by second, scaled by what the autoscaler says.
    private struct Service {
        var settings = Autoscale(min: 1, max: 40, target: .requestsPerSecond(100))
        var random: SeededGenerator
        var count: Int
        var samples: [LoadSample] = []
        var counts: [Int] = []
        /// Seconds from one sample to the next.
        var step = 4
        /// Samples from a launch to the first request.
        private let startTime = 2
        private var now = Instant(milliseconds: 1_700_000_000_000)

        init(seed: UInt64, count: Int = 1) {
            random = SeededGenerator(seed: seed)
            self.count = count
        }

        /// `load` in instances' worth, `noise` as a part of it.
        mutating func run(_ seconds: Int, noise: Double = 0, load: (Int) -> Double) {
            for second in stride(from: 0, to: seconds, by: step) {
                now = now + .seconds(step)
                let factor = 1 + noise * Double.random(in: -1...1, using: &random)
                samples.append(sample(max(0, load(second) * factor)))
                samples.removeAll { now - $0.at > Autoscaler.memory }
                count = Autoscaler.count(settings, milliCPU: 500, current: count, samples: samples, at: now)
                counts.append(count)
            }
        }

        private func sample(_ load: Double) -> LoadSample {
            let serving = counts.suffix(startTime).min().map { min($0, count) } ?? count
            return AutoscalerTests.sample(load, instances: serving, at: now)
        }

        var changes: Int { zip(counts, counts.dropFirst()).count { $0 != $1 } }
    }

    /// A load in instances' worth, by each of the targets below alike.
    private static func sample(_ load: Double, instances: Int, at: Instant) -> LoadSample {
        LoadSample(
            at: at, requestsPerSecond: load * 100, concurrency: load * 8, cpu: load * 0.5 * 0.6,
            instances: instances)
    }

    private static let targets: [Autoscale.Target] = [.requestsPerSecond(100), .concurrency(8), .cpu(60)]
    private static let now = Instant(milliseconds: 1_700_000_000_000)

    private static func steady(_ load: Double, instances: Int, seconds: Int, every step: Int = 1)
        -> [LoadSample]
    {
        stride(from: 0, through: seconds, by: step).map {
            sample(load, instances: instances, at: now + .seconds(-$0))
        }
    }

    private static func count(
        _ samples: [LoadSample], current: Int, max: Int = 40,
        target: Autoscale.Target = .requestsPerSecond(100),
        milliCPU: Int = 500
    ) -> Int {
        let settings = Autoscale(min: 1, max: max, target: target)
        return Autoscaler.count(settings, milliCPU: milliCPU, current: current, samples: samples, at: now)
    }

    @Test(arguments: targets, [0.3, 1, 2.05, 3.5, 7.2, 19])
    func `a steady load settles within a tenth of the target`(
        target: Autoscale.Target, load: Double
    ) {
        for start in [1, 40] {
            var service = Service(seed: 1, count: start)
            service.settings.target = target
            service.run(960) { _ in load }
            #expect(load / Double(service.count) <= 1 + Autoscaler.tolerance)
            #expect(Double(service.count - 1) < load / (1 - Autoscaler.tolerance))
            #expect(Set(service.counts.suffix(50)).count == 1)
        }
    }

    @Test(arguments: 0..<20 as Range<UInt64>) func `a noisy steady load does not make it thrash`(seed: UInt64)
    {
        var service = Service(seed: seed)
        let load = Double.random(in: 0.5...30, using: &service.random)
        service.run(60) { _ in load }
        service.counts = []
        service.run(800, noise: 0.4) { _ in load }
        // Once up to what the noise's upper half asks for; an edge may be crossed once each way.
        #expect(service.changes <= 3, "\(load): \(service.changes) changes")
        #expect(
            (0.85...1.35).contains(Double(service.count) / load) || abs(Double(service.count) - load) < 1.5)
    }

    @Test(arguments: 0..<20 as Range<UInt64>) func `whatever the load, it stays within bounds and steps`(
        seed: UInt64
    ) {
        var service = Service(seed: seed, count: 3)
        let least = Int.random(in: 1...3, using: &service.random)
        let most = Int.random(in: 3...30, using: &service.random)
        service.settings.min = least
        service.settings.max = most
        let period = Double.random(in: 60...900, using: &service.random)
        var spikes = service.random
        service.run(900, noise: 0.3) { second in
            let wave = 15 * (1 + sin(2 * .pi * Double(second) / period))
            return spikes.happens(percent: 2) ? wave * 10 : wave
        }
        #expect(service.counts.allSatisfy { (least...most).contains($0) })
        for index in service.counts.indices {
            let count = service.counts[index]
            let recent = service.counts[max(0, index - 15 / service.step)...index].min()!
            #expect(count <= max(2 * recent, recent + Autoscaler.upStep))
            #expect(2 * count >= service.counts[max(0, index - 60 / service.step)...index].max()!)
        }
    }

    @Test(arguments: [1, 2, 3, 7, 20], [2, 5, 300]) func `more load never asks for fewer instances`(
        current: Int, seconds: Int
    ) {
        let counts = stride(from: 0, through: 50, by: 0.35).map { load in
            Self.count(
                Self.steady(load, instances: current, seconds: seconds), current: current)
        }
        #expect(zip(counts, counts.dropFirst()).allSatisfy { $0 <= $1 })
    }

    @Test(arguments: [
        (0.2, 4, 2), (2.5, 4, 3), (3.61, 4, 4), (4.39, 4, 4), (4.41, 4, 5), (6.5, 4, 7), (30, 4, 8),
        (30, 1, 5),
        (3, 3, 3), (30, 20, 30), (90, 20, 40), (0, 1, 1),
    ]) func `up and down go in steps, and not for a tenth`(load: Double, current: Int, expected: Int) {
        let samples = Self.steady(load, instances: current, seconds: 330)
        #expect(Self.count(samples, current: current) == expected)
    }

    @Test func `a moment's spike moves nothing, a step does within seconds`() {
        var service = Service(seed: 1, count: 4)
        service.step = 1
        service.run(60) { _ in 4 }
        service.run(1) { _ in 7 }
        service.run(60) { _ in 4 }
        #expect(service.changes == 0)
        service.run(18) { _ in 7.5 }
        #expect(service.count >= 7)
    }

    @Test(arguments: [0, 1, 30, 200, 299]) func `nothing is taken away on less than the whole window`(
        seconds: Int
    ) {
        #expect(Self.count(Self.steady(0.1, instances: 8, seconds: seconds), current: 8) == 8)
        #expect(Self.count(Self.steady(0.1, instances: 8, seconds: 300), current: 8) == 4)
        // A busy moment anywhere in the window keeps what it needed.
        var samples = Self.steady(0.1, instances: 8, seconds: 330)
        for index in seconds...seconds + 10 { samples[index].requestsPerSecond = 700 }
        #expect(Self.count(samples, current: 8) >= 7)
    }

    @Test func `a gap in the samples takes nothing away, and neither does an outage`() {
        let samples = Self.steady(0.1, instances: 8, seconds: 330)
        #expect(
            Self.count(
                samples.filter { !(100...111).contains((Self.now - $0.at).milliseconds / 1000) }, current: 8)
                == 8)
        let outage = samples.map { sample in
            var sample = sample
            if (100...120).contains((Self.now - sample.at).milliseconds / 1000) { sample.instances = 0 }
            return sample
        }
        #expect(Self.count(outage, current: 8) == 8)
    }

    @Test(arguments: [0.1, 30]) func `without a metric it stays as it is`(load: Double) {
        #expect(Self.count([], current: 4) == 4)
        let old = Self.steady(load, instances: 4, seconds: 400).filter { Self.now - $0.at > .seconds(15) }
        #expect(Self.count(old, current: 4) == 4)
        let samples = Self.steady(load, instances: 4, seconds: 330)
        #expect(Self.count(samples, current: 4, target: .cpu(60), milliCPU: 0) == 4)
        for broken in [Double.nan, .infinity, -1] {
            let unusable = samples.map { sample in
                var sample = sample
                sample.requestsPerSecond = broken
                return sample
            }
            #expect(Self.count(unusable, current: 4) == 4)
        }
        // The bounds hold without any.
        #expect(Self.count([], current: 50) == 40)
        #expect(Self.count([], current: 0) == 1)
    }

    @Test func `the order of the samples does not matter, nor what lies in the future`() {
        let samples = Self.steady(6.5, instances: 4, seconds: 330)
        var random = SeededGenerator(seed: 3)
        let later = Self.sample(0, instances: 4, at: Self.now + .seconds(5))
        #expect(Self.count(samples.shuffled(using: &random) + [later], current: 4) == 7)
    }
}
