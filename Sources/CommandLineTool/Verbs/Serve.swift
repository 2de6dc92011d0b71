internal import ArgumentParser
internal import Model

struct Serve: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Run the daemon: keep services as they were declared.",
        discussion: """
            Stopping the daemon (Ctrl-C, SIGTERM, even kill -9) leaves services running; the next daemon
            with the same --root takes them up. With --ephemeral it retires everything when it stops.

            Examples:
              sudo kiln serve
              sudo kiln serve --root /tmp/try --ephemeral
            """)

    @OptionGroup var daemon: DaemonOptions
    @Flag(help: "Retire every service and leave nothing behind when the daemon stops.")
    var ephemeral = false
    @Flag(name: .shortAndLong, help: "Tell more of what goes on.")
    var verbose = false

    /// `sun_path` of unix(7), with its ending zero.
    static let longestSocketPath = 107

    func run() async throws {
        guard daemon.socketPath.utf8.count <= Serve.longestSocketPath else {
            throw Failure(
                .invalidArgument, "a socket's path has at most \(Serve.longestSocketPath) bytes",
                at: daemon.socketPath, suggestion: "name a shorter one with --socket")
        }
        try await Adapters.require().serve(
            ServeSettings(
                root: daemon.root.path, socket: daemon.socketPath, isEphemeral: ephemeral, isVerbose: verbose)
        )
    }
}
