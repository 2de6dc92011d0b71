internal import ArgumentParser
internal import Baking
internal import Foundation
internal import ImageFormat
internal import Model
internal import Ports

/// Looks inside images.
extension ImageVerb {
    struct Diff: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show how one image differs from another: packages, files, settings, bytes to fetch.",
            discussion: """
                Times are left out: they say nothing of what a file does.

                Examples:
                  kiln image diff sha256:4f1c hello
                  kiln image diff hello registry.example/hello:v2 --all
                """)

        @Argument(help: "The image that is held already.")
        var from: String
        @Argument(help: "The image that takes its place.")
        var to: String
        @Flag(help: "Show every file, however many.")
        var all = false
        @OptionGroup var root: RootOptions
        @OptionGroup var output: OutputOptions

        func run() async throws {
            let store = try root.openStore()
            let contents = try [from, to].map { try ImageContents(named: $0, in: store) }
            let difference = contents[0].difference(to: contents[1])
            guard output.output == .text else { return try Screen.answer(difference) }
            for line in difference.lines(all: all) { Screen.answer(line) }
        }
    }

    struct Tree: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show the layers of an image: their sizes, and what each is made of.",
            discussion: """
                Example:
                  kiln image tree hello
                """)

        @Argument(help: "A digest, or enough of its beginning, a name, or a service for its newest image.")
        var image: String
        @OptionGroup var root: RootOptions
        @OptionGroup var output: OutputOptions

        struct Row: Encodable {
            var digest: Digest; var size: Int; var made: String; var packages: [InstalledPackage]
        }

        func run() async throws {
            let contents = try ImageContents(named: image, in: try root.openStore())
            let rows = zip(contents.image.layers, contents.origins).map { layer, origin in
                var names: [String] = []
                if case .packages(let all) = origin { names = all }
                return Row(
                    digest: layer.digest, size: layer.size, made: origin.name,
                    packages: contents.packages.filter { names.contains($0.name) })
            }
            guard output.output == .text else { return try Screen.answer(rows) }
            Screen.answer(
                Screen.table(
                    rows.map { row in
                        let packages = row.packages.map { "\($0.name) \($0.version)" }
                        let text = packages.isEmpty ? row.made : packages.joined(separator: ", ")
                        return ["\(row.digest.short)", ByteCount(bytes: row.size).readable, text]
                    }))
            Screen.answer(
                "\(counted(rows.count, "layer")), \(counted(contents.packages.count, "package")), "
                    + ByteCount(bytes: contents.image.size).readable)
        }
    }

    struct Why: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Say what put a file into an image.",
            discussion: """
                Example:
                  kiln image why hello /etc/nginx/nginx.conf
                """)

        @Argument(help: "A digest, or enough of its beginning, a name, or a service for its newest image.")
        var image: String
        @Argument(help: "The file's path inside the image.")
        var path: String
        @OptionGroup var root: RootOptions
        @OptionGroup var output: OutputOptions

        struct Answer: Encodable {
            var path: String; var detail: String; var made: String; var packages: [String]; var layer: Digest
            /// Whose script made it, or would have: `nginx-common postinst`.
            var script: String?
        }

        func run() async throws {
            let contents = try ImageContents(named: image, in: try root.openStore())
            let why = try contents.why(path)
            let layer = contents.image.layers[why.layer].digest
            let answer = Answer(
                path: path, detail: why.detail, made: why.origin.name, packages: why.packages, layer: layer,
                script: why.origin.script)
            guard output.output == .text else { return try Screen.answer(answer) }
            let also = why.packages.joined(separator: ", ")
            let source =
                switch why.origin {
                case .packages(let names):
                    "from the package \(also.isEmpty ? names.joined(separator: " or ") : also)"
                case .effects(let maker):
                    ImageVerb.words(maker) + (also.isEmpty ? "" : ", from \(also)")
                case .built(let steps):
                    "made by \(steps.joined(separator: " or "))"
                        + (also.isEmpty ? "" : ", in the place of \(also)'s")
                case .recipe:
                    "from `files:` of the recipe" + (also.isEmpty ? "" : ", in the place of \(also)'s")
                case .unknown: "from a layer that says nothing of its origin"
                }
            Screen.answer("\(path): \(why.detail)")
            Screen.answer("\(source), in layer \(layer.short)")
        }
    }

    struct BillOfMaterialsVerb: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "sbom",
            abstract: "Write what an image is made of, for scanners: SPDX 2.3 or CycloneDX 1.6.",
            discussion: """
                The same image gives the same bytes.

                Examples:
                  kiln image sbom hello > hello.spdx.json
                  kiln image sbom hello --format cyclonedx --to hello.cdx.json
                """)

        @Argument(help: "A digest, or enough of its beginning, a name, or a service for its newest image.")
        var image: String
        @Option(help: "How to write it.")
        var format: BillOfMaterials.Format = .spdx
        @Option(help: "The file to write; without it, standard output.", completion: .file())
        var to: String?
        @OptionGroup var root: RootOptions

        func run() async throws {
            let contents = try ImageContents(named: image, in: try root.openStore())
            let bytes = try contents.billOfMaterials().bytes(format)
            guard let to else { return Screen.answer(String(decoding: bytes, as: UTF8.self)) }
            try Data(bytes).write(to: URL(fileURLWithPath: to), options: .atomic)
            Screen.answer("wrote \(counted(contents.packages.count, "package")) to \(to)")
        }
    }
}

extension BillOfMaterials.Format: ExpressibleByArgument {}

extension ImageContents {
    /// What is inside the image that people call so.
    fileprivate init(named name: String, in store: any ImageStore) throws {
        try self.init(try ImageName.find(name, in: store).digest, store: store)
    }
}

extension ImageVerb {
    /// Whose script made a file.
    fileprivate static func words(_ maker: String?) -> String {
        guard let maker else { return "made as the packages' scripts would have" }
        let words = maker.split(separator: " ", maxSplits: 1).map(String.init)
        return words.last == "traced"
            ? "made by the scripts of \(words[0]), which were run"
            : "made as \(words[0])'s \(words[1]) would have"
    }
}

extension ImageContents.Origin {
    fileprivate var script: String? { if case .effects(let maker) = self { maker } else { nil } }

    /// One word for programs.
    fileprivate var name: String {
        switch self {
        case .packages: "packages"
        case .effects: "effects"
        case .built: "built"
        case .recipe: "recipe"
        case .unknown: "unknown"
        }
    }
}
