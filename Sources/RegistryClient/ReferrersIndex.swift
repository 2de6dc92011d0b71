package import ImageFormat
package import Model

/// The index that lists what refers to an image, where the registry keeps no such list itself
/// (distribution spec 1.1, "Referrers Tag Schema").
package enum ReferrersIndex {
    package enum Limit {
        /// As large as a manifest may be.
        package static let descriptors = 10_000
    }

    /// The tag under which the index lies.
    package static func tag(of subject: Digest) -> ImageTag { try! ImageTag("sha256-\(subject.hex)") }

    /// The index with one more entry; nil where it lists it already as it is.
    package static func adding(_ entry: OCIDescriptor, to index: OCIIndex) throws -> OCIIndex? {
        guard !index.manifests.contains(entry) else { return nil }
        var copy = index
        copy.manifests.removeAll { $0.digest == entry.digest }
        copy.manifests.append(entry)
        guard copy.manifests.count <= Limit.descriptors else {
            throw Failure(
                .registryRefused, "more than \(Limit.descriptors) things refer to this image",
                suggestion: "delete those that nobody needs")
        }
        return copy
    }
}
