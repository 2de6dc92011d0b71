import Foundation
import Model
import TestKit
import Testing
import Trust

/// The library that TUF and in-toto are made with judges our envelopes.
@Suite struct PythonPeerTests {
    private static let python =
        URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().path + "/.build/peers/bin/python3"
    private static let isInstalled = shell("'\(python)' -c 'import securesystemslib'").status == 0

    /// Prints the names of the envelopes that a key signed. The library wants a key's name in an envelope, which
    /// bundles leave out: it is put there first.
    private static let program = """
        import json, sys
        from cryptography.hazmat.primitives.serialization import load_pem_public_key
        from securesystemslib.dsse import Envelope
        from securesystemslib.exceptions import VerificationError
        from securesystemslib.signer import SSlibKey
        key = SSlibKey.from_crypto(load_pem_public_key(open(sys.argv[1], "rb").read()))
        for name in sys.argv[2:]:
            document = json.load(open(name))
            envelope = document.get("dsseEnvelope", document)
            envelope["signatures"][0]["keyid"] = key.keyid
            try:
                Envelope.from_dict(envelope).verify([key], 1)
                print(name)
            except VerificationError:
                pass
        """

    @Test(.enabled(if: isInstalled, "skipped: no securesystemslib; `make setup-peers` installs it"))
    func `securesystemslib verifies a bundle's envelope, and none that was altered`() throws {
        let folder = try TemporaryFolder()
        let (key, stranger) = (try SigningKey(generating: .build), try SigningKey(generating: .build))
        try folder.write("key.pem", Array(key.publicKey.pem.utf8))
        try folder.write("check.py", Array(Self.program.utf8))
        var bundle = try SigstoreBundle(Fixture.statement(), signedWith: key)
        try folder.write("good.json", bundle.bytes)
        try folder.write(
            "stranger.json", try SigstoreBundle(Fixture.statement(), signedWith: stranger).bytes)
        let envelope = bundle.envelope
        var random = SeededGenerator(seed: 21)
        var altered = 0
        for number in 0..<100 {
            bundle.envelope = envelope
            switch number % 3 {
            case 0: bundle.envelope.payload = Mutation.of(envelope.payload, &random)
            case 1: bundle.envelope.signature = Mutation.of(envelope.signature, &random)
            default: bundle.envelope.payloadType += "x"
            }
            guard bundle.envelope != envelope else { continue }
            try folder.write("altered-\(number).json", bundle.bytes)
            altered += 1
        }
        let said = shell("cd '\(folder.path)' && '\(Self.python)' check.py key.pem *.json")
        #expect(said.status == 0 && said.output == "good.json\n", "\(said.output)")
        let accepted = said.output.split(separator: "\n")
        judged(
            by: "securesystemslib", "envelopes, altered and by another key",
            accepted: accepted.contains("good.json") ? 1 : 0, of: 1,
            refused: altered + 1 - accepted.count { $0 != "good.json" }, of: altered + 1)
    }

    @Test(.enabled(if: isInstalled, "skipped: no securesystemslib; `make setup-peers` installs it"))
    func `securesystemslib verifies an approval, and none that was altered`() throws {
        let folder = try TemporaryFolder()
        let (key, stranger) = (try SigningKey(generating: .deploy), try SigningKey(generating: .deploy))
        let request = try ApprovalTests.request()
        let good = try ApprovalTests.signed(request, key)
        try folder.write("key.pem", Array(key.publicKey.pem.utf8))
        try folder.write("check.py", Array(Self.program.utf8))
        try folder.write("good.json", good)
        try folder.write("stranger.json", try ApprovalTests.signed(request, stranger))
        var random = SeededGenerator(seed: 22)
        let envelope = try Envelope(parsing: good)
        for number in 0..<50 {
            var copy = envelope
            if number.isMultiple(of: 2) {
                copy.payload = Mutation.of(copy.payload, &random)
            } else {
                copy.signature = Mutation.of(copy.signature, &random)
            }
            if copy != envelope { try folder.write("altered-\(number).json", copy.json.bytes) }
        }
        let said = shell("cd '\(folder.path)' && '\(Self.python)' check.py key.pem *.json")
        #expect(said.status == 0 && said.output == "good.json\n", "\(said.output)")
    }
}
