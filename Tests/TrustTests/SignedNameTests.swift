import Model
import Testing
import Trust

@Suite struct SignedNameTests {
    private let key = try! SigningKey(generating: .build)

    @Test(
        arguments: [
            ("reg.example/app:v1", "reg.example/app", "v1"), ("reg.example/app", "reg.example/app", nil),
            ("localhost:5000/team/app:v1", "localhost:5000/team/app", "v1"),
            ("localhost/app", "localhost/app", nil), ("[::1]:5000/app:v1", "[::1]:5000/app", "v1"),
            ("reg.example/app:v1@sha256:00", "reg.example/app", "v1"),
            ("index.docker.io/library/nginx:1", "docker.io/library/nginx", "1"),
        ] as [(String, String, String?)])
    func `a name is a repository and perhaps a tag`(_ text: String, _ repository: String, _ tag: String?) {
        #expect(SignedName(text) == SignedName(repository: repository, tag: tag))
    }

    @Test(arguments: ["", "app", "app:v1", "team/app", "hello.tar.gz", "pkg:oci/app", "file:/a/b", "@/x"])
    func `a text without a registry is no name`(_ text: String) { #expect(SignedName(text) == nil) }

    private func refusal(signedAs name: String, asked: String?, isBundle: Bool) throws -> TrustRefusal? {
        var policy = TrustPolicy(keys: [Fixture.trusted(key)])
        policy.reference = asked.flatMap { SignedName($0) }
        let evidence: Evidence
        if isBundle {
            var statement = Fixture.statement()
            statement.subjects[0].name = name
            evidence = .bundle(try SigstoreBundle(statement, signedWith: key).bytes)
        } else {
            let payload = SimpleSigning(reference: name, digest: Fixture.image)
            evidence = .simpleSigning(
                payload: payload.bytes, signature: Base64.encode(try payload.signature(with: key)))
        }
        switch policy.decide(image: Fixture.image, evidence: [evidence], now: Fixture.now) {
        case .accepted: return nil
        case .refused(let refusals): return refusals.first
        }
    }

    /// Signed as, asked for as, whether it is accepted in the older form and in the newer one.
    static let table: [(String, String?, Bool, Bool)] = [
        ("reg.example/app:v1", "reg.example/app:v1", true, true),
        ("reg.example/app:v1", "reg.example/app", true, true),
        // cosign signs repositories.
        ("reg.example/app", "reg.example/app:v1", true, true),
        ("index.docker.io/library/nginx", "docker.io/library/nginx:1", true, true),
        ("reg.example/app:v1", "reg.example/app:v2", false, false),
        ("reg.example/app:v1", "reg.example/other:v1", false, false),
        ("reg.example/app:v1", "mirror.example/app:v1", false, false),
        ("reg.example/app", "reg.example/app2", false, false),
        ("reg.example:5000/app", "reg.example/app", false, false),
        // In the newer form a subject needs no name.
        ("", "reg.example/app:v1", false, true), ("app.tar", "reg.example/app:v1", false, true),
        ("reg.example/app:v1", nil, true, true), ("", nil, true, true),
    ]

    @Test(arguments: table.indices)
    func `an image that was signed under another name is refused under this one`(row: Int) throws {
        let (signed, asked, isAcceptedOlder, isAcceptedNewer) = Self.table[row]
        for (isBundle, isAccepted) in [(false, isAcceptedOlder), (true, isAcceptedNewer)] {
            let refusal = try refusal(signedAs: signed, asked: asked, isBundle: isBundle)
            #expect(refusal?.rule == (isAccepted ? nil : .reference), "\(isBundle)")
        }
    }

    @Test func `a refusal names both names, the key and what to do`() throws {
        let refusal = try refusal(
            signedAs: "reg.example/app:v1", asked: "reg.example/app:v2", isBundle: false)
        #expect(
            refusal?.message == "it was signed as reg.example/app:v1, and reg.example/app:v2 is asked for")
        #expect(refusal?.keySeen == Fixture.trusted(key).called)
        #expect(
            refusal?.remedy
                == "kiln image sign IMAGE reg.example/app:v2 --key NAME, or verify with --any-reference")
    }
}
