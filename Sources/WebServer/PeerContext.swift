internal import Glibc
package import Hummingbird
internal import Model
internal import NIOCore

/// What a request handler knows of the connection: above all, which user is at the other end.
package struct PeerContext: RequestContext {
    package var coreContext: CoreRequestContextStorage
    private let channel: any Channel

    package init(source: ApplicationRequestContextSource) {
        coreContext = .init(source: source)
        channel = source.channel
    }

    /// `struct ucred` of socket(7): what the kernel itself says of the process that connected.
    private struct Credentials {
        var process: Int32 = 0
        var user: UInt32 = .max
        var group: UInt32 = .max
    }

    /// The user id of the caller, from the kernel; it cannot be forged.
    func callerID() async throws -> UInt32 {
        guard let provider = channel as? any SocketOptionProvider else {
            throw Failure(.notPermitted, "this connection does not tell who calls")
        }
        let credentials: Credentials = try await provider.unsafeGetSocketOption(
            level: .socket, name: .init(rawValue: SO_PEERCRED)
        ).get()
        return credentials.user
    }

    /// The caller's name for the ledger; refuses everyone but root and the user that the daemon runs as.
    func operatorName() async throws -> String {
        let caller = try await callerID()
        guard caller == 0 || caller == geteuid() else {
            throw Failure(
                .notPermitted, "user \(caller) may not use this daemon",
                suggestion: "run the command with sudo")
        }
        return "uid:\(caller)"
    }
}
