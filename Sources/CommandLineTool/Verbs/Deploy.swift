internal import ArgumentParser
internal import Baking
internal import Model
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
    @OptionGroup var daemon: DaemonOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let spec = try spec.read()
        let key = try environment.key(spec.service)
        try await daemon.withDaemon { client in
            // Asks first, so that nobody bakes for a minute to hear that no daemon runs.
            let _: StatusAnswer = try await client.get(WirePath.status)
            let digest = try await chosenImage(spec)
            let request = DeployRequest(
                content: spec.release(of: digest), message: message, force: force, queue: queue)
            if output.output == .text {
                let plan: PlanAnswer = try await client.post(WirePath.plan(key), request)
                Screen.tell(plan.text(key))
            }
            let answer: RolloutAnswer = try await client.post(WirePath.deploy(key), request)
            try await RolloutEnd.report(answer, client, key, detach: detach, output.output)
        }
    }

    private func chosenImage(_ spec: Spec) async throws -> Digest {
        let store = try daemon.root.openStore()
        if let image {
            let digest = try ImageName.find(image, in: store).digest
            // Said here, and not by a loader that cannot run it.
            let architecture = try LayeredImageReader(store: store).image(digest).config.architecture
            guard architecture == .native else {
                throw Failure(
                    .invalidArgument, "this image is for \(architecture.rawValue), and this machine is not",
                    at: image, suggestion: "pull the one for linux/\(Architecture.native.rawValue)")
            }
            return digest
        }
        let session = BakeSession(
            spec: spec, folder: self.spec.folder, lockPath: self.spec.lockPath, store: store)
        let result = try await session.bake()
        if output.output == .text {
            Screen.tell("baked sha256:\(result.image.digest.short)\(result.summary)")
        }
        return result.image.digest
    }
}

struct PlanVerb: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "plan",
        abstract: "Show what a deploy would change and do. Changes nothing that runs.",
        discussion: """
            Bakes the image (into the store only) to know its digest, and asks the daemon what it would do.

            Examples:
              sudo kiln plan
              sudo kiln plan --output json
            """)

    @OptionGroup var spec: SpecOptions
    @OptionGroup var environment: EnvironmentOptions
    @OptionGroup var daemon: DaemonOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let spec = try spec.read()
        let key = try environment.key(spec.service)
        let plan: PlanAnswer = try await daemon.withDaemon { client in
            let _: StatusAnswer = try await client.get(WirePath.status)
            let session = BakeSession(
                spec: spec, folder: self.spec.folder, lockPath: self.spec.lockPath,
                store: try daemon.root.openStore())
            let content = spec.release(of: try await session.bake().image.digest)
            return try await client.post(
                WirePath.plan(key), DeployRequest(content: content, message: "", force: false))
        }
        switch output.output {
        case .json: try Screen.answer(plan)
        case .text: Screen.answer(plan.text(key))
        }
    }
}

extension PlanAnswer {
    /// What changes and what would be done, for people.
    func text(_ key: ServiceKey) -> String {
        guard !steps.isEmpty else { return "\(key): nothing to do, \(to) serves this already" }
        var lines = [from.map { "\(key): \($0) → \(to)" } ?? "\(key): \(to) is the first release"]
        for change in changes {
            switch (change.old, change.new) {
            case (nil, let new?): lines.append("  " + Screen.coloured("+ \(change.field): \(new)", .green))
            case (let old?, nil): lines.append("  " + Screen.coloured("- \(change.field): \(old)", .red))
            default:
                lines.append(
                    "  "
                        + Screen.coloured(
                            "~ \(change.field): \(change.old ?? "") → \(change.new ?? "")", .yellow))
            }
        }
        lines += steps.enumerated().map { "  \($0 + 1). \($1)" }
        return lines.joined(separator: "\n")
    }
}
