/// A name in a registry, and what it stood for when it was looked up.
package struct TaggedImage: Hashable, Sendable, Codable {
    /// `registry.example/app:v1`, without a digest.
    package var name: String
    /// Of the manifest for one machine type.
    package var digest: Digest

    package init(name: String, digest: Digest) {
        self.name = name
        self.digest = digest
    }

    /// Names of one release that are kept.
    package static let most = 16
}
