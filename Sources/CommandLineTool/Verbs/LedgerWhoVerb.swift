internal import ArgumentParser
internal import Baking
internal import Foundation
internal import Model
internal import Notary
internal import Ports

extension LedgerVerb {
    struct Who: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract:
                "Say where an image, a package or a file has ever run: since when, until when, by whom.",
            discussion: """
                Packages and files are looked up in the images that the ledger names and the store still has;
                how many it has no more is said. A digest is an image's if the ledger knows one by it, else a
                file's. A package is named by its own version or by its source's.

                Examples:
                  kiln ledger who hello
                  kiln ledger who sha256:4f1c…
                  kiln ledger who openssl@3.0.11-1~deb12u2
                  kiln ledger who sha256:$(sha256sum < libssl.so.3 | cut -c1-64)
                """)

        @Argument(help: "An image, package@version, or sha256: and the digest of an image or a file.")
        var what: String
        @OptionGroup var ledger: LedgerOptions
        @OptionGroup var output: OutputOptions

        struct Answer: Encodable {
            var uses: [LedgerUse]
            /// Images that were looked into, and those that could not be.
            var images: Int; var lookedInto: Int; var gone: [Digest]
        }

        private enum Question {
            case image(Digest)
            case package(name: String, version: String)
            case file(Digest)
        }

        func run() async throws {
            let uses = LedgerUses(ledger: try ledger.open())
            let store = try ledger.root.openStore()
            let (question, what) = (try question(uses, store), what)
            let answer = try await Interruption.cancelling {
                switch question {
                case .image(let image):
                    return Answer(uses: try uses.of(image), images: 1, lookedInto: 1, gone: [])
                case .package(let name, let version):
                    return try search(uses, store) { $0.hasPackage(name, version: version) }
                case .file(let digest): return try search(uses, store) { $0.hasFile(digest) }
                }
            }
            guard output.output == .text else { return try Screen.answer(answer) }
            if answer.uses.isEmpty {
                Screen.answer("\(what) has never run here, as far as the ledger and the store tell")
            } else {
                let heads = ["SERVICE", "RELEASE", "IMAGE", "SINCE", "UNTIL", "BY", "INSTANCES"]
                Screen.answer(Screen.table([heads] + answer.uses.map(row)))
            }
            if !answer.gone.isEmpty {
                let (count, of) = (answer.gone.count, answer.images)
                Screen.warn(
                    "\(count) of \(of) images are gone from the store and could not be asked: \(what) may have run "
                        + "from them too")
            }
        }

        private func row(_ use: LedgerUse) -> [String] {
            [
                "\(use.service)", use.release?.description ?? "-", use.image.short, "\(use.since)",
                use.until.map { "\($0)" }
                    ?? (use.instances > 0 ? "runs, last seen \(use.lastSeen)" : "never ran"),
                use.by, "\(use.instances)",
            ]
        }

        private func question(_ uses: LedgerUses, _ store: any ImageStore) throws -> Question {
            if let digest = try? Digest(parsing: what), what.hasPrefix("sha256:") {
                let isImage = try !uses.ledger.entries(
                    LedgerQuery(image: digest), order: .oldestFirst, limit: 1
                ).isEmpty
                return isImage ? .image(digest) : .file(digest)
            }
            if let image = try? ImageName.find(what, in: store) { return .image(image.digest) }
            // The rest of a version may have anything but a slash in it, which an image's name has.
            let parts = what.split(separator: "@", maxSplits: 1).map(String.init)
            if parts.count == 2, !parts[0].contains("/") {
                return .package(name: parts[0], version: parts[1])
            }
            throw Failure(
                .notFound, "\"\(what)\" is no image that the store has, and no package with a version",
                suggestion: "an image's whole digest, package@version, or sha256: and the digest of a file")
        }

        private func search(
            _ uses: LedgerUses, _ store: any ImageStore, _ isMeant: (ImageInventory) -> Bool
        ) throws -> Answer {
            let images = try uses.images()
            var answer = Answer(uses: [], images: images.count, lookedInto: 0, gone: [])
            for (place, image) in images.enumerated() {
                try Task.checkCancellation()
                Screen.progress("looking into image \(place + 1) of \(images.count)")
                do {
                    let inventory = try ImageInventory.of(image, in: store)
                    answer.lookedInto += 1
                    if isMeant(inventory) { answer.uses += try uses.of(image) }
                } catch let failure as Failure where [.notFound, .storeDamaged].contains(failure.code) {
                    answer.gone.append(image)
                }
            }
            answer.uses.sort { $0.since < $1.since }
            return answer
        }
    }
}
