import Model

/// What goes wrong, and how it stops.
extension SimulatedRun {
    func inject(_ fault: Fault) {
        let (count, span) = (fault.count, fault.span)
        switch fault.kind {
        case .refuseRoutes: trouble.refusedRoutes = count
        case .lagRoutes: (trouble.lateRoutes, trouble.lag) = (count, span)
        case .denyRoutes: trouble.deniedRoutes = count
        case .killRouter:
            router.die()
            laws.capacityWasTaken()
            if span > 0 { agenda.add(.routerReturns, at: uptime + span) }
            wake()
        case .resetCounters:
            router.count { $0.seen.counts = RequestCounts() }
            router.counts = TrafficCounts()
        case .killDaemon where count <= 0: if isDaemonUp { killDaemon(for: span) }
        case .killDaemon: (trouble.effectsLeft, trouble.down) = (count, span)
        case .refuseWrites: trouble.refusedWrites = count
        case .denyWrites: trouble.deniedWrites = count
        case .reboot: reboot(for: span)
        case .kill: running(count).map { exits($0, status: 137) }
        case .killAll: for ordinal in host.living { exits(ordinal, status: 137) }
        case .sicken:
            guard let ordinal = running(count) else { return }
            let until = uptime + span
            host.change(ordinal) { $0.sickUntil = until }
            laws.capacityWasTaken()
        case .loseMonitor:
            running(count).map {
                host.show($0) { $0.isMonitored = false }
                host.change($0) { $0.isMonitored = false }
            }
        case .drift: running(count).map { drifts($0, .process, "sh") }
        case .rewriteLimits: running(count).map { drifts($0, .limits, "memory.max") }
        case .failRemovals: trouble.failedRemovals = count
        case .failLaunches: trouble.failedLaunches = count
        case .hangLaunches: (trouble.hangingLaunches, trouble.hang) = (count, span)
        case .stepClock:
            skew += span
            laws.waitsBegan(at: uptime)
        case .lookLate: trouble.lateness = span
        case .silenceGates: trouble.silentUntil = uptime + span
        }
    }

    private func drifts(_ ordinal: Int, _ kind: Drift.Kind, _ subject: String) {
        let drift = Drift(kind, subject, "\(subject) is not as launched", source: .poll, at: now)
        host.show(ordinal) { if !$0.drifts.contains(where: { $0.kind == kind }) { $0.drifts.append(drift) } }
        wake()
    }

    private func running(_ place: Int) -> Int? {
        let ordinals = host.living.filter { host[$0]?.stage == .running }
        return ordinals.isEmpty ? nil : ordinals[abs(place) % ordinals.count]
    }

    private func reboot(for span: Int) {
        laws.capacityWasTaken()
        killDaemon(for: span)
        router.die()
        for ordinal in host.living {
            host.change(ordinal) { $0.isDetached = false }
            // What a gate's command left stays until it is removed: the platform promises that.
            if draw(.reboot, ordinal, in: 0...2) == 0, host[ordinal]?.isTask != true {
                host.vanishes(ordinal)
            } else {
                host.exits(ordinal, status: nil)
            }
        }
    }

    /// From now on nothing goes wrong by itself, and every release is a good one.
    func calm() {
        tell("— calm")
        trouble = Trouble()
        deployments = [:]
        laws.isCalm = true
        for ordinal in host.living {
            let (now, isTask) = (uptime, host[ordinal]?.isTask == true)
            host.change(ordinal) {
                $0.flapsEvery = nil
                $0.sickUntil = 0
                $0.failsToLaunch = false
                if $0.stage == .running, !isTask { $0.ableAt = min($0.ableAt, now) }
            }
        }
        laws.capacityWasTaken()
        laws.waitsBegan(at: uptime)
        requestsPerSecond = max(requestsPerSecond, 200)
        attend()
    }
}

extension Optional {
    /// Does something with what is there, if anything is.
    fileprivate func map(_ body: (Wrapped) -> Void) {
        if case .some(let value) = self { body(value) }
    }
}
