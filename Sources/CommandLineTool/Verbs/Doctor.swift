internal import ArgumentParser
internal import Model

struct Doctor: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Say what this host lacks, and the command that installs it.",
        discussion: """
            Examples:
              kiln doctor
              kiln doctor --output json
            """)

    @OptionGroup var output: OutputOptions

    struct Answer: Encodable { var isFine: Bool; var checks: [HostCheck] }

    func run() async throws {
        let checks = try await Adapters.require().examineHost()
        let isFine = checks.allSatisfy(\.isFine)
        switch output.output {
        case .json: try Screen.answer(Answer(isFine: isFine, checks: checks))
        case .text:
            let rows = checks.map { check in
                [
                    check.isFine ? Screen.coloured("ok", .green) : Screen.coloured("missing", .red),
                    check.name,
                    check.found + (check.isFine ? "" : check.suggestion.map { "  → \($0)" } ?? ""),
                ]
            }
            Screen.answer(Screen.table(rows))
        }
        if !isFine { throw ExitCode(1) }
    }
}
