internal import ArgumentParser
internal import Model
internal import WireAPI

struct History: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "List the releases of a service, and how each rollout ended.",
        discussion: """
            Examples:
              kiln history hello                 releases and rollouts, newest last
              kiln history hello --events        everything that happened
              kiln history hello --output json
            """)

    @OptionGroup var service: ServiceArgument
    @Flag(help: "Show every event.")
    var events = false
    @OptionGroup var daemon: DaemonOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let key = try service.key()
        let history = try await daemon.withDaemon {
            try await $0.get(WirePath.history(key), as: HistoryAnswer.self)
        }
        guard output.output == .text else { return try Screen.answer(history) }
        let rows = history.releases.map { release in
            [
                "\(release.number)", "\(release.createdAt)", "sha256:\(release.content.image.short)",
                release.by,
                verdict(release.number, history), release.message,
            ]
        }
        Screen.answer(Screen.table(rows))
        if let ends = history.ends, !ends.isEmpty {
            Screen.answer("\nrollouts:\n" + Screen.table(ends.map(\.row)))
        }
        guard events else { return }
        Screen.answer("")
        for event in history.events {
            Screen.answer("\(event.at)  \(event.note.kind.rawValue)  \(event.note.message)")
        }
    }

    private func verdict(_ release: ReleaseNumber, _ history: HistoryAnswer) -> String {
        if release == history.current { return "serves" }
        if history.good.contains(release) { return "good" }
        return history.ends?.last { $0.release == release }?.outcome ?? "-"
    }
}

extension RolloutRecord {
    var row: [String] {
        [
            "\(at)", release.map { "\($0)" } ?? "-", outcome, traffic?.text ?? "not counted", message,
        ]
    }
}
