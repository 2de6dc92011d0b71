internal import ArgumentParser
internal import Model
internal import WireAPI

struct Rollback: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Put an older release back: the last good one, unless you name another.",
        discussion: """
            All of the release comes back: image, config, settings. Where it is kept as a standby that
            takes milliseconds; else its instances are launched first. During a deploy this aborts it.

            Examples:
              kiln rollback hello
              kiln rollback hello --to r3 --message "r4 leaks memory"
            """)

    @OptionGroup var service: ServiceArgument
    @Option(help: "The release to go back to, such as r3.")
    var to: String?
    @Flag(help: "Return at once; do not wait until it serves.")
    var detach = false
    @OptionGroup var why: MessageOptions
    @OptionGroup var daemon: DaemonOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let key = try service.key()
        let target = try to.map { try ReleaseNumber(parsing: $0) }
        try await daemon.withDaemon { client in
            let answer: RolloutAnswer = try await client.post(
                WirePath.rollback(key), RollbackRequest(to: target, message: why.message))
            try await RolloutEnd.report(answer, client, key, detach: detach, output.output, isAbortFine: true)
        }
    }
}

/// What deploy and rollback do once their rollout has begun.
enum RolloutEnd {
    /// Follows the rollout unless told not to, and answers with how it ended.
    static func report(
        _ answer: RolloutAnswer, _ client: DaemonClient, _ key: ServiceKey, detach: Bool,
        _ output: OutputFormat,
        isAbortFine: Bool = false
    ) async throws {
        var answer = answer
        if let queued = answer.queued {
            if detach, output == .json { return try Screen.answer(answer) }
            let before = counted(answer.behind ?? 1, "rollout")
            let text = "\(queued.to) waits for \(before) before it"
            if detach { return Screen.answer("\(text); `kiln rollout status \(key)` shows how far that is") }
            if output == .text { Screen.tell(text) }
            answer = try await RolloutFollower(client: client, key: key, isQuiet: output == .json)
                .awaitTurn(queued, after: answer.eventsAfter)
        }
        guard answer.rollout != nil else {
            if output == .json { return try Screen.answer(answer) }
            return Screen.answer("\(key) serves this release already; nothing to do")
        }
        guard !detach else {
            if output == .json { return try Screen.answer(answer) }
            return Screen.answer("begun; follow it with `kiln rollout status \(key) --watch`")
        }
        let follower = RolloutFollower(client: client, key: key, isQuiet: output == .json)
        let (rollout, events) = try await follower.follow(answer)
        let wasAborted = if case .rolledBack = rollout.outcome { isAbortFine } else { false }
        if !wasAborted { try follower.requireSuccess(rollout, events) }
        switch output {
        case .json: try Screen.answer(rollout)
        case .text:
            Screen.answer(wasAborted ? rollout.outcomeText : "\(rollout.to) serves")
            if let traffic = rollout.traffic { Screen.answer(traffic.text) }
        }
    }
}
