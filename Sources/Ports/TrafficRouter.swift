package import Model

/// What splits traffic over instances. Its live state is derived: routes can be applied again at any time.
package protocol TrafficRouter: Sendable {
    func observe() async throws -> ObservedRouter

    /// Makes the router do exactly what `route` says for its service, without touching other services and without
    /// cutting a connection. Starts the router process where it is not running.
    func apply(_ route: Route) async throws

    /// Puts back whatever it was found to do otherwise than it was told (`ObservedRouter.drifts`).
    func setRight() async throws

    /// Stops listening for a service and forgets its servers. A service without a route is already removed.
    func remove(_ key: ServiceKey) async throws
}
