import Foundation
import Model
import Testing
import Trust
import TestKit

@Suite struct KeyTests {
    @Test(.enabled(if: Tool.hasOpenSSL, "skipped: no openssl"), arguments: KeyRole.allCases)
    func `openssl verifies what a key of any role signs, and nothing else`(role: KeyRole) throws {
        let folder = try TemporaryFolder()
        let key = try PrivateKey(generating: role.algorithm)
        let message = Array("what is signed".utf8)
        let signature = try key.signature(of: message)
        try folder.write("public.pem", Array(key.publicKey.pem.utf8))
        try folder.write("message", message)
        try folder.write("altered", message + [0])
        try folder.write("signature", signature)
        func verify(_ file: String) -> Bool {
            let command =
                role.algorithm == .p256
                ? "openssl dgst -sha256 -verify public.pem -signature signature \(file)"
                : "openssl pkeyutl -verify -pubin -inkey public.pem -rawin -sigfile signature -in \(file)"
            return shell("cd '\(folder.path)' && \(command)").status == 0
        }
        #expect(verify("message"))
        #expect(!verify("altered"))
        #expect(key.publicKey.verifies(signature, of: message))
        #expect(!key.publicKey.verifies(signature, of: message + [0]))
        #expect(try !PrivateKey(generating: role.algorithm).publicKey.verifies(signature, of: message))
        // The key's name, as openssl computes it.
        let id = shell(
            "cd '\(folder.path)' && openssl pkey -pubin -in public.pem -outform DER | openssl dgst -sha256 -binary | base64"
        )
        #expect(id.output == "\(key.publicKey.id)\n")
    }

    @Test(
        .enabled(if: Tool.hasOpenSSL, "skipped: no openssl"),
        arguments: [
            ("EC -pkeyopt ec_paramgen_curve:P-256", true), ("ED25519", true),
            ("EC -pkeyopt ec_paramgen_curve:P-384", false), ("RSA -pkeyopt rsa_keygen_bits:2048", false),
            ("ED448", false),
        ])
    func `public keys of openssl's are read, those of other kinds refused`(kind: String, isKnown: Bool)
        throws
    {
        let folder = try TemporaryFolder()
        let made = shell(
            """
            cd '\(folder.path)' && openssl genpkey -algorithm \(kind) -out key && openssl pkey -in key -pubout -out pub \
            && openssl pkey -in key -outform DER -out der && printf message > message
            """)
        try #require(made.status == 0, "\(made.output)")
        let pem = String(decoding: try folder.read("pub"), as: UTF8.self)
        guard isKnown else {
            #expect(failure { _ = try PublicKey(pem: pem) }?.code == .keyUnusable)
            return
        }
        let key = try PublicKey(pem: pem)
        #expect(key.pem == pem)
        // The private half too, where openssl writes the form that key files hold.
        let signer = try PrivateKey(pkcs8: try folder.read("der"), key.algorithm)
        #expect(signer.publicKey == key)
        #expect(key.verifies(try signer.signature(of: [1, 2, 3]), of: [1, 2, 3]))
    }

    @Test(arguments: [
        "", "-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n", "-----BEGIN PRIVATE KEY-----\nAAAA\n",
        "-----BEGIN PUBLIC KEY-----\nAAA\n-----END PUBLIC KEY-----\n",
        "-----BEGIN PUBLIC KEY-----\n"
            + "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==\n-----END PUBLIC KEY-----\n",
        String(repeating: "x", count: 1 << 20),
    ])
    func `what is no public key is refused`(_ text: String) {
        #expect(failure { _ = try PublicKey(pem: text) }?.code == .keyUnusable)
    }

    @Test(arguments: KeyRole.allCases)
    func `a sealed key opens with its passphrase, in its role, and in no other way`(role: KeyRole) throws {
        let key = try SigningKey(generating: role)
        let file = try KeyFile(key, passphrase: "correct horse battery")
        let bytes = file.bytes
        let read = try KeyFile(parsing: bytes)
        #expect(read.isSealed && read.role == role && read.publicKey == key.publicKey)
        let opened = try read.opened { "correct horse battery" }
        #expect(opened.role == role && opened.publicKey == key.publicKey)
        #expect(opened.privateKey.pkcs8 == key.privateKey.pkcs8)
        let wrong = failure { _ = try read.opened { "correct horse batterz" } }
        #expect(wrong?.code == .keyUnusable && wrong?.message.contains("passphrase") ?? false)
        // Nothing secret lies open.
        let text = String(decoding: bytes, as: UTF8.self)
        #expect(!text.contains(Base64.encode(key.privateKey.pkcs8)))
        // A build key made a deploy key by an edit of its file no longer opens.
        guard role != .ledger else { return }
        let edited = text.replacing("\"\(role.rawValue)\"", with: role == .build ? "\"deploy\"" : "\"build\"")
        let renamed = try KeyFile(parsing: Array(edited.utf8))
        #expect(failure { _ = try renamed.opened { "correct horse battery" } }?.code == .keyUnusable)
    }

    @Test func `an open key file is read back, and one whose halves differ is refused`() throws {
        let key = try SigningKey(generating: .build)
        let bytes = try KeyFile(key, passphrase: nil).bytes
        let read = try KeyFile(parsing: bytes)
        #expect(!read.isSealed)
        #expect(
            try read.opened { throw Failure(.internalError, "nobody is asked") }.publicKey == key.publicKey)
        let other = Base64.encode(try SigningKey(generating: .build).publicKey.der)
        let text = String(decoding: bytes, as: UTF8.self).replacing(
            Base64.encode(key.publicKey.der), with: other)
        #expect(failure { _ = try KeyFile(parsing: Array(text.utf8)) }?.code == .keyUnusable)
    }

    @Test func `a key of one role does no other's work`() throws {
        let (build, deploy) = (try SigningKey(generating: .build), try SigningKey(generating: .deploy))
        let ledger = try SigningKey(generating: .ledger)
        for key in [deploy, ledger] {
            let wrong = failure { _ = try SigstoreBundle(Fixture.statement(), signedWith: key) }
            #expect(wrong?.code == .keyUnusable)
            #expect(wrong?.message.contains("signs \(key.role.work), and not images") ?? false)
            #expect(
                failure {
                    _ = try SimpleSigning(reference: "a/b:c", digest: Fixture.image).signature(with: key)
                }?.code == .keyUnusable)
        }
        for key in [build, ledger] {
            #expect(
                failure { _ = try Fixture.statement(.verificationSummary).signed(with: key) }?.code
                    == .keyUnusable)
        }
        for key in [build, deploy] {
            let checkpoint = Checkpoint(origin: "a/b", size: 0, root: .empty)
            #expect(failure { _ = try checkpoint.signed(with: key) }?.code == .keyUnusable)
        }
        #expect(
            failure { _ = try SigningKey(try PrivateKey(generating: .ed25519), role: .build) }?.code
                == .keyUnusable)
    }

    @Test func `base64 has one text for bytes in each alphabet`() {
        #expect(Base64.decode("+/+/") == [0xfb, 0xff, 0xbf] && Base64.decode("-_-_") == [0xfb, 0xff, 0xbf])
        #expect(Base64.decode("") == [] && Base64.decode("AA==") == [0] && Base64.decode("AA") == [0])
        for text in ["A", "AA=", "AB==", "AAB=", "A A=", "AAAA\n", "+_AA", "=", "====", "AA==AAAA", "é"] {
            #expect(Base64.decode(text) == nil, "\(text)")
        }
        #expect(Base64.decodeStandard("-_-_") == nil && Base64.decodeStandard("+/+/") != nil)
    }
}
