internal import ArgumentParser
internal import Model

struct Serve: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Run the daemon: keep services as they were declared.",
        discussion: """
            Stopping the daemon (Ctrl-C, SIGTERM, even kill -9) leaves services running; the next daemon
            with the same --root takes them up. With --ephemeral it retires everything when it stops.

            What is done is logged, and a signed checkpoint of the log is written a few seconds later: into
            ROOT/ledger/checkpoint, into each --checkpoint-file, which is best on another machine's disk, and
            before each --witness. The daemon refuses to start on a log that is shorter than what any of them
            tells, or another one.

            Examples:
              sudo kiln serve
              sudo kiln serve --checkpoint-file /mnt/elsewhere/checkpoint
              sudo kiln serve --root /tmp/try --ephemeral
            """)

    @OptionGroup var daemon: DaemonOptions
    @Flag(help: "Retire every service and leave nothing behind when the daemon stops.")
    var ephemeral = false
    @Option(
        help: ArgumentHelp(
            "A file for the ledger's newest checkpoint, best on another machine's disk. Repeatable.",
            valueName: "path"), completion: .file())
    var checkpointFile: [String] = []
    @OptionGroup var witnesses: WitnessOptions
    @Option(
        help: ArgumentHelp(
            "How often registries are asked whether the tags of what runs were moved, or off.",
            valueName: "span"))
    var watchTags = "6h"
    @OptionGroup var registry: RegistryOptions
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
        let interval = try tagInterval()
        let registries = try registry.settings()
        try await Adapters.require().serve(
            ServeSettings(
                root: daemon.root.path, socket: daemon.socketPath, isEphemeral: ephemeral, isVerbose: verbose,
                ledgerName: witnesses.ledgerName, checkpointFiles: checkpointFile,
                witnesses: try witnesses.witnesses(), watchTags: interval,
                images: { BaseImagePuller(store: $0, folder: "/", settings: registries) }))
    }

    /// nil: nobody asks.
    private func tagInterval() throws -> Span? {
        if watchTags == "off" { return nil }
        guard let span = Span(watchTags), span >= .seconds(1), span <= .seconds(30 * 86_400) else {
            throw Failure(
                .invalidArgument, "\"\(watchTags)\" is no time between two looks", at: "--watch-tags",
                suggestion: "write 6h, any time from 1s to 30d, or off")
        }
        return span
    }
}
