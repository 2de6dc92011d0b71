internal import ArgumentParser
internal import Model
internal import WireAPI

struct DriftVerb: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "drift",
        abstract: "Show what runs other than it was released: where, since when, and what is done about it.",
        discussion: """
            Ends with 0 where nothing drifts, with 1 where something does, and with 3 where no daemon answers:
            fit for cron and CI. What people hold or were in is shown, and does not count; nor does a name in a
            registry that was moved since the release was made.

            Examples:
              kiln drift
              kiln drift hello --output json
              kiln drift --watch
            """)

    @Argument(help: "One service only; what drifts on the host is left out then.")
    var service: String?
    @Flag(help: "Go on until Ctrl-C, and show every change.")
    var watch = false
    @OptionGroup var daemon: DaemonOptions
    @OptionGroup var output: OutputOptions

    /// How often a watch looks.
    private static let pause = 1000

    func run() async throws {
        let key = try service.map { try ServiceKey(parsing: $0) }
        let (daemon, output) = (daemon, output.output)
        guard watch else {
            let answer = try await DriftVerb.look(daemon, key)
            try DriftVerb.show(answer, output)
            if answer.drifts { throw ExitCode(1) }
            return
        }
        do {
            try await Interruption.cancelling { try await DriftVerb.follow(daemon, key, output) }
        } catch is CancellationError {}
    }

    private static func follow(_ daemon: DaemonOptions, _ key: ServiceKey?, _ output: OutputFormat)
        async throws
    {
        var picture = ScreenPicture()
        var last: String?
        while true {
            let answer = try await look(daemon, key)
            let text = answer.text(at: .fromClock)
            if output == .text, Screen.canRedraw {
                picture.draw(text)
            } else if last != answer.fingerprint {
                try show(answer, output)
            }
            last = answer.fingerprint
            try await Task.sleep(for: .milliseconds(pause))
        }
    }

    private static func look(_ daemon: DaemonOptions, _ key: ServiceKey?) async throws -> DriftAnswer {
        var answer: DriftAnswer = try await daemon.withDaemon { try await $0.get(WirePath.drift) }
        guard let key else { return answer }
        answer.host = []
        answer.services = answer.services.filter { $0.key == key }
        guard !answer.services.isEmpty else {
            throw Failure(
                .notFound, "no service \(key) runs here", suggestion: "`kiln status` lists what does")
        }
        return answer
    }

    private static func show(_ answer: DriftAnswer, _ output: OutputFormat) throws {
        switch output {
        case .json: try Screen.answer(answer)
        case .text: Screen.answer(answer.text(at: .fromClock))
        }
    }
}

extension DriftAnswer {
    /// Whether anything is other than it was released, by no person's wish.
    var drifts: Bool {
        !isEmpty || services.contains { $0.tainted.contains { !$0.drifts.isEmpty } }
    }

    /// The same as long as the same things drift.
    fileprivate var fingerprint: String {
        let rows = services.flatMap { service -> [String] in
            var rows = service.instances.flatMap { instance in
                instance.drifts.map { "\(instance.id) \($0.key)" }
            }
            rows += service.tainted.map { "\($0.id) \($0.reason)" }
            rows.append(service.isHalted ? "\(service.key)" : "")
            for tag in service.tags ?? [] { rows.append("\(service.key) \(tag.key) \(tag.found ?? "")") }
            return rows
        }
        return (host.map(\.key) + rows).joined(separator: "\n")
    }

    func text(at now: Instant) -> String {
        var rows: [[String]] = []
        func add(_ place: String, _ drift: Drift, _ answer: String) {
            rows.append([
                place, drift.kind.rawValue, drift.subject, drift.owner ?? "–",
                "\((now - drift.at).readable) ago", answer,
            ])
            rows.append(["", "", "  " + drift.message])
        }
        for drift in host { add("host", drift, drift.isPutBack ? "put back" : "told") }
        for service in services {
            for instance in service.instances {
                for drift in instance.drifts { add(instance.id.text, drift, service.answer(to: drift)) }
            }
        }
        for service in services {
            for drift in service.tags ?? [] { add("\(service.key)", drift, "told") }
        }
        let shown = Set(services.flatMap(\.instances).map(\.id))
        var lines =
            rows.isEmpty
            ? [] : [Screen.table([["where", "what", "which", "owner", "since", "answer"]] + rows)]
        for service in services {
            lines += service.tainted.filter { !shown.contains($0.id) }.map(\.line)
            if service.isHalted {
                lines.append(
                    "\(service.key): the same drift came back too often, and nothing is replaced any more")
            }
        }
        return lines.isEmpty ? "nothing drifts" : lines.joined(separator: "\n")
    }
}

extension ServiceDriftStatus {
    fileprivate func answer(to drift: Drift) -> String {
        if isHalted { return "halted: a person has to look" }
        switch mode {
        case .off, .alert: return "told"
        case .replace: return drift.kind == .limits ? "put back, then replaced" : "replaced"
        }
    }
}

extension Drift {
    fileprivate var key: String { "\(kind.rawValue) \(subject)" }
}

extension TaintedInstance {
    /// For people: who has it, why, and for how long.
    var line: String {
        let who = by.map { "touched by \($0)" } ?? "drifted"
        let fate = keptUntil.map { "kept until \($0)" } ?? "is being replaced"
        return "\(id): \(who), \(fate)\(isInTraffic ? ", in traffic" : ""): \(reason)"
    }
}
