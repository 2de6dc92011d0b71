import Model
import Planning

/// Turns counters into the load that the autoscaler reads.
struct LoadMeter: Sendable {
    private(set) var samples: [LoadSample] = []
    private var last: (at: Instant, requests: Int, cpu: [InstanceID: Int])?
    /// How far samples are apart.
    private static let period = Span.seconds(1)

    func isWanted(by state: ServiceState, _ releases: [ReleaseNumber: Release]) -> Bool {
        state.current.flatMap { releases[$0]?.content.run.autoscale } != nil
    }

    mutating func take(_ seen: Observation, _ route: ObservedRoute?, at now: Instant) {
        guard let route else { return }
        if let last, now - last.at < LoadMeter.period, now >= last.at { return }
        let serving = route.servers.filter { $0.value.state.isServing }
        let cpu = serving.keys.reduce(into: [:]) { $0[$1] = seen.instances[$1]?.cpuMicroseconds }
        defer { last = (now, route.counts.requests, cpu) }
        guard let last, now > last.at, route.counts.requests >= last.requests else {
            // After a step of the clock, or new counters, the samples before say nothing about those that follow.
            samples = []
            return
        }
        let seconds = Double((now - last.at).milliseconds) / 1000
        let used = cpu.reduce(0) { sum, entry in
            sum + max(0, entry.value - (last.cpu[entry.key] ?? entry.value))
        }
        samples.append(
            LoadSample(
                at: now, requestsPerSecond: Double(route.counts.requests - last.requests) / seconds,
                concurrency: Double(serving.values.reduce(0) { $0 + $1.sessions }),
                cpu: Double(used) / 1_000_000 / seconds, instances: serving.count))
        samples.removeAll { now - $0.at > Autoscaler.memory }
    }
}
