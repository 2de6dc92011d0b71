internal import ArgumentParser
internal import Baking
internal import Foundation
internal import Model
internal import Ports

extension ImageVerb {
    struct Verify: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Bake an image again from its lock, from nothing, and compare every byte.",
            discussion: """
                Nothing that was made before is used, only the packages themselves, each checked by its SHA-256.
                Ends with 0 where the image is the same, and with 1 where it is not, naming the first difference.

                Examples:
                  kiln image verify
                  kiln image verify sha256:4f1c --file services/api/kiln.yaml
                """)

        @Argument(help: "The image; without it, the newest one of the spec's service.")
        var image: String?
        @OptionGroup var spec: SpecOptions
        @OptionGroup var root: RootOptions
        @OptionGroup var output: OutputOptions

        struct Answer: Encodable {
            var digest: Digest; var isSame: Bool; var difference: ImageDifference?
        }

        func run() async throws {
            let wanted = try spec.read()
            let store = try root.openStore()
            let record = try ImageName.find(image ?? wanted.service.text, in: store)
            let architecture = try LayeredImageReader(store: store).image(record.digest).config.architecture
            let recipe = wanted.image.byArchitecture.first { $0.architecture == architecture } ?? wanted.image
            let lock = try LockFile.read(spec.lockPath(recipe))
            let folder = try store.temporaryPath()
            let specFolder = spec.folder
            let openStore = try Adapters.require().openStore
            defer { try? FileManager.default.removeItem(atPath: folder) }
            let finding = try await Interruption.cancelling {
                try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
                return try await store.inUse {
                    try await ImageVerification(store: store, empty: try openStore(folder)).verify(
                        record.digest, recipe, specFolder: specFolder, lock: lock, service: wanted.service,
                        progress: BakeSession.show)
                }
            }
            switch finding {
            case .same:
                guard output.output == .text else {
                    return try Screen.answer(Answer(digest: record.digest, isSame: true))
                }
                Screen.answer("\(record.digest): the same bytes, baked again from nothing")
            case .other(let difference):
                if output.output == .json {
                    try Screen.answer(
                        Answer(digest: record.digest, isSame: false, difference: difference))
                }
                throw Failure(
                    .hashMismatch, "baked again it is \(difference.to): \(Verify.first(difference))",
                    at: "\(record.digest)",
                    suggestion: Verify.advice(difference, try ImageContents(record.digest, store: store)))
            }
        }

        private static func advice(_ difference: ImageDifference, _ contents: ImageContents) -> String {
            if difference.packages.isEmpty, let file = difference.files.first,
                case .built(let steps)? = try? contents.why("/" + file.path).origin
            {
                return
                    "\(steps.joined(separator: " or ")) made it: see whether its command takes over the time, "
                    + "something random or the order of files, or whether its inputs changed"
            }
            return "see whether the recipe, its files or the lock changed since it was baked"
        }

        /// The first thing that differs.
        private static func first(_ difference: ImageDifference) -> String {
            if let package = difference.packages.first {
                return "\(package.name) \(package.from ?? "is new") → \(package.to ?? "is gone")"
            }
            if let file = difference.files.first {
                let what = file.what.isEmpty ? file.kind.rawValue : file.what.joined(separator: ", ")
                return "/\(file.path): \(what)"
            }
            return difference.config.first ?? "only times or the order of files differ"
        }
    }
}
