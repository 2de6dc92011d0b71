internal import ArgumentParser
internal import Model
internal import Trust
internal import WireAPI

struct RolloutVerb: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rollout",
        abstract: "Look at a rollout that is under way, and say how it goes on.",
        discussion: """
            Examples:
              kiln rollout status hello --watch    follow it; Ctrl-C leaves it alone
              kiln rollout pause hello             keep it where it is; --message says why
              kiln rollout resume hello            go on
              kiln rollout approve hello           say yes to the gate that waits
              kiln rollout request hello           what it asks, to be signed on another machine
              kiln rollout promote hello           all traffic to the new release, now
              kiln rollout abort hello             all traffic back to the old one
            """,
        subcommands: [
            RolloutStatusVerb.self, RolloutPause.self, RolloutResume.self, RolloutApprove.self,
            RolloutRequest.self, RolloutPromote.self, RolloutAbort.self,
        ])
}

/// What all verbs share that say something to a rollout.
struct RolloutOptions: ParsableArguments {
    @OptionGroup var service: ServiceArgument
    @OptionGroup var daemon: DaemonOptions
    @OptionGroup var output: OutputOptions

    func say(
        _ control: RolloutControl, gate: String? = nil, approval: [UInt8]? = nil,
        saying message: String? = nil,
        _ words: (Rollout) -> String
    ) async throws {
        let key = try service.key()
        let answer: RolloutAnswer = try await daemon.withDaemon {
            try await $0.post(
                WirePath.rollout(key, control),
                RolloutControlRequest(
                    gate: gate, approval: approval.map { Base64.encode($0) }, message: message))
        }
        guard output.output == .text, let rollout = answer.rollout else { return try Screen.answer(answer) }
        Screen.answer("\(key): \(words(rollout))")
    }
}

struct RolloutPause: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pause",
        abstract: "Keep a rollout where it is.",
        discussion: """
            Traffic stays split as it is. A new release that fails meanwhile is still taken back.

            Example:
              kiln rollout pause hello
            """)

    @OptionGroup var why: MessageOptions
    @OptionGroup var options: RolloutOptions

    func run() async throws {
        let key = try options.service.key()
        try await options.say(.pause, saying: why.message) {
            "\($0.to) stays at \($0.place); \(Hint.resume(key))"
        }
    }
}

struct RolloutResume: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "resume",
        abstract: "Go on with a paused rollout.",
        discussion: """
            Also where its steps paused it, or a gate without an answer, or too little traffic to compare:
            then it goes on without waiting for that. A gate that takes signed approvals stays shut.

            Example:
              kiln rollout resume hello
            """)

    @OptionGroup var why: MessageOptions
    @OptionGroup var options: RolloutOptions

    func run() async throws {
        try await options.say(.resume, saying: why.message) { "\($0.to) goes on from \($0.place)" }
    }
}

struct RolloutPromote: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "promote",
        abstract: "Give the new release all traffic next, without the steps before that.",
        discussion: """
            It is still watched, and taken back if it fails. It goes around no gate that takes signed approvals.

            Example:
              kiln rollout promote hello
            """)

    @OptionGroup var why: MessageOptions
    @OptionGroup var options: RolloutOptions

    func run() async throws {
        try await options.say(.promote, saying: why.message) { "\($0.to) is given all traffic next" }
    }
}

struct RolloutAbort: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "abort",
        abstract: "Give all traffic back to the old release, and remove the new one.",
        discussion: """
            Waits until the old release has its traffic back.

            Examples:
              kiln rollout abort hello
              kiln rollout abort hello --detach
            """)

    @Flag(help: "Return at once; do not wait until the old release has its traffic back.")
    var detach = false
    @OptionGroup var why: MessageOptions
    @OptionGroup var options: RolloutOptions

    func run() async throws {
        let key = try options.service.key()
        let output = options.output.output
        try await options.daemon.withDaemon { client in
            let answer: RolloutAnswer = try await client.post(
                WirePath.rollout(key, .abort), RolloutControlRequest(message: why.message))
            try await RolloutEnd.report(answer, client, key, detach: detach, output, isAbortFine: true)
        }
    }
}

struct RolloutStatusVerb: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Show how far a rollout is, what it waits for and what it has counted.",
        discussion: """
            Of a service without a rollout under way it shows the last one. With --watch it follows the
            rollout to its end, and ends with 0 when the new release serves, with 1 when it was taken back.

            Examples:
              kiln rollout status hello
              kiln rollout status hello --watch
              kiln rollout status hello --output json
            """)

    @Flag(name: .shortAndLong, help: "Follow it to its end. Ctrl-C leaves the rollout alone.")
    var watch = false
    @OptionGroup var options: RolloutOptions

    func run() async throws {
        let key = try options.service.key()
        try await options.daemon.withDaemon { client in
            let status: RolloutStatus = try await client.get(WirePath.rollout(key))
            guard watch else { return try answer(status) }
            let watcher = RolloutWatch(client: client, key: key, output: options.output.output)
            let ended = try await watcher.follow(status)
            do {
                try ended.rollout.requireSuccess(of: key)
            } catch let failure as Failure where options.output.output == .json {
                // One document: the outcome is in it, and the exit code says the rest.
                try Screen.answer(ended)
                throw ExitCode(failure.exitCode)
            }
            if options.output.output == .json { try Screen.answer(ended) }
        }
    }

    private func answer(_ status: RolloutStatus) throws {
        switch options.output.output {
        case .json: try Screen.answer(status)
        case .text: Screen.answer(status.text(at: .fromClock))
        }
    }
}
