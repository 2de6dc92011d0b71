package import ImageFormat
package import Model

/// A manifest or an index exactly as it was found: its bytes are its name, so they are never written anew.
package struct ImageDocument: Hashable, Sendable {
    package enum Content: Hashable, Sendable {
        /// Config first, then the layers, the lowest first.
        case manifest(blobs: [OCIDescriptor])
        case index([OCIDescriptor])
    }

    package let bytes: [UInt8]
    package let mediaType: String
    package let digest: Digest
    package let content: Content
    /// What this one is about, where it is a signature or the like.
    package let subject: OCIDescriptor?
    package let artifactType: String?
    package let annotations: [String: String]

    package enum Limit {
        package static let bytes = OCIManifest.Limit.bytes
        /// Entries of one index, blobs of one manifest.
        package static let entries = 4096
        /// Indexes within indexes.
        package static let depth = 4
        /// Documents of one image in all.
        package static let documents = 4096
    }

    /// - Parameter mediaType: what the registry or the descriptor calls it; the document's own word goes first
    package init(_ bytes: [UInt8], mediaType stated: String? = nil) throws {
        guard bytes.count <= Limit.bytes else {
            throw ImageDocument.unfit("it is larger than \(Limit.bytes >> 20) MiB")
        }
        let json = try JSONValue(parsing: bytes)
        guard json["schemaVersion"]?.number == 2 else {
            throw ImageDocument.unfit("its schema version is not 2, and older ones cannot be checked")
        }
        let own = json["mediaType"]?.text
        // A header may carry parameters: `…+json; charset=utf-8`.
        let header = stated.map { String($0.prefix { $0 != ";" && $0 != " " }) }
        let kinds = OCIDescriptor.manifestTypes + OCIDescriptor.indexTypes
        let guess =
            json["manifests"] != nil ? OCIDescriptor.indexType : OCIDescriptor.manifestType
        let type = own ?? header.flatMap { kinds.contains($0) ? $0 : nil } ?? guess
        guard kinds.contains(type) else { throw ImageDocument.unfit("its media type is \(type.prefix(120))") }
        if OCIDescriptor.indexTypes.contains(type) {
            guard let entries = json["manifests"]?.elements, entries.count <= Limit.entries else {
                throw ImageDocument.unfit("it lists no manifests, or more than \(Limit.entries)")
            }
            content = .index(try entries.map { try OCIDescriptor($0, in: "index") })
        } else {
            guard let layers = json["layers"]?.elements, layers.count < Limit.entries else {
                throw ImageDocument.unfit("it has no layers, or more than \(Limit.entries)")
            }
            content = .manifest(
                blobs: [try OCIDescriptor(json["config"], in: "manifest")]
                    + (try layers.map { try OCIDescriptor($0, in: "manifest") }))
        }
        if let subject = json["subject"], subject != .null {
            self.subject = try OCIDescriptor(subject, in: "manifest")
        } else {
            subject = nil
        }
        artifactType = json["artifactType"]?.text
        annotations = try OCIManifest.annotations(json["annotations"], in: "manifest")
        self.bytes = bytes
        mediaType = type
        digest = .sha256(bytes)
    }

    package var descriptor: OCIDescriptor {
        OCIDescriptor(mediaType: mediaType, digest: digest, size: bytes.count)
    }

    /// How a list of referrers shows it: with its type and annotations.
    package var referrerDescriptor: OCIDescriptor {
        var descriptor = descriptor
        descriptor.annotations = annotations
        descriptor.artifactType = artifactType
        if artifactType == nil, case .manifest(let blobs) = content {
            descriptor.artifactType = blobs.first?.mediaType
        }
        return descriptor
    }

    private static func unfit(_ why: String) -> Failure {
        Failure(
            .corruptArchive, "the image's manifest cannot be used: \(why)",
            suggestion: "push the image again with a current tool")
    }
}

/// Which images of an index are meant.
package enum PlatformChoice: Hashable, Sendable {
    /// The whole index, as it is.
    case all
    case one(OCIPlatform)

    /// The one entry that fits best: of several, the one whose variant is the same, then one without, then the
    /// first. Attestations are no images.
    package static func best(_ wanted: OCIPlatform, in entries: [OCIDescriptor]) throws -> OCIDescriptor {
        let images = entries.filter { $0.annotations["vnd.docker.reference.type"] == nil }
        let fitting = images.filter {
            $0.platform.map { $0.os == wanted.os && $0.architecture == wanted.architecture } ?? false
        }
        if let variant = wanted.variant, let same = fitting.first(where: { $0.platform?.variant == variant })
        {
            return same
        }
        if wanted.variant == nil,
            let plain = fitting.first(where: { $0.platform?.variant == nil }) ?? fitting.first
        {
            return plain
        }
        // An index of one image may well not say what it is for.
        if images.count == 1, images[0].platform == nil { return images[0] }
        let offered = Set(images.compactMap { $0.platform?.description }).sorted().joined(separator: ", ")
        throw Failure(
            .notFound,
            "there is no image for \(wanted); there is one for \(offered.isEmpty ? "none" : offered)",
            suggestion: "choose one with --platform, such as --platform linux/arm64")
    }
}
