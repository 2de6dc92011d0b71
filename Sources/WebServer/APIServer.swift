package import Execution
package import Hummingbird
package import Logging

/// The API on a Unix socket that only its owner may use.
package enum APIServer {
    package static func make(
        _ controller: Controller, socket: String, logger: Logger
    ) -> Application<RouterResponder<PeerContext>> {
        Application(
            router: APIRoutes.router(controller),
            configuration: .init(address: .unixDomainSocket(path: socket), serverName: "kiln"),
            logger: logger)
    }
}
