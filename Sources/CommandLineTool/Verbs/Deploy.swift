internal import ArgumentParser
internal import Baking
internal import Model
internal import Ports
internal import RegistryClient
internal import WireAPI

struct Deploy: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Bake the image and put it into service.",
        discussion: """
            Shows what changes, then what happens. Ends with 0 when the new release serves, and with 1 when
            it was rolled back: then it says why, with the last log lines of the instance that failed.

            Examples:
              sudo kiln deploy
              sudo kiln deploy --message "faster search" --environment staging
              sudo kiln deploy --image sha256:…      an image that was baked before
              sudo kiln deploy --queue               after the rollout under way, not in its place
              sudo kiln deploy --sign release        where the host's policy asks for signatures
            """)

    @OptionGroup var spec: SpecOptions
    @OptionGroup var environment: EnvironmentOptions
    @Option(name: .shortAndLong, help: "Why; kept with the release.")
    var message: String = ""
    @Option(help: "Deploy this image of the store instead of baking one.")
    var image: String?
    @Flag(help: "Roll out even what serves already, with new instances.")
    var force = false
    @Flag(help: "Wait for the rollout under way to end, instead of taking its place.")
    var queue = false
    @Flag(help: "Return at once; do not wait for the end.")
    var detach = false
    @OptionGroup var signing: SigningOptions
    @OptionGroup var daemon: DaemonOptions
    @OptionGroup var registry: RegistryOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let reading = try self.spec.reading()
        let spec = reading.spec
        let key = try environment.key(spec.service)
        try await daemon.withDaemon { client in
            // Asks first, so that nobody bakes for a minute to hear that no daemon runs.
            let _: StatusAnswer = try await client.get(WirePath.status)
            let store = try daemon.root.openStore()
            // Until the daemon has it in a release, nothing but this keeps the image from being collected.
            let answer = try await store.inUse {
                let (digest, tags) = try await chosenImage(reading, store)
                let request = DeployRequest(
                    content: try spec.release(of: digest, in: self.spec.folder), message: message,
                    force: force, queue: queue, commit: GitSource(reading).commit,
                    tags: tags.isEmpty ? nil : tags)
                if output.output == .text {
                    let plan: PlanAnswer = try await client.post(WirePath.plan(key), request)
                    Screen.tell(plan.text(key, allowing: request.content.run.allow))
                    for warning in plan.warnings ?? [] { Screen.warn("\(warning)") }
                }
                return try await client.post(WirePath.deploy(key), request) as RolloutAnswer
            }
            try await RolloutEnd.report(answer, client, key, detach: detach, output.output)
        }
    }

    private func chosenImage(
        _ reading: SpecReading, _ store: any ImageStore
    ) async throws -> (Digest, [TaggedImage]) {
        if let image {
            let record = try ImageName.find(image, in: store)
            let digest = record.digest
            // Said here, and not by a loader that cannot run it.
            let architecture = try LayeredImageReader(store: store).image(digest).config.architecture
            guard architecture == .native else {
                throw Failure(
                    .invalidArgument, "this image is for \(architecture.rawValue), and this machine is not",
                    at: image, suggestion: "pull the one for linux/\(Architecture.native.rawValue)")
            }
            return (digest, (record.names ?? []).compactMap { TaggedImage(registryName: $0, digest) })
        }
        let session = try BakeSession.native(
            reading, daemon.root, store: store, registries: try registry.settings())
        let result = try await session.bake()
        try await signing.sign(result, of: session)
        if output.output == .text {
            Screen.tell("baked sha256:\(result.image.digest.short)\(result.summary)")
        }
        let below = try session.lockThatIs()?.from.flatMap { TaggedImage(registryName: $0.name, $0.digest) }
        return (result.image.digest, below.map { [$0] } ?? [])
    }
}

extension TaggedImage {
    /// nil where a name is none of a registry, or can only ever stand for one image.
    init?(registryName name: String, _ digest: Digest) {
        guard case .registry(let reference)? = try? ImageLocation(parsing: name), reference.digest == nil
        else { return nil }
        self.init(name: name, digest: digest)
    }
}

struct PlanVerb: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "plan",
        abstract: "Show what a deploy would change and do. Changes nothing that runs.",
        discussion: """
            Bakes the image (into the store only) to know its digest, and asks the daemon what it would do. Ends
            with 1 where the image may not start, and says which rule it does not satisfy.

            Examples:
              sudo kiln plan
              sudo kiln plan --output json
            """)

    @OptionGroup var spec: SpecOptions
    @OptionGroup var environment: EnvironmentOptions
    @OptionGroup var daemon: DaemonOptions
    @OptionGroup var registry: RegistryOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let reading = try spec.reading()
        let spec = reading.spec
        let key = try environment.key(spec.service)
        let (plan, allowed): (PlanAnswer, [Allowance]) = try await daemon.withDaemon { client in
            let _: StatusAnswer = try await client.get(WirePath.status)
            let session = try BakeSession.native(
                reading, daemon.root, store: try daemon.root.openStore(),
                registries: try registry.settings())
            let content = try spec.release(
                of: try await session.bake().image.digest, in: self.spec.folder)
            let plan: PlanAnswer = try await client.post(
                WirePath.plan(key), DeployRequest(content: content, message: "", force: false))
            return (plan, content.run.allow)
        }
        switch output.output {
        case .json: try Screen.answer(plan)
        case .text:
            Screen.answer(plan.text(key, allowing: allowed))
            for warning in plan.warnings ?? [] { Screen.warn("\(warning)") }
        }
        if let refusals = plan.refusals {
            guard output.output == .text else { throw ExitCode(refusals[0].exitCode) }
            throw Failures(refusals)
        }
    }
}

extension ReleaseChange {
    /// Whether instances may do more by it than others may.
    fileprivate var loosens: Bool { field.hasPrefix("run.allow.") }
}

extension PlanAnswer {
    /// What changes and what would be done, for people.
    ///
    /// - Parameter allowed: what its instances may do beyond the usual, shown also where it is as before
    func text(_ key: ServiceKey, allowing allowed: [Allowance] = []) -> String {
        guard !steps.isEmpty else {
            let first = "\(key): nothing to do, \(to) serves this already"
            return ([first] + allowed.map(Self.warning)).joined(separator: "\n")
        }
        var lines = [from.map { "\(key): \($0) → \(to)" } ?? "\(key): \(to) is the first release"]
        for change in changes {
            switch (change.old, change.new) {
            case (nil, let new?) where change.loosens:
                lines.append("  " + Screen.coloured("+ \(change.field): \(new)", .red))
            case (nil, let new?): lines.append("  " + Screen.coloured("+ \(change.field): \(new)", .green))
            case (let old?, nil): lines.append("  " + Screen.coloured("- \(change.field): \(old)", .red))
            default:
                lines.append(
                    "  "
                        + Screen.coloured(
                            "~ \(change.field): \(change.old ?? "") → \(change.new ?? "")", .yellow))
            }
        }
        let known = Set(changes.filter(\.loosens).map(\.field))
        lines += allowed.filter { !known.contains("run.allow.\($0.name)") }.map(Self.warning)
        lines += steps.enumerated().map { "  \($0 + 1). \($1)" }
        return lines.joined(separator: "\n")
    }

    private static func warning(_ allowance: Allowance) -> String {
        "  " + Screen.coloured("! run.allow.\(allowance.name): \(allowance.reason)", .red)
    }
}
