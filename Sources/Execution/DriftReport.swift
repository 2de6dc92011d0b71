package import Model
internal import Ports

/// All that differs from what was released, now.
package struct DriftReport: Hashable, Sendable {
    package struct ServiceDrift: Hashable, Sendable {
        package var key: ServiceKey
        package var mode: DriftSettings.Mode
        /// The same drift came back too often: nothing more is replaced because of it.
        package var isHalted: Bool
        package var instances: [InstanceID: [Drift]]
        package var tainted: [TaintedInstance]
        /// Names that its release came by, and that stand for other images now. Nothing that runs differs.
        package var tags: [Drift] = []

        package init(
            key: ServiceKey, mode: DriftSettings.Mode, isHalted: Bool, instances: [InstanceID: [Drift]],
            tainted: [TaintedInstance]
        ) {
            self.key = key
            self.mode = mode
            self.isHalted = isHalted
            self.instances = instances
            self.tainted = tainted
        }
    }

    /// Of the host and of the router, which all services share.
    package var host: [Drift]
    package var services: [ServiceDrift]

    package init(host: [Drift], services: [ServiceDrift]) {
        self.host = host
        self.services = services
    }

    /// Whether nothing differs, and nobody is in an instance or holds one.
    package var isClean: Bool {
        host.isEmpty && services.allSatisfy { $0.instances.isEmpty && $0.tainted.isEmpty }
    }
}

extension ServiceController {
    /// What of this service differs now, as far as it wants to know.
    func drift() async throws -> DriftReport.ServiceDrift {
        let (seen, now) = (try await observe(), world.clock.now)
        let (state, releases) = (machine.state, machine.releases)
        var instances: [InstanceID: [Drift]] = [:]
        for instance in seen.instances.values {
            let rules = releases[instance.release]?.content.drift ?? DriftSettings()
            let found = instance.drifts.filter { rules.mode(for: $0.kind, at: now) != .off }
            // What was over in a moment is remembered with the taint.
            let remembered = (state.tainted(instance.id)?.drifts ?? []).filter {
                !found.contains($0)
            }
            if !found.isEmpty || !remembered.isEmpty { instances[instance.id] = found + remembered }
        }
        return DriftReport.ServiceDrift(
            key: key, mode: state.current.flatMap { releases[$0]?.content.drift?.mode } ?? .replace,
            isHalted: state.drift?.answered.contains(where: \.isHalted) ?? false, instances: instances,
            tainted: state.tainted)
    }
}
