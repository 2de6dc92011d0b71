package import Model

extension WirePath {
    package static let drift = "/v1/drift"
}

/// All that differs from what was released, now.
package struct DriftAnswer: Sendable, Codable {
    /// Of the host itself.
    package var host: [Drift]
    package var services: [ServiceDriftStatus]

    package init(host: [Drift], services: [ServiceDriftStatus]) {
        self.host = host
        self.services = services
    }

    package var isEmpty: Bool { host.isEmpty && services.allSatisfy { $0.instances.isEmpty } }
}

package struct ServiceDriftStatus: Sendable, Codable {
    package var key: ServiceKey
    package var mode: DriftSettings.Mode
    /// The same drift came back too often: a person has to look.
    package var isHalted: Bool
    package var instances: [InstanceDrift]
    /// Instances that a person was in or holds, or that drifted, until they are gone.
    package var tainted: [TaintedInstance]
    /// Names in registries that stand for other images than when the release was made; nothing that runs differs.
    package var tags: [Drift]?

    package init(
        key: ServiceKey, mode: DriftSettings.Mode, isHalted: Bool, instances: [InstanceDrift],
        tainted: [TaintedInstance], tags: [Drift]? = nil
    ) {
        self.tags = tags
        self.key = key
        self.mode = mode
        self.isHalted = isHalted
        self.instances = instances
        self.tainted = tainted
    }
}

package struct InstanceDrift: Sendable, Codable {
    package var id: InstanceID
    package var drifts: [Drift]
    package init(id: InstanceID, drifts: [Drift]) {
        self.id = id
        self.drifts = drifts
    }
}
