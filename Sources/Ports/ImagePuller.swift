package import Model

/// Images that others made, to build on.
package protocol ImagePuller: Sendable {
    /// The digest of the manifest that a name stands for now: of one image, for one machine type.
    func resolve(_ request: Recipe.ImageRequest, for architecture: Architecture) async throws -> Digest

    /// Brings that image into the store, byte for byte: manifest, config and layers. Throws where the name does not
    /// lead to this digest any more.
    func pull(_ request: Recipe.ImageRequest, _ digest: Digest, for architecture: Architecture) async throws
}
