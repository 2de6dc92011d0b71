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

    /// Signs what was just baked, if that is asked for; with its provenance where a builder vouches for it.
    func sign(_ result: BakeResult, of session: BakeSession, specPath: String, root: RootOptions) async throws
    {
        guard let key else { return }
        let signing = try signer.signingKey(key, for: .build, root)
        let name = session.spec.service.text
        let image = result.image.digest
        var statements: [Statement] = []
        if let builder = builder.stated {
            let record = ProvenanceRecord(session: session, specPath: specPath, builder: builder)
            statements.append(
                try await record.provenance(of: image).statement(
                    about: Statement.Subject(name: name, digest: image)))
        }
        let types = try await StoreSigner(store: session.store)
            .sign(image, called: name, with: signing, saying: statements)
        let signed = ImageSigner.Signed(digest: image, published: types.map(\.text))
        await root.logSignatures([signed], at: name, by: signing.publicKey.id.text)
        Screen.note(
            types.isEmpty
                ? "\(image) was signed with \(key) already"
                : "\(image) is signed with \(key): \(types.map(\.called).joined(separator: ", "))")
    }
}

struct BuilderOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Say how it was made too, in a provenance that this builder vouches for (default: $KILN_BUILDER).",
            valueName: "uri"))
    var builder: String?

    /// Argument, then environment.
    var stated: String? {
        (builder ?? ProcessInfo.processInfo.environment["KILN_BUILDER"]).flatMap {
            $0.contains(":") ? $0 : nil
        }
    }

    func required() throws -> String {
        guard let stated else {
            throw Failure(
                .invalidArgument, "a provenance says who vouches for the bake",
                suggestion: "--builder https://ci.example/runner, or set KILN_BUILDER")
        }
        return stated
    }
}
