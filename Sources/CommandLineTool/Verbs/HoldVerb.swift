internal import ArgumentParser
internal import Model
internal import WireAPI

struct Hold: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Keep an instance for forensics: out of traffic, with another in its place.",
        discussion: """
            It runs on as it is until its time is over or --end; then it is removed. Who may is said by
            break-glass in ROOT/policy.yaml, as with `kiln exec`; a session in a held instance does not end it.

            Examples:
              sudo kiln hold hello-r2-5 --reason "INC-12: answers with 500"
              sudo kiln hold hello-r2-5 --reason "for the auditors" --for 3d
              sudo kiln hold hello-r2-5 --end
            """)

    @Argument(help: "The instance, such as hello-r2-5.", completion: .instances)
    var instance: String
    @Option(name: .shortAndLong, help: "Why; the ledger keeps it.")
    var reason: String?
    @Option(
        name: .customLong("for"),
        help: ArgumentHelp(
            "How long at most, such as 12h; \(Session.Limit.longestHold) is the most.", valueName: "time"))
    var time: String = "\(Session.Limit.usualHold)"
    @Flag(help: "Hold it no longer: it is replaced.")
    var end = false
    @OptionGroup var daemon: DaemonOptions
    @OptionGroup var output: OutputOptions

    func validate() throws {
        if end == (reason != nil) {
            throw ValidationError(
                end
                    ? "--end takes no reason"
                    : "A reason is needed: --reason \"…\", or --end to hold it no longer")
        }
    }

    func run() async throws {
        let path = WirePath.hold(try InstanceID(instance))
        let span = try Span(option: time, name: "--for")
        let answer: HoldAnswer = try await daemon.withDaemon { client in
            guard let reason else { return try await client.delete(path, PlainRequest()) }
            return try await client.post(path, HoldRequest(reason: reason, span: span))
        }
        guard output.output == .text else { return try Screen.answer(answer) }
        Screen.answer(
            answer.until.map { "\(answer.instance) is held until \($0); another takes its place" }
                ?? "\(answer.instance) is held no longer: it is replaced")
    }
}
