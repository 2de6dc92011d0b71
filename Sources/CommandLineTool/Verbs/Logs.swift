internal import ArgumentParser
internal import Model
internal import WireAPI

struct Logs: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show what instances wrote.",
        discussion: """
            Names a service (all its present instances) or one instance, also one that is gone.

            Examples:
              kiln logs hello
              kiln logs hello-r2-5 --lines 500
            """)

    @Argument(help: "A service or an instance.")
    var name: String
    @Option(name: .shortAndLong, help: "How many of the newest lines of each instance.")
    var lines: Int = 100
    @OptionGroup var daemon: DaemonOptions
    @OptionGroup var output: OutputOptions

    struct Answer: Encodable { var instances: [String: [LogLine]] }

    func run() async throws {
        let logs = try await daemon.withDaemon { client in
            let services = try await client.get(WirePath.status, as: StatusAnswer.self).services
            let mine = services.first { "\($0.key)" == name }
            let ids = try mine?.instances.map(\.id) ?? [InstanceID(name)]
            var logs: [(InstanceID, [LogLine])] = []
            for id in ids {
                let path = WirePath.log(id) + "?lines=\(lines)"
                logs.append((id, try await client.get(path, as: LogAnswer.self).lines))
            }
            return logs
        }
        guard output.output == .text else {
            return try Screen.answer(
                Answer(instances: Dictionary(uniqueKeysWithValues: logs.map { ($0.0.text, $0.1) })))
        }
        let merged = logs.flatMap { id, lines in lines.map { (id, $0) } }.sorted { $0.1.at < $1.1.at }
        for (id, line) in merged {
            let prefix = logs.count > 1 ? Screen.coloured("\(id) ", .faint) : ""
            Screen.answer("\(prefix)\(line.at) \(line.text)")
        }
    }
}
