internal import ArgumentParser
internal import Foundation
internal import Model
internal import WireAPI

struct Status: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show what runs now.",
        discussion: """
            In a folder with a kiln.yaml it says, too, where the spec is ahead of what runs.

            Examples:
              kiln status                 every service
              kiln status hello           one service, with its instances
              kiln status --output json   for programs
            """)

    @Argument(help: "One service only.")
    var service: String?

    @OptionGroup var daemon: DaemonOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let (services, news): ([ServiceStatus], [String]) = try await daemon.withDaemon { client in
            let found = try await look(client)
            return (found, output.output == .text ? await SpecNews.look(found, client) : [])
        }
        switch output.output {
        case .json: try Screen.answer(StatusAnswer(services: services))
        case .text where services.isEmpty: Screen.answer("nothing runs here")
        case .text: Screen.answer(services.map(\.text).joined(separator: "\n\n"))
        }
        for line in news { Screen.note(line) }
    }

    private func look(_ client: DaemonClient) async throws -> [ServiceStatus] {
        guard let service else {
            return try await client.get(WirePath.status, as: StatusAnswer.self).services
        }
        let key = try ServiceKey(parsing: service)
        return [try await client.get(WirePath.service(key), as: ServiceStatus.self)]
    }
}

extension ServiceStatus {
    /// One paragraph for people.
    var text: String {
        let now = Instant.fromClock
        let name = Screen.coloured("\(key)", .bold)
        var lines = ["\(name)  \(headline)"]
        if let rollout, let wait = rollout.wait(in: key, deadline: nil) {
            lines.append(
                "  \(rollout.kind.rawValue) of \(rollout.to), \(rollout.place): \(wait.text(at: now))")
        }
        if let queued, !queued.isEmpty {
            lines.append("  waiting: " + queued.map { "\($0.to)" }.joined(separator: ", "))
        }
        if rollout == nil, let lastRollout, lastRollout.outcome != .succeeded {
            lines.append("  " + Screen.coloured("last rollout: \(lastRollout.outcomeText)", .yellow))
        }
        lines += driftLines
        let rows = instances.map { instance in
            [
                "  \(instance.id)", instance.phase.rawValue, instance.health.rawValue,
                instance.work, instance.address,
                (now - instance.startedAt).readable,
            ]
        }
        if !rows.isEmpty { lines.append(Screen.table(rows)) }
        return lines.joined(separator: "\n")
    }

    /// What differs from the release, and who is in which instance.
    private var driftLines: [String] {
        var lines: [String] = []
        if let drifting, drifting > 0 {
            let told = "\(counted(drifting, "instance")) drifted: `kiln drift \(key)` says how"
            lines.append("  " + Screen.coloured(told, .red))
        }
        lines += (tainted ?? []).map { "  " + Screen.coloured($0.line, .yellow) }
        lines += (movedTags ?? []).map { "  " + Screen.coloured($0.message, .yellow) }
        return lines
    }

    private var headline: String {
        guard let current else { return isRetiring ? "is being retired" : "has no release that serves" }
        let serving = instances.count { $0.release == current && $0.role == .serve && $0.weight > 0 }
        let image = image.map { "image sha256:\($0.short)" } ?? ""
        let place = listen.map { " at \($0)" } ?? ""
        let standby =
            standbys.isEmpty ? "" : ", standby \(standbys.map(\.description).joined(separator: " "))"
        return "\(current) serves\(place): \(serving) of \(replicas), \(image)\(standby)"
    }
}

extension InstanceStatus {
    /// What it does now.
    fileprivate var work: String {
        switch role {
        case .task: "runs a gate's command"
        case .baseline: "serves, to be compared with"
        case .serve: weight > 0 ? "serving" : "no traffic"
        }
    }
}

extension Rollout {
    var outcomeText: String {
        switch outcome {
        case .succeeded: "\(to) succeeded"
        case .rolledBack(let reason): "\(to) was rolled back: \(reason)"
        case .failed(let reason): "\(to) failed: \(reason)"
        case .superseded: "\(to) was superseded"
        case nil: "\(to) is under way"
        }
    }
}
