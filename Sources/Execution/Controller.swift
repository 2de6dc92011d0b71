internal import Logging
package import Model
internal import Planning
internal import Ports
internal import Trust

/// All services of one daemon: starts a controller for each, and hands requests to the right one.
package actor Controller {
    let world: World
    private(set) var services: [ServiceKey: ServiceController] = [:]
    /// Images of the sessions that go on, or are about to begin, by how many need them.
    private var pinned: [Digest: Int] = [:]
    /// What the registries said of the names that current releases came by.
    var movedTags: [Drift] = []
    private let arrivals: AsyncStream<ServiceController>
    private let arrival: AsyncStream<ServiceController>.Continuation

    package init(_ world: World) {
        self.world = world
        (arrivals, arrival) = AsyncStream.makeStream()
    }

    /// Takes up every service where the last daemon left it. Call once, before `run`.
    package func recover() async throws {
        for interrupted in try await world.store.unfinishedSteps() {
            let outcome = StepOutcome(
                journalNumber: interrupted.journalNumber,
                failure: Failure(
                    .cancelled, "the daemon stopped before the outcome was known; what runs was observed"))
            try await world.store.finish([outcome], for: interrupted.key, at: world.clock.now)
        }
        // Of a service that should not run, too, something may be left: what a first release that failed had.
        var present = Set(try await world.platform.observe().map(\.key))
        present.formUnion(try await world.router.observe().routes.keys)
        for state in try await world.store.services() where state.isAlive || present.contains(state.key) {
            try await begin(state)
        }
    }

    /// Keeps all services as intended until the task is cancelled.
    package func run() async {
        await withDiscardingTaskGroup { group in
            group.addTask { await self.passOnChanges() }
            for await service in arrivals {
                group.addTask {
                    await service.run()
                    await self.ended(service)
                }
            }
            group.cancelAll()
        }
    }

    /// Looks after what all services share, until the task is cancelled.
    package func keepHost() async { await HostKeeper(world).run() }

    private func passOnChanges() async {
        for await _ in world.platform.changes {
            for service in services.values { service.lookNow() }
        }
    }

    private func begin(_ state: ServiceState) async throws {
        let releases = try await world.store.releases(of: state.key)
        // Another request may have begun the same service while this one read the store.
        guard services[state.key] == nil else { return }
        let service = ServiceController(state, releases: releases, world: world) { [weak self] in
            await self?.forgetUnusedImages()
        }
        services[state.key] = service
        arrival.yield(service)
    }

    private func ended(_ service: ServiceController) async {
        guard !Task.isCancelled else { return }
        services[service.key] = nil
        // A deploy may have come between the last look and now.
        if let state = try? await world.store.service(service.key), state.isAlive { try? await begin(state) }
        await forgetUnusedImages()
    }

    /// Keeps what was made for an image, whichever service has it, until it is unpinned as often.
    func pin(_ image: Digest) { pinned[image, default: 0] += 1 }

    func unpin(_ image: Digest) {
        let rest = (pinned[image] ?? 1) - 1
        pinned[image] = rest > 0 ? rest : nil
    }

    /// Lets the platform go of what was made for images that no service may need again soon.
    package func forgetUnusedImages() async {
        var images: Set<Digest> = []
        for service in services.values { images.formUnion(await service.imagesInUse) }
        images.formUnion(pinned.keys)
        do {
            try await world.platform.forgetImages(except: images)
        } catch {
            world.logger.warning("unused images not removed", metadata: ["error": "\(error)"])
        }
    }

    // MARK: Requests

    /// Everything that runs or ran under a name.
    package func snapshots() async throws -> [ServiceSnapshot] {
        var snapshots: [ServiceSnapshot] = []
        for key in services.keys.sorted() {
            if let snapshot = try await services[key]?.snapshot() {
                snapshots.append(snapshot.showing(movedTags))
            }
        }
        return snapshots
    }

    package func snapshot(of key: ServiceKey) async throws -> ServiceSnapshot {
        if let service = services[key] { return try await service.snapshot().showing(movedTags) }
        guard let state = try await world.store.service(key) else { throw Controller.unknown(key) }
        let releases = try await world.store.releases(of: key)
        return ServiceSnapshot(
            state: state, releases: Dictionary(uniqueKeysWithValues: releases.map { ($0.number, $0) }),
            seen: Observation(at: world.clock.now))
    }

    /// Makes a release of `content` and begins to roll it out, or, if `queue`, lets it wait for the rollout under way.
    package func deploy(
        _ content: Release.Content, as key: ServiceKey, message: String, commit: String? = nil,
        tags: [TaggedImage]? = nil, by operatorName: String, force: Bool, queue: Bool
    ) async throws -> DeployOutcome {
        let state = await services[key]?.machine.state ?? ServiceState(key: key)
        try ServiceController.lint(content, state)
        try ServiceController.requireThaw(content, key, at: world.clock.now)
        try ServiceController.requireApprovers(content, world.keys, at: world.clock.now)
        try await world.admit(content, for: key, by: operatorName)
        let service = try await serviceForDeploy(key)
        return try await service.deploy(
            content, digest: try content.digest(), message: message, commit: commit,
            tags: tags.map { Array($0.prefix(TaggedImage.most)) }, by: operatorName, force: force,
            queue: queue)
    }

    private func serviceForDeploy(_ key: ServiceKey) async throws -> ServiceController {
        if let service = services[key] { return service }
        try await begin(try await world.store.service(key) ?? ServiceState(key: key))
        return services[key]!
    }

    /// What a deploy of `content` would change and do. Changes nothing.
    package func preview(_ content: Release.Content, as key: ServiceKey) async throws -> DeployPreview {
        let snapshot = try? await snapshot(of: key)
        var preview = try DeployPreview.make(
            content, digest: try content.digest(), key: key, snapshot: snapshot, now: world.clock.now)
        let verdict = await world.admission.decide(
            content.image, asking: content.policy, for: key, .new, at: world.clock.now)
        (preview.refusals, preview.warnings) = (verdict.refusals, verdict.warnings)
        return preview
    }

    package func rollBack(
        _ key: ServiceKey, to release: ReleaseNumber?, by operatorName: String, saying reason: String? = nil
    ) async throws -> Rollout {
        try await running(key).rollBack(to: release, by: operatorName, saying: reason)
    }

    package func scale(
        _ key: ServiceKey, to count: Int, by operatorName: String, saying reason: String? = nil
    ) async throws {
        try await running(key).change(saying: reason) { state, _ in
            (nil, try state.scale(to: count, by: operatorName), ())
        }
    }

    /// `operatorName` is nil where nobody asked for it: the daemon ends, and keeps nothing.
    package func retire(
        _ key: ServiceKey, by operatorName: String?, saying reason: String? = nil
    ) async throws {
        let now = world.clock.now
        try await running(key).change(saying: reason) { state, _ in
            (nil, state.beginRetiring(at: now, by: operatorName), ())
        }
    }

    /// Keeps the rollout under way where it is.
    package func pause(
        _ key: ServiceKey, by operatorName: String, saying reason: String? = nil
    ) async throws -> Rollout {
        try await running(key).control(saying: reason) { try $0.pause(at: $1, by: operatorName) }
    }

    package func resume(
        _ key: ServiceKey, by operatorName: String, saying reason: String? = nil
    ) async throws -> Rollout {
        try await running(key).control(saying: reason) { try $0.resume(at: $1, by: operatorName) }
    }

    /// Gives the new release all traffic next.
    package func promote(
        _ key: ServiceKey, by operatorName: String, saying reason: String? = nil
    ) async throws -> Rollout {
        try await running(key).control(saying: reason) { try $0.promote(at: $1, by: operatorName) }
    }

    /// Gives the traffic back to the release before.
    package func abort(
        _ key: ServiceKey, by operatorName: String, saying reason: String? = nil
    ) async throws -> Rollout {
        try await running(key).control(saying: reason) { try $0.abort(at: $1, by: operatorName) }
    }

    /// Says yes to the gate that waits for a person.
    ///
    /// - Parameter envelope: a signed approval; nil: a plain yes, where anybody may say it
    package func approve(
        _ key: ServiceKey, gate: String?, envelope: [UInt8]? = nil, by operatorName: String,
        saying reason: String? = nil
    ) async throws -> Rollout {
        try await running(key).approve(gate, envelope: envelope, by: operatorName, saying: reason)
    }

    /// Retires every service and waits until nothing of them is left.
    package func retireAll() async {
        for key in services.keys { try? await retire(key, by: nil) }
        for _ in 1...Bounds.looksUntilRetired where !services.isEmpty {
            try? await world.clock.sleep(for: Limits.watchLook)
        }
        await forgetUnusedImages()
    }

    package func events(of key: ServiceKey, after number: Int, limit: Int) async throws -> [Event] {
        try await world.store.events(of: key, after: number, limit: limit)
    }

    package func confinement(of id: InstanceID) async throws -> Confinement {
        try await world.platform.confinement(of: id)
    }

    package func log(of id: InstanceID, lines: Int) async throws -> [LogLine] {
        try await world.platform.log(of: id, lines: lines)
    }

    func running(_ key: ServiceKey) throws -> ServiceController {
        guard let service = services[key] else { throw Controller.unknown(key) }
        return service
    }

    private static func unknown(_ key: ServiceKey) -> Failure {
        Failure(.notFound, "no service \(key) runs here", suggestion: "`kiln status` lists what does")
    }
}

extension ServiceState {
    /// Whether anything of it runs or should run.
    var isAlive: Bool { current != nil || rollout != nil || isRetiring || !queued.isEmpty }
}
