internal import ImageFormat
package import Model

/// A signature in the older form of cosign: a layer of a manifest under a tag that is made from the image's digest.
package struct SignatureLayer: Hashable, Sendable {
    package var type: String
    package var content: [UInt8]
    package var annotations: [String: String]

    package init(type: String, content: [UInt8], annotations: [String: String]) {
        self.type = type
        self.content = content
        self.annotations = annotations
    }

    var descriptor: OCIDescriptor {
        OCIDescriptor(
            mediaType: type, digest: .sha256(content), size: content.count, annotations: annotations)
    }
}

/// The tag, and the manifest under it.
package enum SignatureTag: String, Sendable, CaseIterable {
    case signatures = "sig"
    /// Signed statements about how the image was made and the like.
    case attestations = "att"

    package enum Limit {
        /// Signatures of one image.
        package static let layers = 100
        /// Somebody else may put the same tag at the same time; then ours is brought again.
        static let tries = 3
    }

    /// `sha256-<hex>.sig`.
    package func of(_ image: Digest) -> ImageTag { try! ImageTag("sha256-\(image.hex).\(rawValue)") }

    /// An image as far as other tools need one: its config lists the layers and nothing that runs.
    static func config(_ layers: [OCIDescriptor]) -> [UInt8] {
        JSONValue.object([
            "architecture": .string(""), "os": .string(""), "config": .object([:]),
            "rootfs": .object([
                "type": .string("layers"),
                "diff_ids": .array(layers.map { .string($0.digest.description) }),
            ]),
        ]).bytes
    }
}

extension RegistryClient {
    /// The signatures under an image's tag; none where there is no such tag.
    package func layers(
        _ tag: SignatureTag, of image: Digest, at reference: RegistryReference
    ) async throws -> [SignatureLayer] {
        let repository = repository(reference.host, reference.repository)
        var layers: [SignatureLayer] = []
        for layer in try await descriptors(tag.of(image), in: repository)
        where layer.size <= Repository.Limit.smallBlob {
            layers.append(
                SignatureLayer(
                    type: layer.mediaType, content: try await repository.smallBlob(layer),
                    annotations: layer.annotations))
        }
        return layers
    }

    private func descriptors(_ tag: ImageTag, in repository: Repository) async throws -> [OCIDescriptor] {
        guard let document = try await repository.document(tag.text),
            case .manifest(let blobs) = document.content
        else { return [] }
        return Array(blobs.dropFirst().prefix(SignatureTag.Limit.layers))
    }

    /// Adds a signature to those under an image's tag, which stay as they are.
    package func add(
        _ layer: SignatureLayer, _ tag: SignatureTag, of image: Digest, at reference: RegistryReference
    ) async throws {
        let repository = repository(reference.host, reference.repository)
        let new = layer.descriptor
        for _ in 1...SignatureTag.Limit.tries {
            let layers = try await descriptors(tag.of(image), in: repository)
            if layers.contains(new) { return }
            guard layers.count < SignatureTag.Limit.layers else {
                throw Failure(
                    .conflict, "the image has \(layers.count) signatures already", at: reference.description,
                    suggestion: "delete the tag \(tag.of(image)) and sign again")
            }
            let config = SignatureTag.config(layers + [new])
            let described = OCIDescriptor(
                mediaType: OCIDescriptor.configType, digest: .sha256(config), size: config.count)
            try await repository.bring([(new, layer.content), (described, config)])
            let manifest = OCIManifest(config: described, layers: layers + [new])
            try await repository.put(try ImageDocument(manifest.bytes), tag: tag.of(image))
        }
        guard try await descriptors(tag.of(image), in: repository).contains(new) else {
            throw Failure(
                .conflict, "others sign the same image, and the signature is lost again and again",
                at: reference.description, suggestion: "try again when they are done")
        }
    }
}
