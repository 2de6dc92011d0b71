package import Execution
internal import Glibc
package import Hummingbird
package import Logging

/// The API on a Unix socket that only its owner may use.
package enum APIServer {
    /// - Parameter isForOthers: whether other users may connect as well. Who may do what is asked at each request, by what
    ///   the kernel says of the caller.
    package static func make(
        _ controller: Controller, breakGlass: BreakGlass? = nil, socket: String, isForOthers: Bool = false,
        logger: Logger
    ) -> Application<RouterResponder<PeerContext>> {
        Application(
            router: APIRoutes.router(controller, breakGlass: breakGlass),
            configuration: .init(address: .unixDomainSocket(path: socket), serverName: "kiln"),
            onServerRunning: { _ in if isForOthers { chmod(socket, 0o666) } },
            logger: logger)
    }
}
