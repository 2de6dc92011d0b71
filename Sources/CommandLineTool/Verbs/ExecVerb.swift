internal import ArgumentParser
internal import Foundation
internal import Model
internal import WireAPI

/// What every session is asked for with.
struct SessionOptions: ParsableArguments {
    @Argument(help: "The instance, such as hello-r2-5.", completion: .instances)
    var instance: String
    @Option(name: .shortAndLong, help: "Why; the ledger keeps it.")
    var reason: String
    @Option(
        name: .customLong("for"),
        help: ArgumentHelp(
            "How long at most, such as 5m; \(Session.Limit.longest) is the most.", valueName: "time"))
    var time: String = "\(Session.Limit.usual)"
    @Flag(help: "Leave the instance in traffic meanwhile.")
    var inTraffic = false
    @OptionGroup var daemon: DaemonOptions

    /// Opens a session, carries it, and ends with the status of its command.
    func run(_ kind: Session.Kind, _ command: [String], image: Digest? = nil) async throws {
        let id = try InstanceID(instance)
        let terminal = SessionClient.terminal()
        let request = OpenSessionRequest(
            kind: kind, command: command, reason: reason, span: try Span(option: time, name: "--for"),
            isInTraffic: inTraffic, terminal: terminal, image: image)
        let answer = try await daemon.withDaemon {
            try await $0.post(WirePath.sessions(id), request, as: SessionAnswer.self)
        }
        for line in SessionOptions.greeting(answer) { Screen.tell(line) }
        let end = try await SessionClient(socket: answer.socket, isTerminal: terminal != nil).run()
        let status = try end.passedOn()
        if status != 0 { throw ExitCode(status) }
    }

    private static func greeting(_ answer: SessionAnswer) -> [String] {
        let session = answer.session
        let fate =
            session.endsInstance ? "is replaced afterwards" : "is held, and stays when this is over"
        let traffic = session.isInTraffic ? "keeps its traffic" : "takes no traffic"
        return [
            "session \(session.number) in \(session.instance), until \(session.until)",
            "recorded in \(answer.recording), what you type included",
            "the instance \(traffic) and \(fate)",
        ]
    }
}

extension Span {
    init(option text: String, name: String) throws {
        guard let span = Span(text) else {
            throw Failure(
                .invalidArgument, "\(name) is \"\(text)\", which is no time", suggestion: "write \(name) 15m")
        }
        self = span
    }
}

extension CompletionKind {
    /// The names of instances that run here.
    static let instances = CompletionKind.shellCommand(
        #"kiln status 2>/dev/null | sed -n 's/^  \([a-z0-9-]*-r[0-9]*-[0-9]*\) .*/\1/p'"#)
}

struct Exec: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Run a command inside an instance, for a reason; the instance is replaced afterwards.",
        discussion: """
            For emergencies. Who may is said by break-glass in ROOT/policy.yaml: root, unless it says more. The
            ledger has it before anything runs. What is shown and what is typed is recorded. The instance leaves
            the router, gets a replacement, and goes when the command ends, its time is over, or you are gone.
            The command has the rights of the instance and no more. Its exit status is passed on.

            Examples:
              sudo kiln exec hello-r2-5 --reason "INC-12: stuck queue" -- sh
              sudo kiln exec hello-r2-5 --reason "heap dump" --for 5m --in-traffic -- jcmd 1 GC.heap_dump /tmp/h
              sudo kiln exec hello-r2-5 --reason "copy out" -- cat /tmp/h > h
            """)

    @OptionGroup var session: SessionOptions
    @Argument(parsing: .postTerminator, help: "The command and its arguments, after --.")
    var command: [String] = []

    func run() async throws { try await session.run(.exec, command) }
}

struct Debug: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Run a command of a tool image beside an instance that has no shell.",
        discussion: """
            The command sees the instance's processes, network and host name; its own files are those of the
            tool image, and the instance's are below /proc/1/root. The tool image has to be in the store, and to
            prove what every image has to prove on this host. All else is as with `kiln exec`.

            Examples:
              kiln pull registry.example/tools:v3 && \\
              sudo kiln debug hello-r2-5 --image tools --reason "INC-12: who connects?" -- ss -tnp
              sudo kiln debug hello-r2-5 --image sha256:4f1c --reason "INC-12"
            """)

    @OptionGroup var session: SessionOptions
    @Option(help: "The tool image: a digest, or enough of its beginning, a name, or a service.")
    var image: String
    @Argument(
        parsing: .postTerminator, help: "The command and its arguments, after --; sh where there is none.")
    var command: [String] = []

    func run() async throws {
        // Whoever may not read the store names the whole digest.
        let digest =
            try (try? Digest(parsing: image))
            ?? ImageName.find(image, in: try session.daemon.root.openStore()).digest
        try await session.run(.debug, command.isEmpty ? ["sh"] : command, image: digest)
    }
}
