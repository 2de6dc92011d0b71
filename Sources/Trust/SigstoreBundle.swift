internal import Model

/// A signed statement with a hint at its key (sigstore's bundle, v0.3): the newer form of cosign's signatures.
package struct SigstoreBundle: Hashable, Sendable {
    package static let mediaType = "application/vnd.dev.sigstore.bundle.v0.3+json"

    /// Which key to look for. Nothing vouches for it: it saves time, and decides nothing.
    package var hint: String
    package var envelope: Envelope

    package init(hint: String, envelope: Envelope) {
        self.hint = hint
        self.envelope = envelope
    }

    package init(_ statement: Statement, signedWith key: SigningKey) throws {
        self.init(hint: key.publicKey.id.text, envelope: try statement.signed(with: key))
    }

    package var bytes: [UInt8] {
        JSONValue.object([
            "mediaType": .string(SigstoreBundle.mediaType), "dsseEnvelope": envelope.json,
            "verificationMaterial": .object(["publicKey": .object(["hint": .string(hint)])]),
        ]).bytes
    }

    /// Other material, such as entries of public logs, may be there and is not looked at: a key is trusted or is not.
    package init(parsing bytes: [UInt8]) throws {
        let json = try Malformed.reading(bytes)
        guard json["mediaType"]?.text == SigstoreBundle.mediaType else {
            throw Malformed.evidence("this is no sigstore bundle of version 0.3")
        }
        guard let key = json["verificationMaterial"]?["publicKey"] else {
            throw Malformed.evidence("the bundle was signed without a key of its own, by a certificate")
        }
        guard json["messageSignature"] == nil else {
            throw Malformed.evidence("the bundle signs a file and no statement")
        }
        self.init(hint: key["hint"]?.text ?? "", envelope: try Envelope(json["dsseEnvelope"]))
    }

    /// What lists of referrers show, as cosign writes it.
    package func annotations(_ type: PredicateType) -> [String: String] {
        [
            "dev.sigstore.bundle.content": "dsse-envelope",
            "dev.sigstore.bundle.predicateType": type.text,
        ]
    }
}
