internal import ArgumentParser
internal import Baking
internal import Foundation
internal import Model
internal import Ports
internal import Trust

/// How verbs that make images sign what they made.
struct SigningOptions: ParsableArguments {
    @Option(
        name: .customLong("sign"),
        help: ArgumentHelp(
            "Sign the image with this build key, by name or key file, where it lies in the store.",
            valueName: "key"))
    var key: String?
    @OptionGroup var builder: BuilderOptions
    @OptionGroup var signer: SigningKeyOptions

    func validate() throws {
        if key == nil, builder.builder != nil {
            throw ValidationError("--builder says who vouches for what is signed: name a key with --sign")
        }
    }

    /// Signs what was just baked, if that is asked for; with its provenance where a builder vouches for it.
    func sign(_ result: BakeResult, of session: BakeSession) async throws {
        guard let key else { return }
        let root = session.root
        let signing = try signer.signingKey(key, for: .build, root)
        let name = session.spec.service.text
        let image = result.image.digest
        var statements: [Statement] = []
        if let builder = try builder.stated {
            let record = ProvenanceRecord(session: session, builder: builder)
            statements.append(
                try await record.provenance(of: image).statement(
                    about: Statement.Subject(name: name, digest: image)))
        }
        let types = try await StoreSigner(store: session.store)
            .sign(image, called: name, with: signing, saying: statements)
        await tell(image, as: name, types, key, signing, root)
    }

    /// Signs the index of images that were just baked and signed, if that is asked for: whoever asks for it by its digest
    /// finds it signed too. How each of its images was made, their own provenances say.
    func sign(_ index: PlatformIndex, called name: String, _ store: any ImageStore, _ root: RootOptions)
        async throws
    {
        guard let key else { return }
        let signing = try signer.signingKey(key, for: .build, root)
        let signer = StoreSigner(store: store)
        for record in try store.images() where record.index == index.digest {
            let types = try await signer.sign(
                index.digest, beside: record.digest, called: name, with: signing, saying: [])
            await tell(index.digest, as: name, types, key, signing, root)
        }
    }

    private func tell(
        _ digest: Digest, as name: String, _ types: [PredicateType], _ key: String, _ signing: SigningKey,
        _ root: RootOptions
    ) async {
        let signed = ImageSigner.Signed(digest: digest, published: types.map(\.text))
        await root.logSignatures([signed], at: name, by: signing.publicKey.id.text)
        Screen.note(
            types.isEmpty
                ? "\(digest) was signed with \(key) already"
                : "\(digest) is signed with \(key): \(types.map(\.called).joined(separator: ", "))")
    }
}

struct BuilderOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Say how it was made too, in a provenance that this builder vouches for (default: $KILN_BUILDER).",
            valueName: "uri"))
    var builder: String?

    /// Argument, then environment; nil where neither says anything. Throws where what is said is no URI: nobody is to
    /// believe that a provenance was signed which was not.
    var stated: String? {
        get throws {
            let environment = ProcessInfo.processInfo.environment["KILN_BUILDER"]
            guard let stated = builder ?? environment.flatMap({ $0.isEmpty ? nil : $0 }) else { return nil }
            guard BuilderOptions.isURI(stated) else {
                throw Failure(
                    .invalidArgument, "\"\(stated.prefix(120))\" is no URI of a builder",
                    at: builder == nil ? "KILN_BUILDER" : "--builder",
                    suggestion: "write https://ci.example/runner, or another URI that names it")
            }
            return stated
        }
    }

    /// A scheme, a colon, and something without spaces (RFC 3986).
    static func isURI(_ text: String) -> Bool {
        let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, let first = parts[0].utf8.first, (0x61...0x7a).contains(first | 0x20),
            !parts[1].isEmpty
        else { return false }
        return parts[0].utf8.allSatisfy {
            (0x61...0x7a).contains($0 | 0x20) || (0x30...0x39).contains($0) || "+-.".utf8.contains($0)
        } && parts[1].utf8.allSatisfy { (0x21...0x7e).contains($0) }
    }

    func required() throws -> String {
        guard let stated = try stated else {
            throw Failure(
                .invalidArgument, "a provenance says who vouches for the bake",
                suggestion: "--builder https://ci.example/runner, or set KILN_BUILDER")
        }
        return stated
    }
}
