internal import Execution
internal import Hummingbird
internal import Model
internal import WireAPI

/// What differs from what was released.
enum DriftRoutes {
    static func add(to router: Router<PeerContext>, _ controller: Controller) {
        router.get("v1/drift") { _, _ in try Coding.answer(try await controller.drift().answer) }
    }
}

extension DriftReport {
    /// The wire form, instances in the order of their names.
    fileprivate var answer: DriftAnswer {
        DriftAnswer(
            host: host,
            services: services.map { service in
                ServiceDriftStatus(
                    key: service.key, mode: service.mode, isHalted: service.isHalted,
                    instances: service.instances.sorted { $0.key < $1.key }.map {
                        InstanceDrift(id: $0.key, drifts: $0.value)
                    }, tainted: service.tainted.sorted { $0.id < $1.id },
                    tags: service.tags.isEmpty ? nil : service.tags)
            })
    }
}
