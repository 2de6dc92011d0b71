internal import ArgumentParser
internal import Model
internal import WireAPI

struct Repave: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Replace every instance of a service by a fresh one of the same release.",
        discussion: """
            A quarter of the instances at a time, each only when its successor serves. Standbys are replaced, too.
            `max-age: 7d` in the spec does it by itself. What drift had been given up is answered again.

            Examples:
              kiln repave hello
              kiln repave hello --message "after last night's break-in"
            """)

    @OptionGroup var service: ServiceArgument
    @OptionGroup var why: MessageOptions
    @OptionGroup var daemon: DaemonOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let key = try service.key()
        let status: ServiceStatus = try await daemon.withDaemon {
            try await $0.post(WirePath.repave(key), PlainRequest(message: why.message))
        }
        switch output.output {
        case .json: try Screen.answer(status)
        case .text:
            Screen.answer(
                "every instance of \(key) is replaced; `kiln status \(key)` shows how far it is")
        }
    }
}
