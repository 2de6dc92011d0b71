internal import Execution
internal import Model
internal import WireAPI

extension ServiceSnapshot {
    /// The wire form, instances in the order of their names.
    var status: ServiceStatus {
        let release = (state.current ?? state.rollout?.to).flatMap { releases[$0] }
        let route = seen.router.routes[state.key]
        return ServiceStatus(
            key: state.key, current: state.current, image: release?.content.image,
            listen: release?.content.listen.map { "\($0.address) \($0.trafficProtocol.rawValue)" },
            replicas: state.replicas ?? release?.content.run.replicas ?? 0, standbys: state.standbys,
            rollout: state.rollout, lastRollout: state.lastRollout, isRetiring: state.isRetiring,
            instances: seen.instances.values.sorted { $0.id < $1.id }.map { status(of: $0, route) },
            traffic: route?.counts ?? TrafficCounts(), queued: state.queued)
    }

    /// The rollout under way, or else the last one; nil before the first.
    var rolloutStatus: RolloutStatus? {
        guard let rollout = state.rollout ?? state.lastRollout else { return nil }
        let content = releases[rollout.to]?.content
        let counts = seen.router.routes[state.key]?.counts ?? TrafficCounts()
        let soFar = rollout.trafficBefore.map { counts.since($0) } ?? TrafficCounts()
        return RolloutStatus(
            key: state.key, rollout: rollout, strategy: content?.rollout.strategy.name ?? "",
            deadline: content?.rollout.deadline ?? .zero,
            releases: ReleaseStatus.list(
                rollout, size: state.replicas ?? content?.run.replicas ?? 0, standbys: state.standbys,
                instances: status.instances),
            traffic: rollout.traffic ?? soFar, queued: state.queued)
    }

    private func status(of instance: ObservedInstance, _ route: ObservedRoute?) -> InstanceStatus {
        let server = route?.servers[instance.id]
        let isCompared = state.rollout?.baseline.contains(instance.id) == true
        let phase: InstanceStatus.Phase =
            switch instance.phase {
            case .launching: .launching
            case .running: .running
            case .exited: .exited
            }
        return InstanceStatus(
            id: instance.id, release: instance.release,
            role: instance.isTask ? .task : isCompared ? .baseline : .serve, phase: phase,
            health: instance.commandHealth ?? server?.health ?? .unproven, weight: server?.state.weight ?? 0,
            sessions: server?.sessions ?? 0, address: instance.address, startedAt: instance.startedAt,
            processID: instance.processID)
    }
}

extension DeployOutcome {
    func answer(eventsAfter last: Int) -> RolloutAnswer {
        switch self {
        case .unchanged: RolloutAnswer(rollout: nil, eventsAfter: last)
        case .began(let rollout): RolloutAnswer(rollout: rollout, eventsAfter: last)
        case .queued(let queued, let behind):
            RolloutAnswer(rollout: nil, eventsAfter: last, queued: queued, behind: behind)
        }
    }
}

extension DeployPreview {
    var answer: PlanAnswer {
        PlanAnswer(
            from: from, to: to, changes: changes,
            steps: steps.map(\.text))
    }
}

extension Step {
    /// What the step does, for people.
    fileprivate var text: String {
        switch self {
        case .launch(let id, let release): return "launch \(id) of \(release)"
        case .runTask(let id, let release, let command):
            return "run \(command.joined(separator: " ")) once, in \(id) of \(release)"
        case .check(let check): return "ask gate \(check.gate.name)"
        case .remove(let id, let reason, _): return "remove \(id) (\(reason.rawValue))"
        case .removeRoute(let key): return "stop listening for \(key)"
        case .route(let route):
            let serving = route.servers.filter(\.state.isServing)
            let others = route.servers.count - serving.count
            let names = serving.map(\.id.text).joined(separator: ", ")
            let place = route.listener.map { " at \($0.address)" } ?? ""
            return serving.isEmpty
                ? "probe \(counted(others, "instance")), without traffic"
                : "send all new requests\(place) to \(names)"
                    + (others > 0 ? "; \(counted(others, "other")) without" : "")
        }
    }
}
