import Foundation
import Model
import Testing
import Trust

@testable import CommandLineTool

/// Policies and keys as they lie in files.
@Suite final class PolicyReaderTests {
    private let folder: String
    private let build = try! SigningKey(generating: .build)
    private let ledger = try! SigningKey(generating: .ledger)

    init() throws {
        folder = NSTemporaryDirectory() + "kiln-policy-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    private func write(_ name: String, _ text: String) throws {
        try Data(text.utf8).write(to: URL(fileURLWithPath: folder + "/" + name))
    }

    private func ring() throws -> KeyRing {
        var ring = KeyRing()
        try ring.add(TrustedKey(name: "release", publicKey: build.publicKey, role: .build))
        try ring.add(TrustedKey(name: "log", publicKey: ledger.publicKey, role: .ledger))
        return ring
    }

    private func failures(_ body: () throws -> Void) -> [String] {
        do {
            try body()
            return []
        } catch {
            return Failure.list(error).map {
                "\($0.place ?? ""): \($0.message) → \($0.suggestion ?? "")".replacing(folder, with: "DIR")
            }
        }
    }

    private var der: String { Base64.encode(build.publicKey.der) }

    @Test func `a host without a policy file asks for nothing, and one that cannot be read is no such host`()
        throws
    {
        #expect(try PolicyReader.host(root: folder, ring: KeyRing()) == nil)
        try FileManager.default.createSymbolicLink(
            atPath: folder + "/policy.yaml", withDestinationPath: folder + "/gone")
        #expect(
            failures { _ = try PolicyReader.host(root: folder, ring: KeyRing()) } == [
                "DIR/policy.yaml: this link leads to no file → "
            ])
    }

    @Test func `a host names its build keys, all of a name, and files by their whole path`() throws {
        let new = try SigningKey(generating: .build)
        var ring = try ring()
        try ring.rotate("release", to: new.publicKey, overlap: .seconds(60), now: Instant(milliseconds: 0))
        try write("other.pem", build.publicKey.pem)
        try write("policy.yaml", "require: [signature]\nkeys: [release, \(folder)/other.pem]\n")
        let policy = try PolicyReader.host(root: folder, ring: ring)
        // The file holds one of the two once more.
        #expect(policy?.keys.map(\.name) == ["release", "release"])
        #expect(policy?.keys.map(\.publicKey) == [der, Base64.encode(new.publicKey.der)])
        try write("policy.yaml", "require: [signature]\n")
        #expect(try PolicyReader.host(root: folder, ring: ring)?.keys == [])
    }

    @Test func `a name that no build key of the host has is a failure`() throws {
        for name in ["relase", "log"] {
            try write("policy.yaml", "require: [signature]\nkeys: [\(name)]\n")
            #expect(
                failures { _ = try PolicyReader.host(root: folder, ring: try ring()) } == [
                    "DIR/policy.yaml: keys names \(name), and this host has no build key with that name → there are: release"
                ])
        }
    }

    @Test func `a release holds the public halves of its policy's keys, and the whole path of its feed`()
        throws
    {
        try write("release.pub", build.publicKey.pem)
        let draft = PolicyDraft(
            keys: ["release.pub"],
            rules: AdmissionPolicy(
                required: [PredicateType.signature.text],
                vulnerabilities: VulnerabilityRule(feed: "../feed.json", atLeast: .high)))
        let policy = try PolicyReader.service(draft, folder: folder)
        #expect(policy.keys == [AdmissionPolicy.Key(name: "release.pub", publicKey: der)])
        #expect(policy.vulnerabilities?.feed == NSTemporaryDirectory() + "feed.json")
    }

    @Test func `a pipe in a key's place is a failure, and nobody waits for its writer`() throws {
        try #require(mkfifo(folder + "/pipe.pub", 0o600) == 0)
        let draft = PolicyDraft(keys: ["pipe.pub"], rules: AdmissionPolicy())
        #expect(
            failures { _ = try PolicyReader.service(draft, folder: folder) }
                == ["DIR/pipe.pub: this is no regular file → "])
    }

    @Test func `a ring that leads nowhere is no ring without keys`() throws {
        try #require(symlink("/nowhere/keys.json", folder + "/keys.json") == 0)
        #expect(throws: Failure.self) { try KeyFolder(path: folder).ring() }
        #expect(try KeyFolder(path: folder + "/none").ring().keys.isEmpty)
    }

    @Test func `a key file that is missing or broken is a failure`() throws {
        try write("broken.pub", "-----BEGIN PUBLIC KEY-----\nMFkw\n-----END PUBLIC KEY-----\n")
        try write("ledger.pub", ledger.publicKey.pem)
        for (name, said) in [
            ("gone.pub", "DIR/gone.pub: there is no such file with a public key → "),
            (
                "broken.pub",
                "DIR/broken.pub: this public key cannot be used: it is neither of the curve P-256 nor an Ed25519 key "
                    + "→ `kiln key generate` makes one that can"
            ),
            (
                "ledger.pub",
                "DIR/ledger.pub: this is a key of the kind ed25519, and a build key is of the kind ecdsa-p256-sha256 "
                    + "→ `kiln key generate NAME --role build` makes one"
            ),
        ] {
            let draft = PolicyDraft(keys: [name], rules: AdmissionPolicy())
            #expect(failures { _ = try PolicyReader.service(draft, folder: folder) } == [said])
        }
    }
}
