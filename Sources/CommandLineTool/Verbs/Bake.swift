internal import ArgumentParser
internal import Baking
internal import Model

struct Bake: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Make the image of a spec.",
        discussion: """
            The same lock and files give the same digest, whatever the folder, user, locale, time zone or
            clock. Needs no root: only a --root that can be written to.

            Examples:
              kiln bake
              kiln bake --root ~/.kiln --output json
            """)

    @OptionGroup var spec: SpecOptions
    @OptionGroup var root: RootOptions
    @OptionGroup var output: OutputOptions

    struct Answer: Encodable {
        var digest: Digest
        var size: Int
        var layers: Int
        var packages: Int
        var wasCached: Bool
        var warnings: [String]
        var notes: [String]
    }

    func run() async throws {
        let session = BakeSession(
            spec: try spec.read(), folder: spec.folder, lockPath: spec.lockPath, store: try root.openStore())
        let result = try await session.bake()
        switch output.output {
        case .json:
            try Screen.answer(
                Answer(
                    digest: result.image.digest, size: result.image.size, layers: result.image.layers.count,
                    packages: result.record.packages, wasCached: result.wasCached, warnings: result.warnings,
                    notes: result.notes))
        case .text: Screen.answer("\(result.image.digest)\(result.summary)")
        }
    }
}

extension BakeResult {
    /// ` (12.3 MB, 41 packages, unchanged)`.
    var summary: String {
        let size = ByteCount(bytes: image.size).readable
        return " (\(size), \(record.packages) packages\(wasCached ? ", unchanged" : ""))"
    }
}
