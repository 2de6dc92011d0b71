internal import ArgumentParser
internal import Model
internal import WireAPI

struct Scale: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Run more or fewer instances of a service.",
        discussion: """
            The count stands until the spec's own `replicas` changes.

            Examples:
              kiln scale hello 5
              kiln scale hello 12 --message "sale on Friday"
            """)

    @OptionGroup var service: ServiceArgument
    @Argument(help: "How many instances serve, 1 to 1000.")
    var replicas: Int
    @OptionGroup var why: MessageOptions
    @OptionGroup var daemon: DaemonOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let key = try service.key()
        let status: ServiceStatus = try await daemon.withDaemon {
            try await $0.post(WirePath.scale(key), ScaleRequest(replicas: replicas, message: why.message))
        }
        switch output.output {
        case .json: try Screen.answer(status)
        case .text:
            Screen.answer(
                "\(key) goes to \(counted(replicas, "instance")); `kiln status \(key)` shows how far it is")
        }
    }
}
