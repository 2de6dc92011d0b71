package import Model

/// The older form of cosign's signatures: a small document that names an image, signed as it is
/// (containers/image, "atomic container signature"; cosign's signature specification).
package struct SimpleSigning: Hashable, Sendable {
    package static let mediaType = "application/vnd.dev.cosign.simplesigning.v1+json"
    /// The annotation of a layer that has the signature in base64.
    package static let signatureAnnotation = "dev.cosignproject.cosign/signature"
    private static let type = "cosign container image signature"

    /// Where the image was signed: `registry.example/app:v1`, always with a tag.
    package var reference: String
    package var digest: Digest

    package enum Limit {
        package static let bytes = 64 << 10
    }

    package init(reference: String, digest: Digest) {
        self.reference = reference
        self.digest = digest
    }

    /// The exact bytes that are signed.
    package var bytes: [UInt8] {
        JSONValue.object([
            "critical": .object([
                "identity": .object(["docker-reference": .string(reference)]),
                "image": .object(["docker-manifest-digest": .string(digest.description)]),
                "type": .string(SimpleSigning.type),
            ]), "optional": .null,
        ]).bytes
    }

    /// The critical part has these members and no others: what a signer found critical must be understood.
    package init(parsing bytes: [UInt8]) throws {
        guard bytes.count <= Limit.bytes else { throw Malformed.evidence("the signed payload is too large") }
        let json = try Malformed.reading(bytes)
        guard let critical = json["critical"]?.members, Set(critical.keys) == ["identity", "image", "type"],
            critical["type"]?.text == SimpleSigning.type,
            critical["image"]?.members?.count == 1, critical["identity"]?.members?.count == 1,
            let reference = critical["identity"]?["docker-reference"]?.text,
            let digest = critical["image"]?["docker-manifest-digest"]?.text, digest.hasPrefix("sha256:")
        else { throw Malformed.evidence("the signed payload is no signature of an image") }
        self.init(reference: reference, digest: try Digest(parsing: digest))
    }

    /// A name without a registry is still one, which nothing in a registry has.
    var name: SignedName { SignedName(reference) ?? SignedName(repository: reference, tag: nil) }

    package func signature(with key: SigningKey) throws -> [UInt8] {
        try key.signature(of: bytes, as: .build)
    }
}
