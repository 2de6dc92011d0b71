internal import ArgumentParser
internal import Baking
internal import Foundation
internal import Model
internal import Ports
internal import RegistryClient
internal import Trust

struct VerifyVerb: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Say whether an image is signed as it should be, and by whom.",
        discussion: """
            Nobody but the registry that holds the image is asked, and of an image of the store not even that. Signatures by
            cosign with a key are read as well as Kiln's own. A refusal names the rule, the key that was seen, and
            what would satisfy it. What was signed under another name is refused, too: the name in a signature has to be
            the one that is asked for. Known faults are looked for in images that the store holds.

            Examples:
              kiln verify registry.example/team/hello:v1 --key release.pub
              kiln verify registry.example/team/hello:v1 --require provenance --builder https://ci.example/runner
              kiln verify registry.example/team/hello:v1 --policy policy.yaml --feed osv.jsonl
              kiln verify hello                                       in the store, by the keys of this host
              kiln verify hello --policy /var/lib/kiln/policy.yaml
              kiln verify hello --key release.pub --bundle hello.sigstore.json
            """)

    @Argument(
        help: "registry.example/team/app:v1, or an image of the store; with --bundle also a whole digest.")
    var image: String
    @Option(
        help: ArgumentHelp(
            "A public key that is trusted (PEM); may be given several times. Else the build keys of the folder.",
            valueName: "file"), completion: .file())
    var key: [String] = []
    @Option(
        help: ArgumentHelp(
            "A signed statement (sigstore bundle) in a file, in place of a registry's.", valueName: "file"),
        completion: .file())
    var bundle: [String] = []
    @Option(
        help: ArgumentHelp(
            "All that is asked for, in a host's policy file or a kiln.yaml, in place of the options below.",
            valueName: "file"), completion: .file(extensions: ["yaml", "yml"]))
    var policy: String?
    @Option(
        help:
            "What must be there: signature (the default), provenance, sbom or the type of a predicate. Exactly that."
    )
    var require: [String] = []
    @Option(help: ArgumentHelp("A builder whose provenance will do.", valueName: "uri"))
    var builder: [String] = []
    @Option(help: ArgumentHelp("A repository that the image may come from.", valueName: "uri"))
    var source: [String] = []
    @Flag(help: "Changes that no commit has will do.")
    var allowDirty = false
    @Option(help: ArgumentHelp("How long ago the bake may have ended.", valueName: "span"))
    var maxAge: String?
    @Flag(help: "Whatever name it was signed under will do.")
    var anyReference = false
    @Option(
        help: ArgumentHelp(
            "Known faults of packages: OSV records, or the JSON of Debian's tracker.", valueName: "file"),
        completion: .file())
    var feed: String?
    @Option(help: "The least severity of a known fault that is refused (default: high, or the policy's).")
    var refuse: Severity?
    @OptionGroup var keys: KeyFolderOptions
    @OptionGroup var registry: RegistryOptions
    @OptionGroup var root: RootOptions
    @OptionGroup var output: OutputOptions

    func validate() throws {
        if let maxAge, Span(maxAge) == nil {
            throw ValidationError("--max-age takes a time such as 30d, not \"\(maxAge)\"")
        }
        let isAsked = !(key + require + builder + source).isEmpty || allowDirty || maxAge != nil
        if policy != nil, isAsked {
            throw ValidationError(
                "--policy says all that is asked for: leave out --key, --require, --builder, --source, --allow-dirty and --max-age"
            )
        }
        if refuse != nil, feed == nil, policy == nil {
            throw ValidationError("--refuse needs --feed")
        }
    }

    struct Answer: Encodable {
        struct Proof: Encodable { var predicateType: String; var key: String; var keyID: String }
        var image: Digest
        var isAccepted: Bool
        var proofs: [Proof]
        /// Known faults that the policy lets pass for a time; nil where none were looked for.
        var excepted: [FaultVerdict.Excepted]?
    }

    func run() async throws {
        let (policy, rule) = try asked()
        let (digest, evidence, index) = try await found(needsStatements: !policy.demanded.isEmpty)
        var refusals: [TrustRefusal] = []
        var believed: [Believed] = []
        var decision = policy.decide(image: digest, evidence: evidence, now: Instant.fromClock)
        // Who signs an index signs what it lists: so does the daemon decide, and from the same store.
        if case .refused = decision, let index,
            case .accepted(let counts) = policy.decide(
                image: index, evidence: evidence, now: Instant.fromClock)
        {
            decision = .accepted(counts)
        }
        switch decision {
        case .refused(let why): refusals += why
        case .accepted(let counts): believed = counts
        }
        var excepted: [FaultVerdict.Excepted]?
        if let rule {
            switch try faults(of: digest, rule) {
            case .success(let verdict): excepted = verdict.excepted
            case .failure(let refused): refusals += refused.why
            }
        }
        guard refusals.isEmpty else { throw Failures(refusals.map { $0.failure.at(image) }) }
        let proofs = believed.map {
            Answer.Proof(
                predicateType: $0.predicateType.text, key: $0.key.name, keyID: $0.key.publicKey.id.text)
        }
        guard output.output == .text else {
            return try Screen.answer(
                Answer(image: digest, isAccepted: true, proofs: proofs, excepted: excepted))
        }
        Screen.answer(
            proofs.isEmpty
                ? "\(digest): nothing had to be signed" : "\(digest) is signed as it should be")
        if !proofs.isEmpty {
            Screen.answer(Screen.table(proofs.map { ["  " + $0.predicateType, "by \($0.key)", $0.keyID] }))
        }
        guard let excepted else { return }
        Screen.answer("no known fault keeps it from starting")
        for item in excepted {
            let what = "\(item.fault.id) in \(item.fault.package)"
            Screen.answer("  \(what) may pass until \(item.until): \(item.reason)")
        }
    }

    /// What must be signed, and which known faults are refused.
    private func asked() throws -> (TrustPolicy, VulnerabilityRule?) {
        var asked: AdmissionPolicy
        // What this host's ring says of a key holds also where the key is named.
        let ring = try ring()
        if let policy {
            asked = try PolicyReader.any(file: policy, ring: ring)
        } else {
            asked = AdmissionPolicy(
                keys: try key.map { try PolicyReader.key(file: $0, called: $0) },
                required: (require.isEmpty ? ["signature"] : require).map(PredicateWord.type),
                builders: builder.isEmpty ? nil : builder, sources: source.isEmpty ? nil : source,
                allowsDirtySources: allowDirty, maximumAge: maxAge.flatMap { Span($0) })
        }
        if let feed {
            asked.vulnerabilities?.feed = feed
            asked.vulnerabilities =
                asked.vulnerabilities ?? VulnerabilityRule(feed: feed, atLeast: refuse ?? .high)
        }
        if let refuse { asked.vulnerabilities?.atLeast = refuse }
        var policy = try asked.trustPolicy(ring: ring)
        guard !policy.keys.isEmpty || policy.demanded.isEmpty else {
            throw Failure(
                .invalidArgument, "no key is trusted, so nothing can be verified",
                suggestion: "name a public key with --key, or a folder of keys with --keys")
        }
        if !anyReference { policy.reference = try name() }
        return (policy, asked.vulnerabilities)
    }

    /// The keys of the folder. Where others are named they are only looked up there, so that a folder which somebody may not
    /// look into is no obstacle; one that is damaged could bring a revoked key back.
    private func ring() throws -> KeyRing {
        do {
            return try keys.folder(root).ring()
        } catch let failure as Failure where failure.code == .notPermitted && !key.isEmpty {
            Screen.warn("which keys were revoked here is not known: \(failure)")
            return KeyRing()
        }
    }

    /// What the image is asked for as; nil where no registry is.
    private func name() throws -> SignedName? {
        guard case .registry(let reference) = try ImageLocation(parsing: image) else { return nil }
        let tag = reference.digest == nil ? (reference.tag ?? .latest).text : reference.tag?.text
        return SignedName(repository: "\(reference.host)/\(reference.repository)", tag: tag)
    }

    /// By the records of the image in the store. For an index it is the image of it that is there.
    private func faults(of digest: Digest, _ rule: VulnerabilityRule) throws
        -> Result<FaultVerdict, VulnerabilityRule.Refused>
    {
        let store = try root.openStore()
        let record: ImageRecord
        do {
            record = try ImageName.find(digest.description, in: store)
        } catch {
            throw Failure(
                .notFound, "known faults are looked for in images of the store, which does not hold this one",
                at: image, suggestion: "kiln image pull \(image)")
        }
        let now = Instant.fromClock
        let contents: ImageContents
        do {
            contents = try ImageContents(record.digest, store: store)
        } catch {
            return rule.decide(packages: [], reading: .packagesUnknown(Failure.list(error)[0]), now: now)
        }
        let reading = FeedFiles().reading(
            rule.feed, packages: contents.packages, distribution: contents.distribution)
        return rule.decide(packages: contents.packages, reading: reading, now: now)
    }

    /// What is to be verified, all that speaks for it, and the index of the store that lists it.
    private func found(needsStatements: Bool) async throws -> (Digest, [Evidence], index: Digest?) {
        guard bundle.isEmpty else {
            return (try namedDigest(), try bundle.map { .bundle(try VerifyVerb.bytes($0)) }, nil)
        }
        guard case .registry(let reference) = try ImageLocation(parsing: image) else {
            let digest = try namedDigest()
            guard needsStatements else { return (digest, [], nil) }
            let store = try root.openStore()
            let index = try store.record(of: digest)?.index.flatMap { index in
                try store.listed(in: index).contains(digest) ? index : nil
            }
            return (digest, try StoreSigner(store: store).evidence(for: digest), index)
        }
        return try await registry.withClient { client in
            let repository = client.repository(reference.host, reference.repository)
            guard let document = try await repository.document(reference.manifestName) else {
                throw Failure(
                    .notFound, "the registry has no image \(reference.manifestName)", at: repository.place,
                    suggestion: "check the repository and the tag")
            }
            let signer = ImageSigner(client: client, reference: reference)
            return (document.digest, try await signer.evidence(for: document.digest), nil)
        }
    }

    private func namedDigest() throws -> Digest {
        if image.hasPrefix("sha256:"), let digest = try? Digest(parsing: image) { return digest }
        if case .registry(let reference) = try ImageLocation(parsing: image), let digest = reference.digest {
            return digest
        }
        var name = image
        if case .store(let text) = try ImageLocation(parsing: image) { name = text }
        return try ImageName.find(name, in: try root.openStore()).digest
    }

    private static func bytes(_ path: String) throws -> [UInt8] {
        guard let bytes = try KeyFolder.read(path, limit: JSONValue.Limit.bytes) else {
            throw Failure(.fileMissing, "there is no such file", at: path)
        }
        return bytes
    }
}
