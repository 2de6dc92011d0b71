internal import ArgumentParser
internal import Baking
internal import Foundation
internal import ImageFormat
internal import Model
internal import Ports
internal import RegistryClient
internal import Trust

extension ImageVerb {
    struct Sign: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Sign an image, so that others can tell it is yours.",
            discussion: """
                In a registry the signatures go beside the image, in both forms that cosign reads. The image stays
                as it is. An image for several platforms is signed as a whole and for each of them. Without a
                registry it is signed in the store of this host, where a policy can ask for it.

                Examples:
                  kiln image sign hello --key release
                  kiln image sign hello registry.example/team/hello:v1 --key release
                  kiln image sign sha256:4f1c… registry.example/team/hello:v1 --key ./ci.key
                  kiln image sign hello registry.example/team/hello:v1 --key release --provenance --sbom
                  cosign verify --key release.pub --insecure-ignore-tlog registry.example/team/hello:v1
                """)

        @Argument(
            help: "A whole digest, or an image of the store by name, service or beginning of its digest.")
        var image: String
        @Argument(help: "Where it lies: registry.example/team/app:v1; without it, in the store.")
        var reference: String?
        @Option(help: ArgumentHelp("A build key by name, or a key file.", valueName: "name"))
        var key: String
        @Option(
            help: ArgumentHelp("Keep the signed statements in this folder too.", valueName: "dir"),
            completion: .directory)
        var save: String?
        @Flag(
            help: "Say how it was made too: recipe, Git commit, packages. Bakes again to see that it is so.")
        var provenance = false
        @OptionGroup var builder: BuilderOptions
        @Flag(help: "Sign its bill of materials (SPDX) too, for `cosign verify-attestation --type spdxjson`.")
        var sbom = false
        @OptionGroup var spec: SpecOptions
        @OptionGroup var signer: SigningKeyOptions
        @OptionGroup var registry: RegistryOptions
        @OptionGroup var root: RootOptions
        @OptionGroup var output: OutputOptions

        func validate() throws {
            if builder.builder != nil, !provenance {
                throw ValidationError("--builder is said in a provenance: add --provenance")
            }
        }

        struct Answer: Encodable {
            var reference: String?; var key: String; var signed: [ImageSigner.Signed]
        }

        func run() async throws {
            let signing = try signer.signingKey(key, for: .build, root)
            guard let reference else { return try await signInStore(signing) }
            let place = try RegistryReference(parsing: reference)
            let candidates = try candidates()
            // Of an image that came in an index, the one for this machine is known and spoken of.
            let subject = Statement.Subject(name: place.name, digest: candidates[candidates.count - 1])
            var statements = provenance ? [try await madeSo(subject)] : []
            if sbom { statements.append(try billOfMaterials(subject)) }
            let signed = try await registry.withClient { client in
                let signer = ImageSigner(client: client, reference: place)
                let digests = try await Sign.digests(candidates, signer)
                let signed = try await signer.sign(digests, with: signing, saying: statements)
                if let save { try await Sign.save(signer, digests, to: save) }
                return signed
            }
            let id = signing.publicKey.id.text
            await root.logSignatures(signed, at: "\(place)", by: id)
            try answer(Answer(reference: "\(place)", key: id, signed: signed))
        }

        private func answer(_ answer: Answer) throws {
            guard output.output == .text else { return try Screen.answer(answer) }
            for entry in answer.signed {
                let what = entry.published.isEmpty ? "was signed with it already" : "is signed"
                Screen.answer("\(entry.digest) \(what)")
            }
            Screen.answer("key: \(answer.key)")
        }

        private func signInStore(_ signing: SigningKey) async throws {
            let store = try root.openStore()
            let record = try ImageName.find(image, in: store)
            let name = record.names?.first ?? record.service?.text ?? "\(record.digest)"
            let subject = Statement.Subject(name: name, digest: record.digest)
            var statements = provenance ? [try await madeSo(subject)] : []
            if sbom { statements.append(try billOfMaterials(subject)) }
            let signer = StoreSigner(store: store)
            let types = try await signer.sign(record.digest, called: name, with: signing, saying: statements)
            if let save {
                try Sign.save(try signer.evidence(for: record.digest), of: record.digest, to: save)
            }
            var signed = [ImageSigner.Signed(digest: record.digest, published: types.map(\.text))]
            if let index = record.index {
                let types = try await signer.sign(
                    index, beside: record.digest, called: name, with: signing, saying: [])
                signed.append(ImageSigner.Signed(digest: index, published: types.map(\.text)))
            }
            await root.logSignatures(signed, at: name, by: signing.publicKey.id.text)
            try answer(Answer(reference: nil, key: signing.publicKey.id.text, signed: signed))
        }

        private func billOfMaterials(_ subject: Statement.Subject) throws -> Statement {
            let contents = try ImageContents(subject.digest, store: try root.openStore())
            return Statement(
                subjects: [subject], predicateType: .billOfMaterials,
                predicate: try JSONValue(parsing: try contents.billOfMaterials().bytes(.spdx)))
        }

        private func madeSo(_ subject: Statement.Subject) async throws -> Statement {
            let builder = try builder.required()
            let session = try BakeSession.native(
                try spec.reading(), root, store: try root.openStore(), registries: try registry.settings())
            let record = ProvenanceRecord(session: session, builder: builder)
            return try await record.provenance(of: subject.digest).statement(about: subject)
        }

        /// The digests that the image may have in the registry: that of the index which it came in, its own.
        private func candidates() throws -> [Digest] {
            if image.hasPrefix("sha256:"), let digest = try? Digest(parsing: image) { return [digest] }
            let record = try ImageName.find(image, in: try root.openStore())
            return [record.index, record.digest].compactMap { $0 }
        }

        /// The first that is there under the name.
        private static func digests(_ candidates: [Digest], _ signer: ImageSigner) async throws -> [Digest] {
            for candidate in candidates.dropLast() {
                do {
                    return try await signer.digests(of: candidate)
                } catch let failure as Failure where [.notFound, .conflict].contains(failure.code) {
                    continue
                }
            }
            return try await signer.digests(of: candidates[candidates.count - 1])
        }

        private static func save(_ signer: ImageSigner, _ digests: [Digest], to folder: String) async throws {
            for digest in digests { try save(try await signer.evidence(for: digest), of: digest, to: folder) }
        }

        /// One bundle a file, for machines that reach no registry.
        private static func save(_ evidence: [Evidence], of digest: Digest, to folder: String) throws {
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            for (number, evidence) in evidence.enumerated() {
                guard case .bundle(let bytes) = evidence else { continue }
                let path = "\(folder)/\(digest.hex)-\(number).sigstore.json"
                try Data(bytes).write(to: URL(fileURLWithPath: path), options: .atomic)
            }
        }
    }
}
