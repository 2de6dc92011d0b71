package import Model

extension WirePath {
    package static let compare = "/v1/compare"
}

package struct CompareRequest: Sendable, Codable {
    package struct Side: Sendable, Codable {
        package var key: ServiceKey
        /// nil: the one that serves.
        package var release: ReleaseNumber?
        package init(key: ServiceKey, release: ReleaseNumber? = nil) {
            self.key = key
            self.release = release
        }
    }

    package var from: Side
    package var to: Side
    package init(from: Side, to: Side) {
        self.from = from
        self.to = to
    }
}

package struct CompareAnswer: Sendable, Codable {
    package struct Side: Sendable, Codable {
        package var key: ServiceKey
        package var release: ReleaseNumber
        package var image: Digest
        package init(key: ServiceKey, release: ReleaseNumber, image: Digest) {
            self.key = key
            self.release = release
            self.image = image
        }
    }

    package var from: Side
    package var to: Side
    /// By the names that kiln.yaml has; what is inside the images is not among them.
    package var changes: [ReleaseChange]

    package init(from: Side, to: Side, changes: [ReleaseChange]) {
        self.from = from
        self.to = to
        self.changes = changes
    }
}
