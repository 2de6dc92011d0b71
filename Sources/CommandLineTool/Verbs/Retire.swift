internal import ArgumentParser
internal import Model
internal import WireAPI

struct Retire: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Stop a service and remove all that runs of it.",
        discussion: """
            Requests in flight are finished first. Images, history and logs stay.

            Examples:
              kiln retire hello --message "moved to the other host"
              kiln retire --all
            """)

    @Argument(help: "The service, as in kiln.yaml; service@environment outside production.")
    var service: String?
    @Flag(help: "Every service of this daemon.")
    var all = false
    @OptionGroup var why: MessageOptions
    @OptionGroup var daemon: DaemonOptions
    @OptionGroup var output: OutputOptions

    /// How often to look whether it is gone, and how often at most: ten minutes in all.
    static let pause = Duration.milliseconds(100)
    static let looks = 6000

    struct Answer: Encodable { var retired: [ServiceKey] }

    func validate() throws {
        guard (service == nil) == all else { throw ValidationError("Name one service, or say --all.") }
    }

    func run() async throws {
        try await daemon.withDaemon { client in
            let keys: [ServiceKey]
            if let service {
                keys = [try ServiceKey(parsing: service)]
            } else {
                keys = try await client.get(WirePath.status, as: StatusAnswer.self).services.map(\.key)
            }
            let request = PlainRequest(message: why.message)
            for key in keys {
                let _: ServiceStatus = try await client.delete(WirePath.service(key), request)
            }
            for key in keys { try await waitUntilGone(key, client) }
            switch output.output {
            case .json: try Screen.answer(Answer(retired: keys))
            case .text:
                for key in keys { Screen.answer("\(key) is retired") }
            }
        }
    }

    private func waitUntilGone(_ key: ServiceKey, _ client: DaemonClient) async throws {
        for _ in 1...Retire.looks {
            let services = try await client.get(WirePath.status, as: StatusAnswer.self).services
            if !services.contains(where: { $0.key == key }) { return }
            try await Task.sleep(for: Retire.pause)
        }
        throw Failure(
            .timedOut, "\(key) is still being retired", suggestion: "`kiln history \(key)` tells why")
    }
}
