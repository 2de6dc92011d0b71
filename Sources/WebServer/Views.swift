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
            traffic: route?.counts ?? TrafficCounts(), queued: state.queued, commit: release?.commit,
            drifting: seen.instances.values.count { !$0.drifts.isEmpty }, tainted: state.tainted,
            movedTags: movedTags.isEmpty ? nil : movedTags)
    }

    /// The rollout under way, or else the last one; nil before the first.
    func rolloutStatus() throws -> RolloutStatus? {
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
            traffic: rollout.traffic ?? soFar, queued: state.queued, approval: try approvalRequest())
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
            steps: steps.map(\.text), refusals: refusals.isEmpty ? nil : refusals,
            warnings: warnings.isEmpty ? nil : warnings)
    }
}
