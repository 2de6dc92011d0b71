import Model

/// The rows of a lock file that say what an image takes from elsewhere besides packages. A lock has them only where
/// its recipe asks for such things.
enum SourceRows {
    /// Members of the file: each a value, or the values of a list.
    static func members(_ lock: Lock) -> [(name: String, text: String, rows: [String]?)] {
        func quote(_ text: String) -> String { JSONText.quote(text) }
        var members: [(name: String, text: String, rows: [String]?)] = []
        if let from = lock.from {
            let text = "{\"digest\": \(quote("\(from.digest)")), \"name\": \(quote(from.name))}"
            members.append(("from", text, nil))
        }
        if !lock.fetched.isEmpty {
            let rows = lock.fetched.sorted(by: Lock.Fetched.precedes).map { file in
                var row = ["sha256": quote(file.sha256.hex), "size": "\(file.size)"]
                switch file.origin {
                case .url(let url): row["url"] = quote(url)
                case .git(let repository, let commit, let ref, let path):
                    row["git"] = quote(repository)
                    row["commit"] = quote(commit)
                    row["ref"] = ref.map(quote)
                    row["path"] = quote(path)
                }
                let members = row.sorted { $0.key < $1.key }.map { "\(quote($0.key)): \($0.value)" }
                return "{" + members.joined(separator: ", ") + "}"
            }
            members.append(("files", "", rows))
        }
        return members
    }

    static func from(_ document: LockFile.Row) throws -> Lock.BaseImage? {
        guard document.has("from") else { return nil }
        let row = try document.row("from")
        try row.expectKeys(["digest", "name"])
        return Lock.BaseImage(
            name: try row.parsed("name") { (try? Recipe.ImageRequest(parsing: $0))?.description },
            digest: try row.parsed("digest") { try? Digest(parsing: $0) })
    }

    static func fetched(_ document: LockFile.Row) throws -> [Lock.Fetched] {
        guard document.has("files") else { return [] }
        return try document.rows("files").map { row in
            let origin: Lock.Fetched.Origin
            if row.has("url") {
                try row.expectKeys(["sha256", "size", "url"])
                origin = .url(try row.string("url"))
            } else {
                try row.expectKeys(["commit", "git", "path", "sha256", "size"], optional: ["ref"])
                origin = .git(
                    repository: try row.string("git"),
                    commit: try row.parsed("commit") { GitRevision.isCommit($0) ? $0 : nil },
                    ref: row.has("ref") ? try row.parsed("ref") { GitRevision.isRef($0) ? $0 : nil } : nil,
                    path: try row.parsed("path") { path in
                        path == "./"
                            || LockFile.safePath(path.hasSuffix("/") ? String(path.dropLast()) : path) != nil
                            ? path : nil
                    })
            }
            return Lock.Fetched(
                origin, sha256: try row.parsed("sha256") { try? Digest(hex: $0) },
                size: try row.integer("size", in: 0...SiteFiles.Limit.fileBytes))
        }
    }
}

extension Lock {
    /// Why what this lock takes from elsewhere is not what a recipe asks for; nil where it is.
    func staleSources(for recipe: Recipe) -> String? {
        if from?.name != recipe.from?.description {
            return "it was made on \(from?.name ?? "no other image"), the recipe builds on "
                + (recipe.from?.description ?? "none")
        }
        let wanted = recipe.placedFiles.map(\.rule.source).filter {
            if case .local = $0 { false } else { true }
        }
        if let missing = wanted.first(where: { fetched(for: $0) == nil }) {
            return "the recipe fetches \(missing.name), which is not locked"
        }
        if let left = fetched.first(where: { row in !wanted.contains(where: row.fits) }) {
            return "the recipe does not fetch \(left.name) any more"
        }
        return nil
    }
}

extension FileRule.Source {
    /// Where it comes from, as messages say it.
    var name: String {
        switch self {
        case .local(let path, _): path
        case .download(let download): download.url
        case .checkout(let checkout): checkout.repository
        }
    }
}
