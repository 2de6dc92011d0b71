import Foundation
import Model
import Testing
import Trust

/// Envelopes, statements, bundles and payloads, to the byte.
@Suite struct EvidenceFormTests {
    @Test func `what is signed is DSSE's pre-authentication encoding`() {
        let encoded = Envelope.preAuthentication("http://example.com/HelloWorld", Array("hello world".utf8))
        #expect(
            String(decoding: encoded, as: UTF8.self)
                == "DSSEv1 29 http://example.com/HelloWorld 11 hello world")
        #expect(
            String(decoding: Envelope.preAuthentication("é", [0x41]), as: UTF8.self) == "DSSEv1 2 é 1 A")
        #expect(String(decoding: Envelope.preAuthentication("", []), as: UTF8.self) == "DSSEv1 0  0 ")
    }

    @Test func `the payload of the older form is cosign's to the byte`() throws {
        let hex = String(repeating: "0f", count: 32)
        let payload = SimpleSigning(reference: "reg.example/app:v1", digest: try Digest(hex: hex))
        let text =
            #"{"critical":{"identity":{"docker-reference":"reg.example/app:v1"},"image":{"docker-manifest-digest":"sha256:\#(hex)"},"type":"cosign container image signature"},"optional":null}"#
        #expect(String(decoding: payload.bytes, as: UTF8.self) == text)
        #expect(try SimpleSigning(parsing: payload.bytes) == payload)
        for (from, to) in [
            ("docker-manifest-digest", "Docker-manifest-digest"), ("cosign container image", "another"),
            ("{\"critical\":{", "{\"critical\":{\"more\":1,"), ("sha256:", "sha512:"),
        ] {
            #expect(
                failure {
                    _ = try SimpleSigning(parsing: Array(text.replacing(from, with: to).utf8))
                }?.code == .malformedEvidence, "\(to)")
        }
    }

    @Test func `a bundle has sigstore's members, one signature and no key id`() throws {
        let key = try SigningKey(generating: .build)
        let bundle = try SigstoreBundle(Fixture.statement(), signedWith: key)
        let json = try JSONValue(parsing: bundle.bytes)
        #expect(json["mediaType"]?.text == "application/vnd.dev.sigstore.bundle.v0.3+json")
        #expect(json["verificationMaterial"]?["publicKey"]?["hint"]?.text == key.publicKey.id.text)
        let envelope = try #require(json["dsseEnvelope"])
        #expect(envelope["payloadType"]?.text == "application/vnd.in-toto+json")
        #expect(envelope["signatures"]?.elements?.map { $0.members?.keys.sorted() } == [["sig"]])
        let payload = try #require(envelope["payload"]?.text.flatMap(Base64.decode))
        let statement = try JSONValue(parsing: payload)
        #expect(statement["_type"]?.text == "https://in-toto.io/Statement/v1")
        #expect(statement["predicateType"]?.text == "https://sigstore.dev/cosign/sign/v1")
        #expect(
            statement["subject"]?.elements?.first?["digest"]?["sha256"]?.text == Fixture.image.hex)
        #expect(try SigstoreBundle(parsing: bundle.bytes) == bundle)
    }

    @Test func `both alphabets of base64 are the same envelope`() throws {
        let key = try SigningKey(generating: .build)
        // Until the signature has a character that differs between the alphabets.
        let bundle = try #require(
            try (0..<100).lazy.map { _ in try SigstoreBundle(Fixture.statement(), signedWith: key) }.first {
                Base64.encode($0.envelope.signature).contains { "+/".contains($0) }
            })
        let signature = Base64.encode(bundle.envelope.signature)
        let urlSafe = signature.replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
        let text = String(decoding: bundle.bytes, as: UTF8.self).replacing(signature, with: urlSafe)
        let read = try SigstoreBundle(parsing: Array(text.utf8))
        #expect(read == bundle && read.envelope.isSigned(by: key.publicKey))
    }

    @Test(arguments: [
        (#""signatures":[]"#, "0 signatures"),
        (#""signatures":[{"sig":"AA=="},{"sig":"AA=="}]"#, "2 signatures"),
        (#""signatures":[{"sig":"AA==","keyid":"me"}]"#, "names a key"),
        (#""signatures":[{"sig":"A"}]"#, "no base64"),
        (#""signatures":[{"sig":"AA==","extra":1}]"#, "no base64"),
        (#""signatures":[{"sig":"AA=="}],"more":1"#, "not DSSE's"),
        (#""signatures":[{"sig":"AA=="}],"payload":"AA==""#, "twice"),
        (#""signatures":{"sig":"AA=="}"#, "lacks"),
    ])
    func `an envelope that two readers could understand in two ways is refused`(part: String, why: String) {
        let text = #"{"payload":"AA==","payloadType":"t",\#(part)}"#
        let said = failure { _ = try Envelope(parsing: Array(text.utf8)) }
        #expect(
            said?.code == .malformedEvidence && said?.message.contains(why) ?? false,
            "\(String(describing: said))")
    }

    @Test(arguments: [
        String(repeating: "[", count: 100_000), String(repeating: "{\"a\":", count: 100_000), "",
        "{", "null", #"{"mediaType":1e999999999}"#, #"{"a":1,"a":2}"#, "{\"a\":\"\u{1}\"}",
        #"{"subject":[],"_type":"https://in-toto.io/Statement/v1","predicateType":"a"}"#,
        #"{"subject":[{"digest":{"sha256":"x"}}],"_type":"https://in-toto.io/Statement/v1","predicateType":"a"}"#,
        #"{"subject":[{"digest":{}}],"_type":"https://in-toto.io/Statement/v0.1","predicateType":"a"}"#,
    ])
    func `nonsense is refused by every reader`(_ text: String) {
        let bytes = Array(text.utf8)
        #expect(failure { _ = try SigstoreBundle(parsing: bytes) } != nil)
        #expect(failure { _ = try Envelope(parsing: bytes) } != nil)
        #expect(failure { _ = try Statement(parsing: bytes) } != nil)
        #expect(failure { _ = try SimpleSigning(parsing: bytes) } != nil)
        #expect(failure { _ = try KeyRing(parsing: bytes) } != nil)
        #expect(failure { _ = try KeyFile(parsing: bytes) } != nil)
        #expect(failure { _ = try SignedNote(parsing: bytes) } != nil)
    }

    @Test func `a provenance and a summary are read as they were written`() throws {
        let provenance = Provenance(
            recipe: Fixture.other, includes: [.init(path: "../base.yaml", sha256: Fixture.image)],
            source: .init(repository: "https://git.example/shop", commit: "abc123", isDirty: true),
            materials: [.init(uri: "pkg:deb/debian/a@1?arch=amd64", digests: ["sha256": Fixture.other.hex])],
            builder: "https://ci.example/runner", startedOn: Fixture.now, finishedOn: Fixture.now,
            log: Fixture.image)
        #expect(try Provenance(try JSONValue(parsing: provenance.predicate.bytes)) == provenance)
        let summary = VerificationSummary(
            verifier: "https://host.example/kiln", verifiedAt: Fixture.now, resource: "shop@production",
            policy: Fixture.other, evidence: [Fixture.image], isPassed: true)
        #expect(try VerificationSummary(try JSONValue(parsing: summary.predicate.bytes)) == summary)
        #expect(summary.predicate["policy"]?["uri"]?.text == "urn:kiln:policy:sha256:\(Fixture.other.hex)")
        #expect(summary.predicate["verifiedLevels"] == .array([]))
        var failed = summary
        failed.isPassed = false
        #expect(failed.predicate["verifiedLevels"] == .array([.string("FAILED")]))
        let staging = ServiceKey(try ServiceName("shop"), in: try EnvironmentName("staging"))
        #expect(VerificationSummary.resource(staging) == "urn:kiln:service:shop@staging")
        let text = String(decoding: provenance.predicate.bytes, as: UTF8.self)
        let odd = try JSONValue(
            parsing: Array(
                text.replacing("\"externalParameters\":{", with: "\"externalParameters\":{\"odd\":1,").utf8))
        #expect(failure { _ = try Provenance(odd) }?.message.contains("\"odd\"") ?? false)
    }
}
