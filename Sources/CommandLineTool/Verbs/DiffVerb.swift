internal import ArgumentParser
internal import Baking
internal import Model
internal import Ports
internal import WireAPI

struct DiffVerb: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "diff",
        abstract: "Show how two environments differ, or two releases of a service.",
        discussion: """
            Compares what serves: config, limits, routes, rollout settings and instances, and what is inside the
            images where the store of this root has both. Ends with 0 where nothing differs, and with 1 where
            something does, as diff does.

            Examples:
              kiln diff staging production
              kiln diff staging production hello --except listen --except run.replicas
              kiln diff hello r4 r7 --output json
            """)

    @Argument(help: "An environment, or a service.")
    var first: String
    @Argument(help: "Another environment, or a release such as r4.")
    var second: String
    @Argument(help: "One service of both environments, or another release.")
    var third: String?
    @Option(help: "A field that may differ, such as listen; may be given again.")
    var except: [String] = []
    @Flag(help: "Show every file, however many.")
    var all = false
    @OptionGroup var daemon: DaemonOptions
    @OptionGroup var output: OutputOptions

    struct Answer: Encodable {
        var services: [ServiceComparison]
    }

    func run() async throws {
        let pairs: [Pair] = try await daemon.withDaemon { try await self.pairs($0) }
        let store = try? daemon.root.openStore()
        var compared: [ServiceComparison] = []
        for pair in pairs { compared.append(try await compare(pair, store)) }
        let differ = compared.contains { !$0.isEqual }
        if output.output == .json {
            try Screen.answer(Answer(services: compared))
        } else if differ {
            let texts = compared.filter { !$0.isEqual }.map { $0.lines(all: all).joined(separator: "\n") }
            Screen.answer(texts.joined(separator: "\n\n"))
        } else {
            Screen.answer("nothing differs")
        }
        if differ { throw ExitCode(1) }
    }

    /// What is compared; one side is nil where only the other has such a service.
    private struct Pair {
        var name: ServiceName
        var from: CompareRequest.Side?
        var to: CompareRequest.Side?
    }

    private func pairs(_ client: DaemonClient) async throws -> [Pair] {
        if let third, let from = DiffVerb.release(second), let to = DiffVerb.release(third) {
            let key = try ServiceKey(parsing: first)
            return [
                Pair(
                    name: key.service, from: CompareRequest.Side(key: key, release: from),
                    to: CompareRequest.Side(key: key, release: to))
            ]
        }
        let (one, two) = (try EnvironmentName(first), try EnvironmentName(second))
        let asked = try third.map { try ServiceName($0) }
        let present = try await client.get(WirePath.status, as: StatusAnswer.self).services
            .filter { $0.current != nil }.map(\.key)
        let names = Set(present.filter { $0.environment == one || $0.environment == two }.map(\.service))
        guard names.contains(where: { asked == nil || $0 == asked }) else {
            let what = asked.map { "no service \($0) serves" } ?? "nothing serves"
            throw Failure(
                .notFound, "\(what) in \(one) or \(two)", suggestion: "`kiln status` lists what runs")
        }
        return names.filter { asked == nil || $0 == asked }.sorted { $0.text < $1.text }.map { name in
            func side(_ environment: EnvironmentName) -> CompareRequest.Side? {
                let key = ServiceKey(name, in: environment)
                return present.contains(key) ? CompareRequest.Side(key: key) : nil
            }
            return Pair(name: name, from: side(one), to: side(two))
        }
    }

    /// `r4`; nil for anything else.
    private static func release(_ text: String) -> ReleaseNumber? {
        text.hasPrefix("r") ? try? ReleaseNumber(parsing: text) : nil
    }

    private func compare(_ pair: Pair, _ store: (any ImageStore)?) async throws -> ServiceComparison {
        guard let from = pair.from, let to = pair.to else {
            return ServiceComparison(
                service: pair.name, from: pair.from.map { "\($0.key)" }, to: pair.to.map { "\($0.key)" },
                changes: [])
        }
        let answer: CompareAnswer = try await daemon.withDaemon {
            try await $0.post(WirePath.compare, CompareRequest(from: from, to: to))
        }
        let changes = answer.changes.filter { change in
            !except.contains { change.field == $0 || change.field.hasPrefix($0 + ".") }
        }
        var comparison = ServiceComparison(
            service: pair.name, from: "\(answer.from.key) \(answer.from.release)",
            to: "\(answer.to.key) \(answer.to.release)", changes: changes)
        guard changes.contains(where: { $0.field == "image" }) else { return comparison }
        do {
            guard let store else { throw Failure(.notFound, "the store cannot be read") }
            comparison.image = try ImageContents(answer.from.image, store: store)
                .difference(to: try ImageContents(answer.to.image, store: store))
        } catch {
            comparison.imageNote = "what is inside cannot be compared: \(Failure.list(error)[0].message)"
        }
        return comparison
    }
}

/// How a service differs between two places.
struct ServiceComparison: Encodable {
    var service: ServiceName
    /// nil: it is not there.
    var from: String?
    var to: String?
    var changes: [ReleaseChange]
    /// What differs inside the images; nil where they are the same, or one is not in the store.
    var image: ImageDifference?
    var imageNote: String?

    var isEqual: Bool { from != nil && to != nil && changes.isEmpty }

    func lines(all: Bool) -> [String] {
        guard let from, let to else {
            return [Screen.coloured("\(service)", .bold) + "  serves only as \(from ?? to ?? "")"]
        }
        var lines = [Screen.coloured("\(service)", .bold) + "  \(from) → \(to)"]
        lines += changes.map { "  \($0.field): \($0.old ?? "–") → \($0.new ?? "–")" }
        if let image { lines += image.lines(all: all).map { "  " + $0 } }
        if let imageNote { lines.append("  " + imageNote) }
        return lines
    }
}
