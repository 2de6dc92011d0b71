internal import Crypto
package import Model

extension Release.Content {
    /// SHA-256 of the canonical JSON: names everything that decides how instances of this release behave.
    package func digest() throws -> Model.Digest {
        Model.Digest(bytes: SHA256.hash(data: try CanonicalJSON.encode(self)))
    }
}

extension Model.Digest {
    /// SHA-256 of `bytes`.
    package static func sha256(of bytes: [UInt8]) -> Model.Digest {
        Model.Digest(bytes: SHA256.hash(data: bytes))
    }
}
