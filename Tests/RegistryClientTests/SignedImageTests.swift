import Foundation
import ImageFormat
import Model
import RegistryClient
import Synchronization
import TestKit
import Testing

/// Signed images in a real registry, judged by cosign, openssl and skopeo: first what is right, then everything that
/// can be wrong, each with the words that it is refused with.
@Suite(.serialized, .timeLimit(.minutes(60))) struct SignedImageTests {
    private static let repository = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent().path

    /// Programs of cosign's by their generation: `make setup` fetches them.
    private static let cosigns = ["2", "3"].filter {
        FileManager.default.isExecutableFile(atPath: cosign($0))
    }

    static func cosign(_ generation: String) -> String {
        "\(repository)/.build/peers/bin/cosign-\(generation)"
    }

    @Test(
        .enabled(if: DockerRegistry.isInstalled, "skipped: no docker-registry"),
        .enabled(if: !cosigns.isEmpty, "skipped: no cosign"), arguments: cosigns)
    func `cosign accepts what Kiln signed, and nothing else`(generation: String) async throws {
        let stage = try await Stage()
        let image = stage.images[0].digest
        try stage.sign(image, as: "v1")
        // The exact words of each refusal: a program that fails for another reason proves nothing.
        let isOld = generation == "2"
        let good = stage.cosignVerify(generation, "v1", key: stage.release)
        #expect(good.status == 0 && good.output.contains("\(image)"), "\(good.output)")
        let wrong = stage.cosignVerify(generation, "v1", key: stage.stranger)
        let words = isOld ? "invalid signature when validating ASN.1" : "could not verify envelope"
        #expect(wrong.status != 0 && wrong.output.contains(words), "\(wrong.output)")
        let unsigned = stage.cosignVerify(generation, "v2", key: stage.release)
        #expect(unsigned.status != 0 && unsigned.output.contains("no signatures found"), "\(unsigned.output)")
        // Another image under the signed one's name.
        try stage.putManifest(stage.images[1].manifest, stage.images[1].type, as: "v1")
        let moved = stage.cosignVerify(generation, "v1", key: stage.release)
        #expect(moved.status != 0 && moved.output.contains("no signatures found"), "\(moved.output)")
        judged(
            by: "cosign \(generation)", "images: another key, unsigned, moved",
            accepted: good.status == 0 ? 1 : 0, of: 1,
            refused: [wrong, unsigned, moved].count { $0.status != 0 }, of: 3)
    }

    @Test(
        .enabled(if: DockerRegistry.isInstalled, "skipped: no docker-registry"),
        .enabled(if: !cosigns.isEmpty, "skipped: no cosign"), arguments: cosigns)
    func `an index is signed as a whole and for each platform`(generation: String) async throws {
        let stage = try await Stage()
        let other = TestImage(seed: 9, architecture: "arm64")
        try stage.put(other, as: "arm")
        let index = TestImage.index([(stage.images[0], "linux/amd64"), (other, "linux/arm64")])
        try stage.putManifest(index, OCIDescriptor.indexType, as: "multi")
        let said = stage.kiln("image sign \(Digest.sha256(index)) \(stage.name("multi")) --key release")
        #expect(said.status == 0, "\(said.output)")
        var accepted = 0
        for tag in ["multi", "v1", "arm"] {
            let cosign = stage.cosignVerify(generation, tag, key: stage.release)
            #expect(cosign.status == 0, "\(cosign.output)")
            accepted += cosign.status == 0 ? 1 : 0
            #expect(stage.verify(tag, key: stage.release, "--any-reference").status == 0)
        }
        judged(
            by: "cosign \(generation)", "an index and its platforms", accepted: accepted, of: 3, refused: 0,
            of: 0)
        // All of it was signed as the one tag: a platform's image goes by its digest.
        #expect(stage.verify("multi", key: stage.release).status == 0)
        #expect(stage.verify("arm", key: stage.release).output.contains("rule reference:"))
        let byDigest = "\(stage.registry.address)/app@\(other.digest)"
        #expect(stage.kiln("verify \(byDigest) --key '\(stage.release)'").status == 0)
        #expect(stage.verify("v2", key: stage.release).status == 1)
    }

    @Test(
        .enabled(if: DockerRegistry.isInstalled, "skipped: no docker-registry"),
        .enabled(if: !cosigns.isEmpty, "skipped: no cosign"), arguments: cosigns)
    func `Kiln accepts what cosign signed with a key, and nothing else`(generation: String) async throws {
        let stage = try await Stage()
        let made = stage.cosign(generation, "generate-key-pair")
        try #require(made.status == 0, "\(made.output)")
        let tlog =
            generation == "2" ? "--tlog-upload=false" : "--signing-config='\(stage.folder.path)/signing.json'"
        // Version 3 is told by a file that there is no public log.
        try
            #"{"mediaType":"application/vnd.dev.sigstore.signingconfig.v0.2+json","rekorTlogConfig":{},"tsaConfig":{}}"#
            .write(toFile: "\(stage.folder.path)/signing.json", atomically: true, encoding: .utf8)
        let name = "\(stage.registry.address)/app@\(stage.images[0].digest)"
        let signed = stage.cosign(
            generation,
            "sign --yes --key cosign.key \(tlog) --allow-insecure-registry --allow-http-registry \(name)")
        try #require(signed.status == 0, "\(signed.output)")
        let key = "\(stage.folder.path)/cosign.pub"
        let said = stage.verify("v1", key: key)
        #expect(said.status == 0, "\(said.output)")
        judged(
            by: "kiln verify", "what cosign \(generation) signed", accepted: said.status == 0 ? 1 : 0, of: 1)
        let wrong = stage.verify("v1", key: stage.release)
        #expect(wrong.status == 1 && wrong.output.contains("rule key:"), "\(wrong.output)")
        #expect(stage.verify("v2", key: key).output.contains("rule unsigned:"))
    }

    /// Altered statements and payloads of a test.
    private static let alterations = 12

    @Test(
        .enabled(if: DockerRegistry.isInstalled, "skipped: no docker-registry"),
        .enabled(if: !cosigns.isEmpty, "skipped: no cosign"), arguments: cosigns)
    func `cosign and Kiln refuse every altered statement and signature`(generation: String) async throws {
        let stage = try await Stage()
        let image = stage.images[0]
        try stage.sign(image.digest, as: "v1")
        let (payload, signature) = try stage.payload(image.digest)
        let bundle = try stage.bundle(image.digest)
        let envelope = bundle["dsseEnvelope"]?.members ?? [:]
        let body = [UInt8](Data(base64Encoded: envelope["payload"]?.text ?? "") ?? Data())
        let newSignature = envelope["signatures"]?.elements?.first?["sig"]?.text ?? ""
        /// The older form for cosign 2, the newer one for cosign 3, in a repository that has no other.
        func put(_ number: Int, payload: [UInt8], signature: [UInt8]) throws {
            stage.repository = "altered-\(number)"
            try stage.put(image, as: "v1")
            guard generation != "2" else {
                return try stage.putLegacy(payload, signature, about: image.digest)
            }
            var members = envelope
            members["payload"] = .string(Data(payload).base64EncodedString())
            members["signatures"] = .array([
                .object(["sig": .string(Data(signature).base64EncodedString())])
            ])
            var whole = bundle.members ?? [:]
            whole["dsseEnvelope"] = .object(members)
            try stage.putBundle(JSONValue.object(whole).bytes, about: image)
        }
        let (goodPayload, goodSignature) =
            generation == "2"
            ? (payload, signature) : (body, [UInt8](Data(base64Encoded: newSignature) ?? Data()))
        // What is put by hand is accepted as long as it is what was signed.
        try put(0, payload: goodPayload, signature: goodSignature)
        let good = stage.cosignVerify(generation, "v1", key: stage.release)
        #expect(good.status == 0, "\(good.output)")
        #expect(stage.verify("v1", key: stage.release, "--any-reference").status == 0)
        var random = SeededGenerator(seed: 11)
        var (refused, refusedHere, altered) = (0, 0, 0)
        for number in 1...SignedImageTests.alterations {
            var (payload, signature) = (goodPayload, goodSignature)
            if number.isMultiple(of: 3) {
                signature = Mutation.of(signature, &random)
            } else {
                payload[Int.random(in: 0..<payload.count, using: &random)] ^= 1
            }
            guard payload != goodPayload || signature != goodSignature else { continue }
            try put(number, payload: payload, signature: signature)
            let cosign = stage.cosignVerify(generation, "v1", key: stage.release)
            #expect(cosign.status != 0, "\(cosign.output)")
            #expect(
                ["no matching signatures", "no matching attestations", "no signatures found"].contains {
                    cosign.output.contains($0)
                }, "\(cosign.output)")
            let kiln = stage.verify("v1", key: stage.release, "--any-reference")
            #expect(kiln.status == 1 && kiln.output.contains("rule "), "\(kiln.output)")
            refused += cosign.status != 0 ? 1 : 0
            refusedHere += kiln.status != 0 ? 1 : 0
            altered += 1
        }
        let what = "what cosign \(generation) reads, altered"
        judged(
            by: "cosign \(generation)", what, accepted: good.status == 0 ? 1 : 0, of: 1, refused: refused,
            of: altered)
        judged(
            by: "kiln verify", what, accepted: 0, of: 0, refused: refusedHere, of: altered)
    }

    @Test(.enabled(if: DockerRegistry.isInstalled, "skipped: no docker-registry"))
    func `a sign that is killed anywhere is completed by the next one, and nothing is there twice`()
        async throws
    {
        let stage = try await Stage()
        let image = stage.images[0].digest
        let command = "image sign \(image) \(stage.name("v1")) --key release"
        var killed = 0
        for hundredths in stride(from: 2, to: 40, by: 3) {
            let seconds = Double(hundredths) / 100
            killed += stage.kiln(command, before: "timeout -s KILL \(seconds)").status == 137 ? 1 : 0
        }
        #expect(killed > 0, "some were killed before they were done")
        try stage.sign(image, as: "v1")
        #expect(stage.verify("v1", key: stage.release).status == 0)
        let layers = try JSONValue(parsing: try stage.getManifest("sha256-\(image.hex).sig"))["layers"]
        #expect(layers?.elements?.count == 1)
        #expect(
            try OCIIndex(parsing: try stage.getManifest("sha256-\(image.hex)")).manifests.count == 1)
    }

    @Test(.enabled(if: DockerRegistry.isInstalled, "skipped: no docker-registry"))
    func `openssl verifies the older form, byte for byte`() async throws {
        let stage = try await Stage()
        let image = stage.images[0].digest
        try stage.sign(image, as: "v1")
        let (payload, signature) = try stage.payload(image)
        #expect(
            String(decoding: payload, as: UTF8.self)
                == #"{"critical":{"identity":{"docker-reference":"\#(stage.name("v1"))"},"image":{"docker-manifest-digest":"\#(image)"},"type":"cosign container image signature"},"optional":null}"#
        )
        func verify(_ payload: [UInt8], _ key: String) throws -> String {
            try Data(payload).write(to: URL(fileURLWithPath: "\(stage.folder.path)/payload"))
            try Data(signature).write(to: URL(fileURLWithPath: "\(stage.folder.path)/signature"))
            return shell(
                "cd '\(stage.folder.path)' && openssl dgst -sha256 -verify '\(key)' -signature signature payload"
            ).output
        }
        #expect(try verify(payload, stage.release).contains("Verified OK"))
        #expect(try verify(payload, stage.stranger).contains("Verification failure"))
        var random = SeededGenerator(seed: 5)
        var (refused, tried) = (0, 0)
        for _ in 0..<50 {
            let altered = Mutation.of(payload, &random)
            guard altered != payload else { continue }
            let said = try verify(altered, stage.release)
            #expect(said.contains("Verification failure"))
            refused += said.contains("Verification failure") ? 1 : 0
            tried += 1
        }
        judged(by: "openssl", "the older form", accepted: 1, of: 1, refused: refused, of: tried)
    }

    @Test(.enabled(if: DockerRegistry.isInstalled, "skipped: no docker-registry"))
    func `kiln verify accepts a good signature and refuses everything else by its rule`() async throws {
        let stage = try await Stage()
        let (first, second) = (stage.images[0].digest, stage.images[1].digest)
        try stage.sign(first, as: "v1")
        let good = stage.verify("v1", key: stage.release)
        #expect(good.status == 0 && good.output.contains("\(first) is signed as it should be"))
        // By the ring, with windows and revocations, and as JSON.
        #expect(stage.verify("v1", "--output json").output.contains(#""isAccepted" : true"#))
        func refused(_ said: (status: Int32, output: String), _ rule: String) {
            #expect(said.status == 1 && said.output.contains("rule \(rule):"), "\(said.output)")
        }
        refused(stage.verify("v2", key: stage.release), "unsigned")
        refused(stage.verify("v1", key: stage.stranger), "key")
        refused(stage.verify("v1", key: stage.release, "--require sbom"), "predicate")
        refused(stage.verify("v1", key: stage.release, "--builder https://ci.example"), "predicate")
        // A good signature, put beside another image.
        let (payload, signature) = try stage.payload(first)
        try stage.putBlob(payload)
        try stage.putLegacy(payload, signature, about: second)
        refused(stage.verify("v2", key: stage.release), "subject")
        // And altered so that it names that one.
        let forged = Array(
            String(decoding: payload, as: UTF8.self).replacing(first.hex, with: second.hex).utf8)
        try stage.putLegacy(forged, signature, about: second)
        refused(stage.verify("v2", key: stage.release), "key")
        #expect(stage.verify("v1", key: stage.release).status == 0)
        // The build key is not told from a deploy key by its mathematics: signing is refused by its role.
        let role = stage.kiln("image sign \(first) \(stage.name("v1")) --key ops")
        #expect(role.status == 1 && role.output.contains("this is a deploy key"), "\(role.output)")
        // A tag that is another image by now.
        let moved = stage.kiln("image sign \(first) \(stage.name("v2")) --key release")
        #expect(moved.status == 2 && moved.output.contains("is not \(first)"), "\(moved.output)")
        let revoked = stage.kiln("key revoke release --reason stolen")
        #expect(revoked.status == 0, "\(revoked.output)")
        refused(stage.verify("v1"), "revoked")
        #expect(stage.kiln("image sign \(first) \(stage.name("v1")) --key release").status == 2)
    }

    @Test(.enabled(if: DockerRegistry.isInstalled, "skipped: no docker-registry"))
    func `to sign again changes nothing, and two keys stand side by side`() async throws {
        let stage = try await Stage()
        let image = stage.images[0].digest
        try stage.sign(image, as: "v1")
        let before = try stage.getManifest("sha256-\(image.hex).sig")
        let referrers = try stage.getManifest("sha256-\(image.hex)")
        let again = stage.kiln("image sign \(image) \(stage.name("v1")) --key release")
        #expect(again.status == 0 && again.output.contains("was signed with it already"))
        #expect(try stage.getManifest("sha256-\(image.hex).sig") == before)
        #expect(try stage.getManifest("sha256-\(image.hex)") == referrers)
        try stage.sign(image, as: "v1", key: "stranger")
        for key in [stage.release, stage.stranger] {
            #expect(stage.verify("v1", key: key).status == 0)
            for generation in SignedImageTests.cosigns {
                let said = stage.cosignVerify(generation, "v1", key: key)
                #expect(said.status == 0, "\(said.output)")
            }
        }
    }

    @Test(
        .enabled(if: DockerRegistry.isInstalled, "skipped: no docker-registry"),
        .enabled(if: !cosigns.isEmpty, "skipped: no cosign"))
    func `signatures go along with an image that is copied with its referrers`() async throws {
        let stage = try await Stage()
        try stage.sign(stage.images[0].digest, as: "v1")
        let copied = stage.kiln(
            "image copy \(stage.name("v1")) \(stage.registry.address)/other:v1 --referrers")
        #expect(copied.status == 0, "\(copied.output)")
        stage.repository = "other"
        // They say where it was signed, which is elsewhere.
        let strict = stage.verify("v1", key: stage.release)
        #expect(strict.status == 1 && strict.output.contains("rule reference:"), "\(strict.output)")
        #expect(stage.verify("v1", key: stage.release, "--any-reference").status == 0)
        for generation in SignedImageTests.cosigns {
            let said = stage.cosignVerify(generation, "v1", key: stage.release)
            #expect(said.status == 0, "\(said.output)")
        }
    }

    @Test(.enabled(if: DockerRegistry.isInstalled, "skipped: no docker-registry"))
    func `an image that was signed as one version is refused under the tag of another`() async throws {
        let stage = try await Stage()
        let image = stage.images[0].digest
        try stage.sign(image, as: "v1")
        #expect(stage.verify("v1", key: stage.release).status == 0)
        try stage.put(stage.images[0], as: "v2")
        let said = stage.verify("v2", key: stage.release)
        let signed = stage.name("v1")
        #expect(
            said.status == 1
                && said.output.contains(
                    "rule reference: it was signed as \(signed), and \(stage.name("v2")) is asked for; key seen: "
                ),
            "\(said.output)")
        #expect(stage.verify("v2", key: stage.release, "--any-reference").status == 0)
        // Who asks for the digest has no tag in mind.
        #expect(
            stage.kiln("verify \(stage.registry.address)/app@\(image) --key '\(stage.release)'").status == 0)
        // The newer form alone says it too.
        try stage.run(
            "curl -sSf -o /dev/null -X PUT -H 'Content-Type: \(OCIDescriptor.manifestType)' --data-binary @'\(stage.folder.path)/manifest' http://\(stage.registry.address)/v2/app/manifests/sha256-\(image.hex).sig"
        )
        let newer = stage.verify("v2", key: stage.release)
        #expect(newer.status == 1 && newer.output.contains("rule reference:"), "\(newer.output)")
    }

    @Test(.enabled(if: DockerRegistry.isInstalled, "skipped: no docker-registry"))
    func `a policy in a file asks for what the options ask for, and known faults need the image itself`()
        async throws
    {
        let stage = try await Stage()
        try stage.sign(stage.images[0].digest, as: "v1")
        let policy = "\(stage.folder.path)/policy.yaml"
        func verify(_ text: String, _ more: String = "") throws -> (status: Int32, output: String) {
            try text.write(toFile: policy, atomically: true, encoding: .utf8)
            return stage.verify(
                "v1", key: nil, "--policy '\(policy)' --root '\(stage.folder.path)/root' \(more)")
        }
        #expect(try verify("require: [signature]\nkeys: [release]\n").status == 0)
        #expect(try verify("require: [signature]\n").status == 0)
        #expect(try verify("require: [signature]\nkeys: ['\(stage.release)']\n").status == 0)
        let other = try verify("require: [signature]\nkeys: [stranger]\n")
        #expect(other.status == 1 && other.output.contains("rule key:"), "\(other.output)")
        let more = try verify("require: [signature, sbom]\n")
        #expect(more.status == 1 && more.output.contains("rule predicate:"), "\(more.output)")
        let slip = try verify("require: [signature]\nkey: [release]\n")
        #expect(slip.status == 2 && slip.output.contains("policy.yaml:2"), "\(slip.output)")
        let both = try verify("require: [signature]\n", "--require sbom")
        #expect(both.status == 2 && both.output.contains("--policy says all"), "\(both.output)")
        let away = try verify("vulnerabilities: {feed: /feed.json}\n")
        #expect(
            away.status == 2 && away.output.contains("images of the store, which does not hold this one"),
            "\(away.output)")
        // The same image in the store, which says of no distribution that it is of it.
        let pulled = stage.kiln("image pull \(stage.name("v1")) --root '\(stage.folder.path)/root'")
        #expect(pulled.status == 0, "\(pulled.output)")
        try "[]".write(toFile: "\(stage.folder.path)/feed.json", atomically: true, encoding: .utf8)
        let unknown = try verify("vulnerabilities: {feed: '\(stage.folder.path)/feed.json'}\n")
        #expect(
            unknown.status == 1 && unknown.output.contains("rule feed:")
                && unknown.output.contains("does not say of which distribution"), "\(unknown.output)")
    }

    @Test(.enabled(if: DockerRegistry.isInstalled, "skipped: no docker-registry"))
    func `a saved statement is verified without a registry`() async throws {
        let stage = try await Stage()
        let image = stage.images[0].digest
        let folder = stage.folder.path + "/saved"
        let said = stage.kiln("image sign \(image) \(stage.name("v1")) --key release --save '\(folder)'")
        #expect(said.status == 0, "\(said.output)")
        let files = try FileManager.default.contentsOfDirectory(atPath: folder)
        let file = try #require(files.first)
        func verify(_ digest: Digest) -> (status: Int32, output: String) {
            // No network at all: a namespace with nothing in it.
            shell(
                "unshare --user --map-root-user --net '\(ProgramTests.path)' verify \(digest) --key '\(stage.release)' --bundle '\(folder)/\(file)'"
            )
        }
        #expect(files.count == 1 && verify(image).status == 0, "\(verify(image).output)")
        let other = verify(stage.images[1].digest)
        #expect(other.status == 1 && other.output.contains("rule subject:"), "\(other.output)")
    }

    @Test
    func `signing that breaks off at any request is completed by the next, and is nothing wrong till then`()
        async throws
    {
        let folder = try TemporaryFolder()
        func kiln(_ arguments: String) -> (status: Int32, output: String) {
            shell("KILN_KEYS='\(folder.path)/keys' '\(ProgramTests.path)' \(arguments) </dev/null")
        }
        #expect(kiln("key generate ci --role build --no-passphrase").status == 0)
        /// Counts down to the request that fails; nil for none.
        let countdown = Mutex<Int?>(nil)
        var behaviour = RegistryDouble.Behaviour()
        behaviour.fault = { _, _ in
            countdown.withLock { left in
                guard let now = left else { return nil }
                left = now - 1
                return now == 0 ? .status(403) : nil
            }
        }
        let registry = try await RegistryDouble(behaviour)
        let image = TestImage()
        var isDone = false
        var broken = 0
        // One more request succeeds each time, until all do.
        for step in 0..<100 where !isDone {
            registry.put(image, as: "v1", in: "r\(step)")
            let name = "\(registry.address)/r\(step):v1"
            countdown.withLock { $0 = step }
            let first = kiln("image sign \(image.digest) \(name) --key ci")
            isDone = countdown.withLock { left in
                defer { left = nil }
                return left.map { $0 >= 0 } ?? false
            }
            if first.status != 0 { broken += 1 }
            let between = kiln("verify \(name)")
            #expect(between.status == 0 || between.output.contains("rule unsigned:"), "\(between.output)")
            #expect(first.status != 0 || between.status == 0)
            let again = kiln("image sign \(image.digest) \(name) --key ci")
            #expect(again.status == 0, "\(again.output)")
            #expect(kiln("verify \(name)").status == 0)
            #expect(registry.manifest("\(SignatureTag.signatures.of(image.digest))", in: "r\(step)") != nil)
        }
        #expect(isDone && broken > 5)
    }

    @Test func `an open key that others can read is not used, and a sealed one wants its passphrase`() throws
    {
        let folder = try TemporaryFolder()
        func kiln(_ arguments: String, passphrase: String? = nil) -> (status: Int32, output: String) {
            let set = passphrase.map { "export KILN_KEY_PASSPHRASE='\($0)'" } ?? "unset KILN_KEY_PASSPHRASE"
            return shell(
                "\(set); '\(ProgramTests.path)' \(arguments) --keys '\(folder.path)/keys' </dev/null")
        }
        let image = "image sign sha256:\(Digest.sha256([1]).hex) localhost:1/app:v1"
        #expect(kiln("key generate ci --role build --no-passphrase").status == 0)
        let modes = shell("cd '\(folder.path)/keys' && stat -c %a . ci-*.key keys.json").output
        #expect(modes == "700\n600\n600\n")
        shell("chmod 644 '\(folder.path)'/keys/ci-*.key")
        let open = kiln("\(image) --key ci")
        #expect(open.status == 1 && open.output.contains("others can read it"), "\(open.output)")
        #expect(kiln("key generate sealed --role build").output.contains("nobody is here to type it"))
        #expect(kiln("key generate sealed --role build", passphrase: "short").output.contains("shorter than"))
        #expect(kiln("key generate sealed --role build", passphrase: "a long passphrase").status == 0)
        let wrong = kiln("\(image) --key sealed", passphrase: "another passphrase")
        #expect(wrong.status == 1 && wrong.output.contains("does not open this key"), "\(wrong.output)")
        #expect(kiln("\(image) --key sealed", passphrase: "a long passphrase").status == 3)
        let rotated = kiln("key rotate sealed --overlap 1d --output json", passphrase: "a long passphrase")
        #expect(rotated.status == 0 && rotated.output.contains(#""standing" : "trusted""#))
        #expect(kiln("key list").output.split(separator: "\n").count == 3)
    }
}
