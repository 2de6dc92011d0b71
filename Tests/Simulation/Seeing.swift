import Model
import Planning

/// What the daemon sees, and what the router counts.
extension SimulatedRun {
    func observe() -> Observation {
        countTraffic()
        probeCommands()
        let uptime = uptime
        router.refresh { server in
            guard uptime >= server.probedFrom else { return (.unproven, 0) }
            let isAble = host[server.ordinal]?.isAble(at: uptime) == true
            let isBusy = server.seen.state == .draining && isAble && uptime < server.idleAt
            let hasPassed = server.seen.health != .unproven
            return (isAble ? .healthy : hasPassed ? .failing : .unproven, isBusy ? 1 : 0)
        }
        for server in router.servers.values where server.seen.health == .healthy {
            guard let slot = host[server.ordinal], !slot.hasProven else { continue }
            let command = host.seen[slot.id]?.commandHealth
            if command == nil || command == .healthy { host.change(server.ordinal) { $0.hasProven = true } }
        }
        return Observation(at: now, instances: host.seen, router: router.observe(key))
    }

    /// Probes that the router cannot make, as often as the daemon would have made them since the last look.
    private func probeCommands() {
        guard laws.hasCommandProbes, !store.commandChecks.isEmpty else { return }
        for ordinal in host.living {
            guard let slot = host[ordinal], slot.stage == .running, !slot.isTask,
                let check = store.commandChecks[slot.release]
            else { continue }
            var probe = keeper?.probes[ordinal] ?? Keeper.Probe(nextAt: uptime + 1)
            for _ in 0..<Bound.probesAtOnce where probe.nextAt <= uptime {
                probe.counter.count(passed: slot.isAble(at: probe.nextAt), by: check)
                let isUnproven = probe.counter.health == .unproven
                probe.nextAt +=
                    isUnproven ? min(check.interval.milliseconds, 200) : check.interval.milliseconds
            }
            probe.nextAt = max(probe.nextAt, uptime)
            keeper?.probes[ordinal] = probe
            let health = probe.counter.health
            host.show(ordinal) { $0.commandHealth = health }
        }
    }

    /// Splits the requests since the last count over those that take traffic and can answer. Each release answers
    /// exactly as often and as slowly as it does on average: what chance does to a comparison is tried elsewhere.
    func countTraffic() {
        let seconds = Double(uptime - trafficCountedAt) / 1000
        trafficCountedAt = uptime
        guard seconds > 0, requestsPerSecond > 0, laws.needsTraffic, router.route?.listener != nil else {
            return
        }
        let (uptime, requestsPerSecond) = (uptime, requestsPerSecond)
        let whole = router.servers.values.reduce(0) { sum, server in
            host[server.ordinal]?.isAble(at: uptime) == true ? sum + server.seen.state.weight : sum
        }
        guard whole > 0 else { return }
        var answered = 0
        router.count { server in
            let weight = server.seen.state.weight
            guard weight > 0, var slot = host[server.ordinal], slot.isAble(at: uptime) else { return }
            slot.traffic.requests += seconds * Double(requestsPerSecond * weight) / Double(whole)
            let count = Int(slot.traffic.requests)
            slot.traffic.requests -= Double(count)
            answered += count
            slot.traffic.count(
                count, self.deployments[slot.release]?.answers ?? .good, in: &server.seen.counts,
                first: slot.id.ordinal)
            host.change(server.ordinal) { $0.traffic = slot.traffic }
        }
        router.counts.requests += answered
    }
}

extension TrafficTally {
    /// Per mille of answers that are errors.
    private static let usualErrors = 0.0
    private static let manyErrors = 300.0
    /// Microseconds to the first byte, one after the other.
    private static let times = [900, 1100, 1300, 1700, 2600, 1000, 1200, 1500, 1900, 4800]
    private static let tardiness = 4

    /// Counts answers of a release as its temper has them. `first`: where in their order an instance begins, so that
    /// many of them are not slow at the same moment.
    mutating func count(
        _ answers: Int, _ kind: Deployment.Answers, in counts: inout RequestCounts, first: Int
    ) {
        guard answers > 0 else { return }
        counts.requests += answers
        errors +=
            Double(answers) * (kind == .erring ? TrafficTally.manyErrors : TrafficTally.usualErrors) / 1000
        counts.errors += Int(errors)
        errors -= Double(Int(errors))
        for _ in 0..<answers {
            let time = TrafficTally.times[(first + answered) % TrafficTally.times.count]
            answered += 1
            let taken = kind == .tardy ? time * TrafficTally.tardiness : time
            counts.latency.counts[LatencyHistogram.bucket(ofMicroseconds: taken), default: 0] += 1
        }
    }
}
