import Execution
import Model
import Planning

/// Laws about what really happens, checked whenever something does.
extension SimulatedRun {
    func checkWorld() {
        checkCapacity()
        if let keeper, keeper.machine.state.generation > store.state.generation {
            broke(.generation, "the daemon is ahead of the store")
        }
    }

    private func checkCapacity() {
        var (able, isFaulted) = (0, false)
        for server in router.servers.values where server.seen.state.isServing {
            if host[server.ordinal]?.isAble(at: uptime) == true {
                able += 1
                // Nobody watches it any more: it is to be replaced.
                if host[server.ordinal]?.isMonitored == false { isFaulted = true }
            } else if host[server.ordinal].map({ !$0.isLeaving }) == true {
                isFaulted = true
            }
        }
        // A release that is stopped before the next one starts takes the capacity itself, also where it is superseded.
        if let next = store.state.rollout?.to, store.isExclusive(next) { isFaulted = true }
        if isFaulted { laws.capacityWasTaken() }
        let needed = capacityNeeded
        if laws.isShort(able: able, needed: needed, at: uptime) {
            broke(.capacity, "\(able) instances serve, \(needed) have to")
        }
    }

    /// How many instances have to serve now.
    private var capacityNeeded: Int {
        guard let current = store.state.current, !store.state.isRetiring else { return 0 }
        var size = store.size(of: current)
        let next = store.state.rollout?.to
        if let next { size = min(size, store.size(of: next)) }
        if case .returning? = store.state.rollout?.phase, let rollout = store.state.rollout {
            size = min(size, ableWhereOnlyTwo(rollout) ?? size)
        }
        if next.map(store.isExclusive) == true || store.isExclusive(current) { return 0 }
        return store.leastHealthy(of: next ?? current, size: size)
    }

    /// How many of the last good release can take the traffic of one that failed, and so is not kept for the sake of
    /// numbers; nil where others serve too.
    private func ableWhereOnlyTwo(_ rollout: Rollout) -> Int? {
        let involved = [rollout.from, rollout.to]
        let slots = host.living.compactMap { host[$0] }.filter { !$0.isTask && $0.hasProven }
        let serving = Set(router.servers.values.filter { $0.seen.state.isServing }.map(\.ordinal))
        guard slots.allSatisfy({ involved.contains($0.release) || !serving.contains($0.id.ordinal) }) else {
            return nil
        }
        return slots.count { $0.release == rollout.from && $0.isAble(at: uptime) }
    }

    /// A route that is asked for.
    func check(_ route: Route) {
        let matched = route.match?.servers ?? []
        var releases: Set<ReleaseNumber> = []
        for server in route.servers where server.state.isServing {
            guard let slot = host[server.id.ordinal] else { continue }
            if !slot.hasProven {
                broke(.provenTraffic, "\(server.id) gets weight and never passed a health check")
            }
            releases.insert(slot.release)
        }
        for id in matched where host[id.ordinal]?.hasProven == false {
            broke(.provenTraffic, "\(id) gets matching requests and never passed a health check")
        }
        if releases.count > 2 {
            broke(.twoReleases, "\(releases.sorted()) take traffic")
        }
    }

    func checkRelease(of slot: Host.Slot) {
        guard store.launches[slot.id] != slot.release || host.seen[slot.id]?.release != slot.release else {
            return
        }
        broke(.oneRelease, "\(slot.id) was launched for \(String(describing: store.launches[slot.id]))")
    }

    /// An instance is to be launched: nothing of another release may be there where one of them must be alone, as the
    /// newest release says.
    func checkNeighbours(of id: InstanceID, _ release: ReleaseNumber) {
        let state = store.state
        guard let newest = state.rollout?.to ?? state.current, store.settings(newest)?.strategy == .recreate
        else { return }
        let running = host.living.compactMap { host[$0] }.filter { $0.stage != .exited && !$0.isTask }
        let coming = keeper?.waiting.filter { $0.task == nil } ?? []
        let others = running.map { ($0.id, $0.release) } + coming.map { ($0.id, $0.release) }
        for (other, itsRelease) in others
        where itsRelease != release && [release, itsRelease].contains(newest) {
            return broke(.alone, "\(id) is launched beside \(other)")
        }
    }
}
