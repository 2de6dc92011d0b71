internal import ArgumentParser
internal import Baking
internal import Model

struct Bake: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Make the image of a spec.",
        discussion: """
            The same lock and files give the same digest, whatever the folder, user, locale, time zone or
            clock. Needs no root, only a --root that can be written to; traced scripts and
            build steps need root once.

            Examples:
              kiln bake
              kiln bake --root ~/.kiln --output json
              kiln bake --sign release --builder https://ci.example/runner
              kiln bake && kiln image push web registry.example/web:v1 --all-platforms
            """)

    @OptionGroup var spec: SpecOptions
    @OptionGroup var root: RootOptions
    @OptionGroup var registry: RegistryOptions
    @OptionGroup var signing: SigningOptions
    @OptionGroup var output: OutputOptions

    struct Answer: Encodable {
        var digest: Digest
        var size: Int
        var layers: Int
        var packages: Int
        var wasCached: Bool
        var warnings: [String]
        var notes: [String]
        /// Packages whose scripts were run in a sandbox.
        var traced: [String]
        /// Where the recipe is for several machine types.
        var architecture: Architecture?
    }

    struct IndexAnswer: Encodable {
        var digest: Digest
        var images: [Answer]
    }

    func run() async throws {
        let store = try root.openStore()
        let sessions = BakeSession.all(
            try spec.reading(), root, store: store, registries: try registry.settings())
        var results: [BakeResult] = []
        for session in sessions {
            let result = try await session.bake()
            try await signing.sign(result, of: session)
            results.append(result)
        }
        guard results.count > 1 else { return try answer(results[0]) }
        let index = try await PlatformIndex(results, store: store, now: Instant.fromClock)
        try await signing.sign(index, called: sessions[0].spec.service.text, store, root)
        switch output.output {
        case .json:
            try Screen.answer(
                IndexAnswer(
                    digest: index.digest,
                    images: results.map { result in
                        var answer = Answer(result)
                        answer.architecture = result.image.config.architecture
                        return answer
                    }))
        case .text:
            for result in results {
                Screen.answer(
                    "\(result.image.digest) for \(result.image.config.architecture.rawValue)\(result.summary)"
                )
            }
            Screen.answer("\(index.digest) for all of them")
        }
    }

    private func answer(_ result: BakeResult) throws {
        switch output.output {
        case .json: try Screen.answer(Answer(result))
        case .text: Screen.answer("\(result.image.digest)\(result.summary)")
        }
    }
}

extension Bake.Answer {
    init(_ result: BakeResult) {
        self.init(
            digest: result.image.digest, size: result.image.size, layers: result.image.layers.count,
            packages: result.record.packages, wasCached: result.wasCached, warnings: result.warnings,
            notes: result.notes, traced: result.traced)
    }
}

extension BakeResult {
    /// ` (12.3 MB, 41 packages, unchanged)`.
    var summary: String {
        let size = ByteCount(bytes: image.size).readable
        return " (\(size), \(record.packages) packages\(wasCached ? ", unchanged" : ""))"
    }
}
