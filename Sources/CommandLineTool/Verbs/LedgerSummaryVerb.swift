internal import ArgumentParser
internal import Model
internal import Notary
internal import Ports
internal import Trust

extension LedgerVerb {
    struct Summary: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Print what was decided of an image, as a statement that others can read.",
            discussion: """
                An in-toto statement of the type \(PredicateType.verificationSummary), as SLSA has it: the image, the
                policy, what was believed, and whether it passed. With a deploy key it is signed, as a bundle.

                Examples:
                  kiln ledger show --kind admission
                  kiln ledger summary 4711
                  kiln ledger summary 4711 --key release-manager > admitted.sigstore.json
                """)

        @Argument(help: "The number of an entry of the kind admission.")
        var number: Int
        @Option(help: ArgumentHelp("Sign it with this deploy key, by name or key file.", valueName: "name"))
        var key: String?
        @OptionGroup var signer: SigningKeyOptions
        @OptionGroup var root: RootOptions

        func validate() throws {
            guard number >= 0 else { throw ValidationError("The first entry is number 0.") }
        }

        func run() async throws {
            let entry = try Adapters.require().openLedger(root.path, true).entry(number).parsed()
            guard let statement = try VerificationSummary.statement(in: entry) else {
                throw Failure(
                    .notFound,
                    "entry \(number) is no admission that asked for anything: it is \(entry.kind.rawValue)",
                    suggestion: "`kiln ledger show --kind admission` lists those")
            }
            let bytes =
                try key.map {
                    try SigstoreBundle(statement, signedWith: try signer.signingKey($0, for: .deploy, root))
                        .bytes
                } ?? statement.bytes
            Screen.draw(String(decoding: bytes, as: UTF8.self) + "\n")
        }
    }
}
