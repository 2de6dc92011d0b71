package import Model
internal import Planning
internal import Ports

/// What people do to instances and services beside deploying, and what differs.
extension Controller {
    /// Marks an instance as touched by a person; the ledger has it when this returns.
    ///
    /// - Parameter until: it is kept that long, with another in its place; nil: it is replaced now
    package func taint(
        _ id: InstanceID, reason: String, by operatorName: String, until: Instant?, isInTraffic: Bool
    ) async throws {
        let now = world.clock.now
        let instance = try await instance(id)
        try await running(instance.key).change { state, _ in
            let notes = try state.taint(
                id, reason: reason, until: until, isInTraffic: isInTraffic, at: now, by: operatorName)
            return (nil, notes, ())
        }
    }

    /// Ends a person's time with an instance, which is replaced.
    ///
    /// - Parameter details: for the ledger, such as the digest of a recording
    package func endTaint(
        _ id: InstanceID, message: String, details: [String: String] = [:], by operatorName: String
    ) async throws {
        for service in services.values where await service.machine.state.tainted(id) != nil {
            return try await service.change { state, _ in
                (nil, try state.endTaint(id, message: message, details: details, by: operatorName), ())
            }
        }
        throw Failure(.notFound, "\(id) is not held", suggestion: "`kiln drift` lists what is")
    }

    /// Replaces every instance of a service by a fresh one of the same release.
    package func repave(
        _ key: ServiceKey, by operatorName: String, saying reason: String? = nil
    ) async throws {
        let now = world.clock.now
        try await running(key).change(saying: reason) { state, _ in
            (nil, try state.repave(at: now, by: operatorName), ())
        }
    }

    /// What differs now: of the host, and by service and instance.
    package func drift() async throws -> DriftReport {
        let host = try await world.platform.hostDrifts() + world.router.observe().drifts
        var report = DriftReport(host: host, services: [])
        for key in services.keys.sorted() {
            guard let controller = services[key] else { continue }
            var service = try await controller.drift()
            let tags = await controller.currentTags
            service.tags = movedTags.filter { $0.isOf(tags) }
            report.services.append(service)
        }
        return report
    }

    /// A running instance by its name.
    func instance(_ id: InstanceID) async throws -> ObservedInstance {
        guard let instance = try await world.platform.observe().first(where: { $0.id == id }) else {
            throw Failure(
                .notFound, "there is no instance \(id)", suggestion: "`kiln status` lists those that run")
        }
        guard instance.phase == .running, !instance.isTask else {
            throw Failure(
                .conflict, "\(id) \(instance.isTask ? "runs a gate's command" : "does not run")",
                suggestion: "`kiln status` lists those that run")
        }
        return instance
    }
}

extension ServiceController {
    /// Throws where the spec itself says that nothing is deployed now. To go back is always possible.
    static func requireThaw(_ content: Release.Content, _ key: ServiceKey, at now: Instant) throws {
        guard let freeze = content.repave?.freeze(at: now) else { return }
        throw Failure(
            .invalidSpec, "\(key) is frozen until \(freeze.until): \(freeze.reason)", at: "freeze",
            suggestion: "wait, or change `freeze` in the spec, where everybody can see who did; "
                + "`kiln rollback` works at any time")
    }
}
