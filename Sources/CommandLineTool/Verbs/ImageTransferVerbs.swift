internal import ArgumentParser
internal import Baking
internal import ImageFormat
internal import Model
internal import Ports
internal import RegistryClient
internal import Trust

private let places = """
    Places: registry.example/team/app:v1 (also with docker:// before it), oci:FOLDER[:TAG],
    oci-archive:FILE[:TAG], docker-archive:FILE[:NAME], and images of the store by service, name or digest.
    """

extension ImageVerb {
    struct Push: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Bring an image of the store to a registry, folder or archive.",
            discussion: """
                Nothing is packed anew: the digest there is the digest here. Only what is missing moves. Signed
                statements that lie beside the image in the store go to a registry with it.
                \(places)

                Examples:
                  kiln image push hello registry.example/team/hello:v1
                  kiln image push hello registry.example/team/hello:v1 --sbom spdx --sbom cyclonedx
                  kiln image push sha256:4f1c oci:./hello-oci:v1
                  kiln image push registry.example/team/hello:v1      an image that has this name already
                """)

        @Argument(help: "A digest, or enough of its beginning, or a name, or a service for its newest image.")
        var image: String
        @Argument(help: "Where to; the image's own name if nothing is said.")
        var to: String?
        @Flag(help: "The whole index that the image was pulled in.")
        var allPlatforms = false
        @Option(help: "Put a bill of materials beside the image in the registry; may be given twice.")
        var sbom: [BillOfMaterials.Format] = []
        @OptionGroup var registry: RegistryOptions
        @OptionGroup var root: RootOptions
        @OptionGroup var output: OutputOptions

        func run() async throws {
            let target = try ImageLocation(parsing: to ?? image)
            if case .store = target {
                throw Failure(
                    .invalidArgument, "\"\(to ?? image)\" is no place to push to",
                    suggestion: "say where to: kiln image push \(image) registry.example/team/app:v1")
            }
            try await Transferred(
                from: .store(image), to: target, choice: allPlatforms ? .all : .one(.native),
                attachments: try billsOfMaterials(), carried: try carried(to: target), registry: registry,
                root: root, output: output
            ).run()
        }

        /// What lies beside the image in the store, and is about what goes there: itself, or its index and all that the
        /// index lists.
        private func carried(to target: ImageLocation) throws -> [ImageTransfer.Carried] {
            guard case .registry = target else { return [] }
            let store = try root.openStore()
            let record = try ImageName.find(image, in: store)
            var subjects = [record.digest]
            if allPlatforms, let index = record.index {
                subjects = [index] + (try store.listed(in: index))
            }
            let signer = StoreSigner(store: store)
            return try subjects.map {
                ImageTransfer.Carried(subject: $0, evidence: try signer.evidence(about: $0))
            }.filter { !$0.evidence.isEmpty }
        }

        private func billsOfMaterials() throws -> [Attachment] {
            guard !sbom.isEmpty else { return [] }
            let store = try root.openStore()
            let contents = try ImageContents(try ImageName.find(image, in: store).digest, store: store)
            let bill = try contents.billOfMaterials()
            return sbom.map {
                Attachment(type: $0.mediaType, title: $0.fileName, content: bill.bytes($0))
            }
        }
    }

    struct Pull: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Bring an image into the store, where it can be shown, exported and deployed.",
            discussion: """
                Every byte is checked against the digests. The image keeps its name, its digest and its bytes. What is
                signed of it comes from a registry with it, so that the host can decide without one.
                \(places)

                Examples:
                  kiln image pull registry.example/team/app:v1
                  kiln image pull registry.example/team/app@sha256:4f1c…
                  kiln image pull docker-archive:app.tar --name registry.example/team/app:v1
                """)

        @Argument(help: "Where from.")
        var from: String
        @Option(help: "What to call it; the name that it has where it comes from if nothing is said.")
        var name: String?
        @OptionGroup var platform: PlatformOptions
        @OptionGroup var registry: RegistryOptions
        @OptionGroup var root: RootOptions
        @OptionGroup var output: OutputOptions

        func run() async throws {
            let source = try ImageLocation(parsing: from)
            if case .store = source {
                throw Failure(
                    .invalidArgument, "\"\(from)\" names no registry, folder or archive",
                    suggestion: "write the registry too, such as registry.example/team/app:v1")
            }
            try await Transferred(
                from: source, to: .store(try name.map(ImageVerb.storeName) ?? ImageVerb.name(of: source)),
                choice: try platform.choice(otherwise: .one(.native)), registry: registry, root: root,
                output: output
            ).run()
        }
    }

    struct Copy: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Copy an image from one place to another, byte for byte.",
            discussion: """
                An image for several platforms is copied whole unless --platform chooses one of them.
                \(places)

                Examples:
                  kiln image copy registry.example/app:v1 mirror.example/app:v1 --referrers
                  kiln image copy registry.example/app:v1 docker-archive:app.tar
                  kiln image copy oci-archive:app.tar registry.example/app:v1
                """)

        @Argument(help: "Where from.")
        var from: String
        @Argument(help: "Where to.")
        var to: String
        @OptionGroup var platform: PlatformOptions
        @Flag(
            help: "Also what refers to the image: signatures, bills of materials. From registry to registry.")
        var referrers = false
        @OptionGroup var registry: RegistryOptions
        @OptionGroup var root: RootOptions
        @OptionGroup var output: OutputOptions

        func run() async throws {
            let (source, target) = (try ImageLocation(parsing: from), try ImageLocation(parsing: to))
            try await Transferred(
                from: source, to: target, choice: try platform.choice(otherwise: whole(source, target)),
                withReferrers: referrers, registry: registry, root: root, output: output
            ).run()
        }

        /// Everything, unless one of the two places holds single images.
        private func whole(_ source: ImageLocation, _ target: ImageLocation) -> PlatformChoice {
            switch (source, target) {
            case (.store, _), (_, .store), (_, .dockerArchive): .one(.native)
            default: .all
            }
        }
    }

    struct Tag: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Give an image one more name, in the store or in a registry.",
            discussion: """
                Examples:
                  kiln image tag hello registry.example/team/hello:v1     in the store; `image push` goes there
                  kiln image tag registry.example/team/hello:v1 stable    in the registry; nothing else moves
                """)

        @Argument(help: "An image of the store, or of a registry.")
        var image: String
        @Argument(help: "In the store a whole name; in a registry a tag.")
        var name: String
        @OptionGroup var registry: RegistryOptions
        @OptionGroup var root: RootOptions
        @OptionGroup var output: OutputOptions

        struct Answer: Encodable { var digest: Digest; var name: String }

        func run() async throws {
            let answer: Answer
            switch try ImageLocation(parsing: image) {
            case .registry(let reference):
                let tag = try ImageTag(name)
                let digest = try await registry.withClient { try await $0.tag(reference, as: tag) }
                answer = Answer(digest: digest, name: "\(reference.host)/\(reference.repository):\(tag)")
            case .store(let known):
                let store = try root.openStore()
                let record = try ImageName.find(known, in: store)
                answer = Answer(digest: record.digest, name: try ImageVerb.storeName(name))
                try await StoreNames(store).give(answer.name, to: record.digest)
            default:
                throw Failure(
                    .invalidArgument, "\"\(image)\" is neither in the store nor in a registry",
                    suggestion: "`kiln image copy` writes folders and archives under a name")
            }
            switch output.output {
            case .json: try Screen.answer(answer)
            case .text: Screen.answer("\(answer.name) is \(answer.digest)")
            }
        }
    }

    /// What an image of the store may be called: where it could be pushed to.
    fileprivate static func storeName(_ text: String) throws -> String {
        var reference = try RegistryReference(parsing: text)
        guard reference.digest == nil else {
            throw Failure(.invalidArgument, "a name ends with a tag, not with a digest")
        }
        reference.tag = reference.tag ?? .latest
        return "\(reference)"
    }

    /// The name that an image brings along; empty for none.
    fileprivate static func name(of source: ImageLocation) -> String {
        guard case .registry(var reference) = source else { return "" }
        if reference.tag == nil, reference.digest == nil { reference.tag = .latest }
        return "\(reference)"
    }
}

/// One transfer from its arguments to its answer.
private struct Transferred {
    var from: ImageLocation
    var to: ImageLocation
    var choice: PlatformChoice
    var withReferrers = false
    var attachments: [Attachment] = []
    var carried: [ImageTransfer.Carried] = []
    var registry: RegistryOptions
    var root: RootOptions
    var output: OutputOptions

    func run() async throws {
        let (from, to, choice, referrers, attachments) = (from, to, choice, withReferrers, attachments)
        let carried = carried
        let path = root.path
        let open = try Adapters.require().openStore
        let settings = try registry.settings()
        let answer = try await Interruption.cancelling {
            try await RegistryOptions.withClient(settings) { client in
                try await ImageTransfer(client: client, openStore: { try open(path) }).run(
                    from: from, to: to, choice: choice, withReferrers: referrers, attaching: attachments,
                    carrying: carried)
            }
        }
        switch output.output {
        case .json: try Screen.answer(answer)
        case .text: Screen.tell(answer.summary); Screen.answer("\(answer.digest)")
        }
    }
}

extension ImageTransfer.Answer {
    /// `2 of 7 blobs moved, 12.3 MB`.
    var summary: String {
        let referring = referrers.map { "; \($0.count) that refer to it" } ?? ""
        return "\(blobsMoved) of \(blobs) blobs moved, \(ByteCount(bytes: bytesMoved).readable)\(referring)"
    }
}
