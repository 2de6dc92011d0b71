import Model

/// The simulated store: intent, releases, and the intents of steps.
final class Store {
    enum Answer: Hashable, Sendable { case written, refused, denied, conflict }

    private(set) var state: ServiceState
    private(set) var releases: [ReleaseNumber: Release] = [:]
    /// Of those releases whose instances are probed by a command.
    private(set) var commandChecks: [ReleaseNumber: HealthCheck] = [:]
    /// Those of which nothing may run beside another.
    private var exclusive: Set<ReleaseNumber> = []
    /// What may be launched, removed and routed, since it was written down.
    private(set) var launches: [InstanceID: ReleaseNumber] = [:]
    private(set) var removals: Set<InstanceID> = []
    private(set) var route: Route?
    private(set) var questions: Set<String> = []
    private(set) var removesRoute = false
    private(set) var restores: Set<InstanceID> = []

    init(key: ServiceKey) { state = ServiceState(key: key) }

    /// Writes whole. `fault`: what goes wrong, if anything.
    func commit(_ next: ServiceState, adding release: Release?, steps: [Step], fault: Answer?) -> Answer {
        if fault == .refused { return .refused }
        guard next.generation == state.generation + 1 else { return .conflict }
        state = next
        if let release { add(release) }
        for step in steps {
            switch step {
            case .launch(let id, let release), .runTask(let id, let release, _): launches[id] = release
            case .remove(let id, _, _): removals.insert(id)
            case .route(let route): self.route = route
            case .removeRoute: removesRoute = true
            case .restoreLimits(let id): restores.insert(id)
            case .check(let check): questions.insert(check.idempotencyKey)
            }
        }
        return fault == .denied ? .denied : .written
    }

    private func add(_ release: Release) {
        releases[release.number] = release
        let check = release.content.run.health
        if case .command = check.kind { commandChecks[release.number] = check }
        if case .recreate = release.content.rollout.strategy { exclusive.insert(release.number) }
    }

    /// What the present intent says of a release.
    func settings(_ release: ReleaseNumber?) -> RolloutSettings? {
        release.flatMap { releases[$0]?.content.rollout }
    }

    /// How many instances a release should have.
    func size(of release: ReleaseNumber) -> Int { size(of: release, in: state) }

    func size(of release: ReleaseNumber, in state: ServiceState) -> Int {
        let declared = releases[release]?.content.run.replicas ?? 0
        if let rollout = state.rollout, rollout.resetsReplicas, rollout.to == release { return declared }
        return state.replicas ?? declared
    }

    func isExclusive(_ release: ReleaseNumber) -> Bool { exclusive.contains(release) }

    /// How many of `size` instances serve at all times while a release is rolled out.
    func leastHealthy(of release: ReleaseNumber, size: Int) -> Int {
        guard case .rolling(let rolling) = releases[release]?.content.rollout.strategy else { return size }
        return rolling.minHealthy.of(size)
    }
}
