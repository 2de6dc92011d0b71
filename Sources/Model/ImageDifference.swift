/// How one image differs from another, for those who have to approve it.
package struct ImageDifference: Hashable, Sendable, Codable {
    package enum Kind: String, Hashable, Sendable, Codable {
        case added, removed, changed
    }

    package struct Package: Hashable, Sendable, Codable {
        package var name: String
        package var kind: Kind
        package var from: String?
        package var to: String?

        package init(name: String, kind: Kind, from: String? = nil, to: String? = nil) {
            self.name = name
            self.kind = kind
            self.from = from
            self.to = to
        }
    }

    package struct File: Hashable, Sendable, Codable {
        package var path: String
        package var kind: Kind
        /// What changed: `content`, `mode 0644 → 0755`, `owner 0:0 → 33:33`, …
        package var what: [String]

        package init(path: String, kind: Kind, what: [String] = []) {
            self.path = path
            self.kind = kind
            self.what = what
        }
    }

    package var from: Digest
    package var to: Digest
    package var packages: [Package]
    package var files: [File]
    /// Settings that it starts by: `user 0:0 → 33:33`.
    package var config: [String]
    /// Bytes that a host which holds the one has to fetch for the other, in how many layers of how many.
    package var bytesToFetch: Int
    package var layersToFetch: Int
    package var layers: Int

    package init(
        from: Digest, to: Digest, packages: [Package], files: [File], config: [String], bytesToFetch: Int,
        layersToFetch: Int, layers: Int
    ) {
        self.from = from
        self.to = to
        self.packages = packages
        self.files = files
        self.config = config
        self.bytesToFetch = bytesToFetch
        self.layersToFetch = layersToFetch
        self.layers = layers
    }
}
