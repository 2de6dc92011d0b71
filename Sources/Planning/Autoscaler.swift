package import Model

/// The load of all serving instances of a service together, at one look.
package struct LoadSample: Hashable, Sendable, Codable {
    package var at: Instant
    package var requestsPerSecond: Double
    /// Requests in flight.
    package var concurrency: Double
    /// Cores in use; 1.0 is one core.
    package var cpu: Double
    /// Instances that served it.
    package var instances: Int

    package init(at: Instant, requestsPerSecond: Double, concurrency: Double, cpu: Double, instances: Int) {
        self.at = at
        self.requestsPerSecond = requestsPerSecond
        self.concurrency = concurrency
        self.cpu = cpu
        self.instances = instances
    }
}

/// How many instances a load asks for: up soon, down late, and never on a guess.
///
/// After Kubernetes' horizontal pod autoscaler (autoscaling/v2: tolerance, stabilisation windows, scaling policies):
/// - A recommendation is the load over the target of one instance, rounded up; a load within `tolerance` of what
///   the current instances are to carry recommends them as they are. The load is a mean over `smoothing`.
/// - Up, to the smallest recommendation of the last `upWindow`, so that a moment's spike moves nothing; within
///   `upPeriod` at most to twice as many, or `upStep` more.
/// - Down, to the largest recommendation of the last `downWindow`; within `downPeriod` at most to half as many.
/// - No change where samples are missing: none of late, a gap, or a window not yet seen from end to end, as after
///   a restart of the daemon.
package enum Autoscaler {
    /// How long samples are kept.
    package static let memory = downWindow + smoothing + longestGap

    static let tolerance = 0.1
    static let smoothing = Span.seconds(10)
    static let upWindow = Span.seconds(5)
    static let upPeriod = Span.seconds(15)
    static let upStep = 4
    static let downWindow = Span.seconds(300)
    static let downPeriod = Span.seconds(60)
    /// Samples further apart than this say nothing about the time between them.
    static let longestGap = Span.seconds(10)

    /// The number of instances from now on, or `current`.
    ///
    /// `milliCPU`: the CPU limit of one instance. `current`: instances that are wanted now, whether or not they
    /// serve already. `samples`: in any order, about one a second.
    package static func count(
        _ settings: Autoscale, milliCPU: Int, current: Int, samples: [LoadSample], at now: Instant
    ) -> Int {
        let past = samples.filter { $0.at <= now && $0.isUsable(settings.target) }.sorted { $0.at < $1.at }
        let wanted = wantedCount(settings, milliCPU: milliCPU, current: current, samples: past, at: now)
        return max(settings.min, min(settings.max, wanted))
    }

    private static func wantedCount(
        _ settings: Autoscale, milliCPU: Int, current: Int, samples: [LoadSample], at now: Instant
    ) -> Int {
        guard let loads = loads(settings.target, milliCPU: milliCPU, samples) else { return current }
        let recommendations = zip(samples, loads).map { sample, load in
            (at: sample.at, count: recommendation(load, current: current))
        }
        if let recent = window(recommendations, upWindow, now), let least = recent.min(), least > current {
            return min(least, highest(current: current, samples, at: now))
        }
        if let long = window(recommendations, downWindow, now), let most = long.max(), most < current {
            return max(most, lowest(current: current, samples, at: now))
        }
        return current
    }

    /// Each sample's load as a number of instances, a mean over `smoothing`; nil where nothing is known of it.
    private static func loads(_ target: Autoscale.Target, milliCPU: Int, _ samples: [LoadSample]) -> [Double]?
    {
        let perInstance =
            switch target {
            case .requestsPerSecond(let count), .concurrency(let count): Double(count)
            case .cpu(let percent): Double(milliCPU) / 1000 * Double(percent) / 100
            }
        guard perInstance > 0 else { return nil }
        var (sum, first) = (0.0, 0)
        return samples.indices.map { last in
            sum += samples[last].load(target) / perInstance
            while samples[last].at - samples[first].at >= smoothing {
                sum -= samples[first].load(target) / perInstance
                first += 1
            }
            return max(0, sum / Double(last - first + 1))
        }
    }

    private static func recommendation(_ load: Double, current: Int) -> Int {
        let size = Double(current)
        if load >= size * (1 - tolerance), load <= size * (1 + tolerance) { return current }
        // Rounding must not make an instance of the last digit of a sum.
        return Int(min(load - 1e-9, Double(Int32.max)).rounded(.up))
    }

    /// What was recommended from `span` ago until now; nil where samples do not cover all of that time.
    private static func window(
        _ recommendations: [(at: Instant, count: Int)], _ span: Span, _ now: Instant
    ) -> [Int]? {
        let start = now + span * -1
        guard let first = recommendations.lastIndex(where: { $0.at <= start }) else { return nil }
        let covering = recommendations[first...]
        let times = covering.map(\.at) + [now]
        guard zip(times, times.dropFirst()).allSatisfy({ $1 - $0 <= longestGap }) else { return nil }
        return covering.map(\.count)
    }

    private static func highest(current: Int, _ samples: [LoadSample], at now: Instant) -> Int {
        let before = serving(samples, upPeriod, now).min() ?? current
        let base = min(current, before)
        return max(current, base * 2, base + upStep)
    }

    private static func lowest(current: Int, _ samples: [LoadSample], at now: Instant) -> Int {
        let base = max(current, serving(samples, downPeriod, now).max() ?? current)
        return min(current, (base + 1) / 2)
    }

    private static func serving(_ samples: [LoadSample], _ span: Span, _ now: Instant) -> [Int] {
        samples.filter { now - $0.at <= span }.map(\.instances)
    }
}

extension LoadSample {
    fileprivate func load(_ target: Autoscale.Target) -> Double {
        switch target {
        case .requestsPerSecond: requestsPerSecond
        case .cpu: cpu
        case .concurrency: concurrency
        }
    }

    /// False where nothing was measured, or nobody was there to take the load: an outage is not a quiet time.
    fileprivate func isUsable(_ target: Autoscale.Target) -> Bool {
        instances > 0 && load(target).isFinite && load(target) >= 0
    }
}
