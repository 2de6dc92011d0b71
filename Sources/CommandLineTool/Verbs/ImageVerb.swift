internal import ArgumentParser
internal import Baking
internal import Foundation
internal import ImageFormat
internal import Model
internal import Ports
internal import Trust

struct ImageVerb: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "image",
        abstract: "List, show, export, name and sign images, and move them from and to registries.",
        subcommands: [
            List.self, Show.self, Tree.self, Why.self, Diff.self, Verify.self, BillOfMaterialsVerb.self,
            Vulnerabilities.self,
            Export.self, Push.self, Pull.self, Copy.self, Tag.self, Sign.self,
        ])

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List the images of the store, newest last.",
            discussion: """
                Example:
                  kiln image list
                """)

        @OptionGroup var root: RootOptions
        @OptionGroup var output: OutputOptions

        func run() async throws {
            let images = try root.openStore().images()
            switch output.output {
            case .json: try Screen.answer(images)
            case .text where images.isEmpty: Screen.answer("no images yet; `kiln bake` makes one")
            case .text:
                Screen.answer(
                    Screen.table(
                        images.map {
                            [
                                "\($0.digest)", $0.called, "\($0.bakedAt)",
                                $0.service == nil ? "" : "\($0.packages) packages",
                                ByteCount(bytes: $0.size).readable,
                            ]
                        }))
            }
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show how an image starts and what it is made of.",
            discussion: """
                Example:
                  kiln image show sha256:4f1c
                """)

        @Argument(help: "A digest, or enough of its beginning, or a service for its newest image.")
        var image: String
        @OptionGroup var root: RootOptions
        @OptionGroup var output: OutputOptions

        func run() async throws {
            let store = try root.openStore()
            let record = try ImageName.find(image, in: store)
            let image = try LayeredImageReader(store: store).image(record.digest)
            guard output.output == .text else { return try Screen.answer(image) }
            let signed = try signed(record, store)
            let environment = image.config.environment.sorted { $0.key < $1.key }.map {
                "\($0.key)=\($0.value)"
            }
            Screen.answer(
                Screen.table(
                    [
                        ["digest", "\(image.digest)"], ["called", record.called],
                        [record.service == nil ? "pulled" : "baked", "\(record.bakedAt)"],
                        ["architecture", image.config.architecture.rawValue],
                        ["user", image.config.user],
                        ["command", image.config.command.joined(separator: " ")],
                        ["environment", environment.joined(separator: " ")],
                        ["packages", record.service == nil ? "unknown" : "\(record.packages)"],
                        ["layers", "\(image.layers.count), \(ByteCount(bytes: image.size).readable)"],
                    ] + signed))
        }

        /// What lies beside it, by the keys that it names: whether they signed it, `kiln verify` says.
        private func signed(_ record: ImageRecord, _ store: any ImageStore) throws -> [[String]] {
            let keys = (try? KeyFolder(path: root.path + "/keys").ring())?.keys ?? []
            let signer = StoreSigner(store: store)
            let subjects = [record.digest, record.index].compactMap { $0 }
            return try subjects.flatMap { try signer.bundles(of: record.digest, about: $0) }.map { found in
                let key = keys.first { $0.publicKey.id.text == found.bundle.hint }
                let name = key?.called ?? "\(found.bundle.hint.prefix(12))…, unknown here"
                return ["signed", "\(PredicateWord.text(found.statement.predicateType.text)) by \(name)"]
            }
        }
    }

    struct Export: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Write an image for other tools: skopeo, docker, podman, umoci.",
            discussion: """
                Examples:
                  kiln image export hello --format docker-archive --to hello.tar && docker load -i hello.tar
                  kiln image export sha256:4f1c --format oci-dir --to hello-oci && skopeo inspect oci:hello-oci
                """)

        @Argument(help: "A digest, or enough of its beginning, or a service for its newest image.")
        var image: String
        @Option(help: "How to write it.")
        var format: ImageExport.Format = .ociArchive
        @Option(help: "The file or folder to write.", completion: .file())
        var to: String
        @OptionGroup var root: RootOptions
        @OptionGroup var output: OutputOptions

        struct Answer: Encodable {
            var digest: Digest; var format: String; var path: String; var name: String
        }

        func run() async throws {
            let store = try root.openStore()
            let record = try ImageName.find(image, in: store)
            let name = record.service.map { "\($0):\(record.digest.short)" } ?? record.called
            try ImageExporter(store: store).export(record.digest, name: name, format: format, to: to)
            switch output.output {
            case .json:
                try Screen.answer(
                    Answer(digest: record.digest, format: format.rawValue, path: to, name: name))
            case .text: Screen.answer("wrote \(name) to \(to)")
            }
        }
    }
}

extension ImageExport.Format: ExpressibleByArgument {}
