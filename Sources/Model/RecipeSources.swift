// What a recipe takes from elsewhere besides packages: an image to build on, downloads, Git repositories.

extension Recipe {
    /// An image to build on: a name, and a digest where only one image will do.
    package struct ImageRequest: Hashable, Sendable, TextCodable {
        /// As `kiln image copy` takes it: `registry.example/app:v1`, `oci:DIR`, …
        package let name: String
        package let digest: Digest?

        private static let longest = 1024

        package init(parsing text: String) throws {
            let parts = text.split(separator: "@", omittingEmptySubsequences: false)
            let isPlain = parts[0].utf8.allSatisfy { (0x21...0x7e).contains($0) }
            let digest =
                parts.count == 2 && parts[1].hasPrefix("sha256:")
                ? try? Digest(parsing: String(parts[1])) : nil
            guard !parts[0].isEmpty, isPlain, text.utf8.count <= ImageRequest.longest,
                parts.count == 1 || digest != nil
            else {
                throw Failure(
                    .invalidArgument, "\"\(text)\" is not the name of an image",
                    suggestion: "write registry.example/app:v1, perhaps with @sha256: and 64 digits, or "
                        + "oci:DIR, oci-archive:FILE, docker-archive:FILE")
            }
            name = String(parts[0])
            self.digest = digest
        }

        private static let dockerfilePrefix = "dockerfile:"

        /// What a Dockerfile gives; `path` is relative to the folder of kiln.yaml.
        package init(dockerfile path: String) throws {
            try self.init(parsing: ImageRequest.dockerfilePrefix + path)
        }

        /// The Dockerfile, where the image is to be built.
        package var dockerfile: String? {
            name.hasPrefix(ImageRequest.dockerfilePrefix)
                ? String(name.dropFirst(ImageRequest.dockerfilePrefix.count)) : nil
        }

        package var description: String { name + (digest.map { "@\($0)" } ?? "") }
    }
}

/// One `files:` row: what is put into the image, and where.
package struct FileRule: Hashable, Sendable, Codable {
    package var source: Source
    /// Absolute path inside the image.
    package var to: String
    /// Permission bits for files (folders get the execute bits that fit); nil keeps whether a file is executable.
    package var mode: Int?
    /// `user` or `user:group`, names or numbers of the image; nil is root:root.
    package var owner: String?

    package enum Source: Hashable, Sendable, Codable {
        /// A file or a whole folder; `site/` is a folder's content. `folder` is where the path begins, relative to the
        /// folder of kiln.yaml and perhaps above it; the path never leads out of it.
        case local(path: String, folder: String)
        case download(Download)
        case checkout(Checkout)
    }

    package init(_ source: Source, to: String, mode: Int? = nil, owner: String? = nil) {
        self.source = source
        self.to = to
        self.mode = mode
        self.owner = owner
    }

    /// A file or folder beside kiln.yaml.
    package init(from path: String, to: String, mode: Int? = nil, owner: String? = nil) {
        self.init(.local(path: path, folder: ""), to: to, mode: mode, owner: owner)
    }

    /// The path beside kiln.yaml or beside an included file; nil for what comes from elsewhere.
    package var from: String? {
        if case .local(let path, _) = source { path } else { nil }
    }
}

/// A file that is fetched, known by its hash.
package struct Download: Hashable, Sendable, Codable {
    package var url: String
    package var sha256: Digest
    /// How its archive is unpacked; nil puts the file itself into the image.
    package var unpacking: Unpacking?

    package struct Unpacking: Hashable, Sendable, Codable {
        /// Folders to take away from the front of each path.
        package var strip: Int

        package init(strip: Int) { self.strip = strip }
    }

    package init(url: String, sha256: Digest, unpacking: Unpacking? = nil) {
        self.url = url
        self.sha256 = sha256
        self.unpacking = unpacking
    }
}

/// A part of a Git repository.
package struct Checkout: Hashable, Sendable, Codable {
    package var repository: String
    package var revision: GitRevision
    /// A file or folder of the repository; `./` is all of it.
    package var path: String

    package init(repository: String, revision: GitRevision, path: String) {
        self.repository = repository
        self.revision = revision
        self.path = path
    }
}

/// What of a repository's history is meant.
package enum GitRevision: Hashable, Sendable, Codable {
    case commit(String)
    /// A branch or tag, which may stand for another commit tomorrow.
    case ref(String)

    /// Whether this is the whole SHA-1 of a commit.
    package static func isCommit(_ text: String) -> Bool {
        text.utf8.count == 40
            && text.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
    }

    /// Whether this can be the name of a branch or tag, and nothing that a program takes for an option.
    package static func isRef(_ text: String) -> Bool {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        return text.utf8.count <= 200 && !text.contains("..")
            && parts.allSatisfy { part in
                !part.isEmpty && !part.hasPrefix(".") && !part.hasPrefix("-") && !part.hasSuffix(".lock")
                    && !part.hasSuffix(".")
                    && part.utf8.allSatisfy {
                        (0x30...0x39).contains($0) || (0x61...0x7a).contains($0 | 0x20)
                            || "._+-".utf8.contains($0)
                    }
            }
    }
}
