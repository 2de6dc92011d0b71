extension Lock {
    /// The image that others made and this one is made on.
    package struct BaseImage: Hashable, Sendable, Codable {
        /// As the recipe says it.
        package var name: String
        /// Of the manifest for one machine type.
        package var digest: Digest

        package init(name: String, digest: Digest) {
            self.name = name
            self.digest = digest
        }
    }

    /// Bytes from elsewhere: a download, or the tar of a part of a repository.
    package struct Fetched: Hashable, Sendable, Codable {
        package enum Origin: Hashable, Sendable, Codable {
            case url(String)
            /// `ref` is what the recipe says where it names no commit.
            case git(repository: String, commit: String, ref: String?, path: String)
        }

        package var origin: Origin
        package var sha256: Digest
        package var size: Int

        package init(_ origin: Origin, sha256: Digest, size: Int) {
            self.origin = origin
            self.sha256 = sha256
            self.size = size
        }

        /// Whether this is what a rule of the recipe asks for.
        package func fits(_ source: FileRule.Source) -> Bool {
            switch (origin, source) {
            case (.url(let url), .download(let download)):
                url == download.url && sha256 == download.sha256
            case (.git(let repository, let commit, let ref, let path), .checkout(let checkout)):
                repository == checkout.repository && path == checkout.path
                    && checkout.revision == (ref.map(GitRevision.ref) ?? .commit(commit))
            default: false
            }
        }

        /// Where it comes from, as messages say it.
        package var name: String {
            switch origin {
            case .url(let url): url
            case .git(let repository, let commit, let ref, let path):
                "\(repository) at \(ref ?? String(commit.prefix(12))), \(path)"
            }
        }

        package static func precedes(_ left: Fetched, _ right: Fetched) -> Bool {
            (left.name, left.sha256) < (right.name, right.sha256)
        }
    }

    /// What was fetched for a rule of the recipe.
    package func fetched(for source: FileRule.Source) -> Fetched? { fetched.first { $0.fits(source) } }
}
