package import Model

/// `kiln.lock` on disk: JSON with sorted keys and one package a line, made to be read as a diff.
package enum LockFile {
    private enum Limit {
        static let bytes = 64 << 20
    }

    package static func read(_ path: String) throws -> Lock {
        guard HostFiles.exists(path) else {
            throw Failure(.fileMissing, "there is no lock", at: path, suggestion: "run `kiln lock`")
        }
        return try parse(try HostFiles.read(path, limit: Limit.bytes), place: path)
    }

    /// Replaces the file whole and durably.
    package static func write(_ lock: Lock, to path: String) throws {
        try HostFiles.replace(path, with: text(lock).utf8)
    }

    /// The bytes that `write` puts down: the same for the same lock, everywhere.
    package static func text(_ lock: Lock) -> String {
        func quote(_ text: String) -> String { JSONText.quote(text) }
        let archives = lock.archives.map { archive in
            "{\"name\": \(quote(archive.name)), \"release\": \(quote("\(archive.release)")), "
                + "\"signedBy\": \(quote(archive.signedBy)), \"suite\": \(quote(archive.suite))}"
        }
        let packages = lock.packages.map { package in
            "{\"architecture\": \(quote(package.architecture)), \"archive\": \(quote(package.archive)), "
                + "\"name\": \(quote(package.name)), \"path\": \(quote(package.path)), "
                + "\"sha256\": \(quote(package.sha256.hex)), \"size\": \(package.size), "
                + "\"version\": \(quote(package.version))}"
        }
        func list(_ rows: [String]) -> String {
            rows.isEmpty ? "[]" : "[\n" + rows.map { "    " + $0 }.joined(separator: ",\n") + "\n  ]"
        }
        return """
            {
              "architecture": \(quote(lock.architecture.rawValue)),
              "archives": \(list(archives)),
              "base": \(quote(lock.base.rawValue)),
              "distribution": \(quote("\(lock.distribution)")),
              "packages": \(list(packages)),
              "requested": \(list(lock.requested.map { quote($0.description) })),
              "version": \(lock.version)
            }

            """
    }

    package static func parse(_ bytes: [UInt8], place: String) throws -> Lock {
        let document = Row(try JSONText.parse(bytes, place: place), place)
        try document.expectKeys([
            "architecture", "archives", "base", "distribution", "packages", "requested", "version",
        ])
        let version = try document.integer("version")
        guard version == Lock.currentVersion else {
            throw document.failure("version", "version \(version) is not known here")
        }
        let architecture = try document.parsed("architecture") { Architecture(rawValue: $0) }
        let base = try document.parsed("base") { Recipe.Base(rawValue: $0) }
        let distribution = try document.parsed("distribution") { try? Recipe.Distribution(parsing: $0) }
        let archives = try document.rows("archives").map { row in
            try row.expectKeys(["name", "release", "signedBy", "suite"])
            return Lock.Archive(
                name: try row.string("name"), suite: try row.string("suite"),
                release: try row.parsed("release") { try? Digest(parsing: $0) },
                signedBy: try row.string("signedBy"))
        }
        var names: Set<String> = []
        let packages = try document.rows("packages").map { row in
            try row.expectKeys(["architecture", "archive", "name", "path", "sha256", "size", "version"])
            let name = try row.parsed("name") { (try? Recipe.PackageRequest(parsing: $0))?.name }
            guard names.insert(name).inserted else { throw row.failure("name", "\(name) is there twice") }
            let size = try row.integer("size")
            guard size > 0 else { throw row.failure("size", "\(size) is not a size") }
            return Lock.Package(
                name: name, version: try row.string("version"), architecture: try row.string("architecture"),
                archive: try row.string("archive"), path: try row.parsed("path", LockFile.safePath),
                size: size,
                sha256: try row.parsed("sha256") { try? Digest(hex: $0) })
        }
        return Lock(
            version: version, distribution: distribution, architecture: architecture, base: base,
            requested: try document.strings("requested").map { text, line in
                guard let request = try? Recipe.PackageRequest(parsing: text) else {
                    throw document.failure(line: line, "\"\(text)\" is not a package")
                }
                return request
            },
            archives: archives, packages: packages)
    }

    /// A lock names files below an archive; it cannot reach anything else.
    private static func safePath(_ text: String) -> String? {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        let isSafe = parts.allSatisfy { !$0.isEmpty && $0 != "." && $0 != ".." } && !text.contains("://")
        return isSafe ? text : nil
    }

    /// One object of the file, whose values are asked for by their type.
    private struct Row {
        let members: [(name: String, value: JSONText)]
        let line: Int
        let place: String

        init(_ text: JSONText, _ place: String) {
            line = text.line
            self.place = place
            if case .object(let members) = text.kind { self.members = members } else { members = [] }
        }

        func failure(_ key: String, _ why: String) -> Failure {
            failure(line: members.first { $0.name == key }?.value.line ?? line, "`\(key)`: \(why)")
        }

        func failure(line: Int, _ why: String) -> Failure {
            Failure(
                .invalidArgument, "the lock cannot be used: \(why)", at: "\(place):\(line)",
                suggestion: "write it anew with `kiln lock`")
        }

        func expectKeys(_ keys: [String]) throws {
            for (name, value) in members where !keys.contains(name) {
                throw failure(line: value.line, "`\(name)` is not known")
            }
            for key in keys where !members.contains(where: { $0.name == key }) {
                throw failure(key, "it is missing")
            }
        }

        private func value(_ key: String) throws -> JSONText {
            guard let member = members.first(where: { $0.name == key }) else {
                throw failure(key, "it is missing")
            }
            return member.value
        }

        func string(_ key: String) throws -> String {
            guard case .string(let text) = try value(key).kind, !text.isEmpty else {
                throw failure(key, "a text is expected")
            }
            return text
        }

        func integer(_ key: String) throws -> Int {
            guard case .integer(let number) = try value(key).kind else {
                throw failure(key, "a number is expected")
            }
            return number
        }

        func parsed<Value>(_ key: String, _ parse: (String) -> Value?) throws -> Value {
            let text = try string(key)
            guard let value = parse(text) else { throw failure(key, "\"\(text)\" is not allowed") }
            return value
        }

        private func items(_ key: String) throws -> [JSONText] {
            guard case .array(let items) = try value(key).kind else {
                throw failure(key, "a list is expected")
            }
            return items
        }

        func rows(_ key: String) throws -> [Row] { try items(key).map { Row($0, place) } }

        func strings(_ key: String) throws -> [(text: String, line: Int)] {
            try items(key).map { item in
                guard case .string(let text) = item.kind else {
                    throw failure(line: item.line, "a text is expected")
                }
                return (text, item.line)
            }
        }
    }
}

extension Lock {
    /// Why this lock does not belong to a recipe; nil where it does.
    package func staleness(for recipe: Recipe) -> String? {
        if distribution != recipe.distribution {
            return "it was made for \(distribution), the recipe asks for \(recipe.distribution)"
        }
        if architecture != recipe.architecture {
            return
                "it was made for \(architecture.rawValue), the recipe asks for \(recipe.architecture.rawValue)"
        }
        if base != recipe.base { return "it was made for the \(base.rawValue) base" }
        let wanted = Lock.sorted(recipe.packages)
        if requested == wanted { return nil }
        let added = wanted.filter { !requested.contains($0) }.map { "+\($0)" }
        let gone = requested.filter { !wanted.contains($0) }.map { "-\($0)" }
        return "the packages changed since: " + (added + gone).joined(separator: " ")
    }

    /// Throws where this lock does not belong to a recipe.
    package func expectFresh(for recipe: Recipe, place: String = "kiln.lock") throws {
        guard let why = staleness(for: recipe) else { return }
        throw Failure(.lockStale, "the lock is stale: \(why)", at: place, suggestion: "run `kiln lock`")
    }
}
