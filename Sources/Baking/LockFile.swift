package import Model

/// `kiln.lock` on disk: JSON with sorted keys and one package a line, made to be read as a diff.
package enum LockFile {
    enum Limit {
        static let bytes = 64 << 20
        /// Of one package: the sum of all that a lock can name is a number then.
        static let packageBytes = 1 << 40
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
                + (package.suite.map { "\"suite\": \(quote($0)), " } ?? "")
                + "\"version\": \(quote(package.version))}"
        }
        let layers = lock.layers.map { "[" + $0.map(quote).joined(separator: ", ") + "]" }
        func numbers(_ rows: [String: Int]) -> String {
            let rows = rows.sorted { $0.key < $1.key }.map { "    \(quote($0.key)): \($0.value)" }
            return rows.isEmpty ? "{}" : "{\n" + rows.joined(separator: ",\n") + "\n  }"
        }
        func list(_ rows: [String]) -> String {
            rows.isEmpty ? "[]" : "[\n" + rows.map { "    " + $0 }.joined(separator: ",\n") + "\n  ]"
        }
        var members = [
            ("architecture", quote(lock.architecture.rawValue)), ("tools", numbers(lock.tools)),
            ("version", "\(lock.version)"),
        ]
        if let distribution = lock.distribution {
            members += [
                ("accounts", numbers(lock.accounts)), ("archives", list(archives)),
                ("base", quote(lock.base.rawValue)), ("distribution", quote("\(distribution)")),
                ("layerBudget", "\(lock.layerBudget)"), ("layers", list(layers)),
                ("packages", list(packages)),
                ("requested", list(lock.requested.map { quote($0.description) })),
            ]
        }
        // Left out where it says nothing.
        if lock.scripts != ScriptRules() { members.append(("scripts", text(lock.scripts))) }
        if !lock.builds.isEmpty {
            let rows = lock.builds.map { build in
                String(text(build).dropLast()).replacing("\n", with: "\n    ")
            }
            members.append(("builds", list(rows)))
        }
        members += SourceRows.members(lock).map { ($0.name, $0.rows.map(list) ?? $0.text) }
        let rows = members.sorted { $0.0 < $1.0 }.map { "  \(quote($0.0)): \($0.1)" }
        return "{\n" + rows.joined(separator: ",\n") + "\n}\n"
    }

    package static func parse(_ bytes: [UInt8], place: String) throws -> Lock {
        try lock(Row(try JSONText.parse(bytes, place: place), place), isOfStep: false)
    }

    private static func lock(_ document: Row, isOfStep: Bool) throws -> Lock {
        let version = try document.integer("version")
        guard version == Lock.currentVersion else {
            throw document.failure("version", "version \(version) is not known here")
        }
        let ofPackages = [
            "accounts", "archives", "base", "distribution", "layerBudget", "layers", "packages", "requested",
        ]
        let from = isOfStep ? nil : try SourceRows.from(document)
        let hasPackages = from == nil || document.has("distribution")
        try document.expectKeys(
            ["architecture", "tools", "version"] + (hasPackages ? ofPackages : []),
            optional: isOfStep
                ? [] : ["builds", "files", "scripts", from == nil ? nil : "from"].compactMap(\.self))
        let architecture = try document.parsed("architecture") { Architecture(rawValue: $0) }
        let tools = try document.numbers("tools", in: 0...Int.max)
        let fetched = try SourceRows.fetched(document)
        let builds =
            document.has("builds") ? try document.rows("builds").map { try lock($0, isOfStep: true) } : []
        if !hasPackages {
            return Lock(
                version: version, distribution: nil, architecture: architecture, base: .minimal,
                requested: [], archives: [], packages: [], layers: [], from: from, fetched: fetched,
                tools: tools, builds: builds)
        }
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
            try row.expectKeys(
                ["architecture", "archive", "name", "path", "sha256", "size", "version"], optional: ["suite"])
            let name = try row.parsed("name") { (try? Recipe.PackageRequest(parsing: $0))?.name }
            guard names.insert(name).inserted else { throw row.failure("name", "\(name) is there twice") }
            let size = try row.integer("size", in: 1...Limit.packageBytes)
            return Lock.Package(
                name: name, version: try row.string("version"), architecture: try row.string("architecture"),
                archive: try row.string("archive"), path: try row.parsed("path", LockFile.safePath),
                size: size,
                sha256: try row.parsed("sha256") { try? Digest(hex: $0) },
                suite: row.has("suite") ? try row.string("suite") : nil)
        }
        return Lock(
            version: version, distribution: distribution, architecture: architecture, base: base,
            requested: try document.strings("requested").map { text, line in
                guard let request = try? Recipe.PackageRequest(parsing: text) else {
                    throw document.failure(line: line, "\"\(text)\" is not a package")
                }
                return request
            },
            archives: archives, packages: packages,
            layerBudget: try document.integer("layerBudget", in: Recipe.layerBudgets),
            layers: try layers(document, of: names),
            accounts: try document.numbers("accounts", in: Accounts.firstID...Accounts.lastID),
            from: from, fetched: fetched, tools: tools, scripts: try scripts(document), builds: builds)
    }

    /// The plan of layers: every package in exactly one.
    private static func layers(_ document: Row, of packages: Set<String>) throws -> [[String]] {
        var rest = packages
        let layers = try document.lists("layers").map { items in
            try items.map { name, line in
                guard rest.remove(name) != nil else {
                    throw document.failure(line: line, "`layers`: \(name) is there twice, or is not locked")
                }
                return name
            }
        }
        guard let name = rest.min() else { return layers }
        throw document.failure("layers", "\(name) is in no layer")
    }

    // MARK: Scripts

    /// `{"default": "traced", "squid": "effects", "chrony": {"allow": ["/x"], "mode": "traced"}}`, sorted.
    private static func text(_ rules: ScriptRules) -> String {
        var rows = rules.packages.mapValues { rule in
            let mode = JSONText.quote(rule.mode.rawValue)
            let paths = rule.allow.map(JSONText.quote).joined(separator: ", ")
            return rule.allow.isEmpty ? mode : "{\"allow\": [\(paths)], \"mode\": \(mode)}"
        }
        if rules.others != .effects { rows["default"] = JSONText.quote(rules.others.rawValue) }
        let lines = rows.sorted { $0.key < $1.key }.map { "    \(JSONText.quote($0.key)): \($0.value)" }
        return "{\n" + lines.joined(separator: ",\n") + "\n  }"
    }

    private static func scripts(_ document: Row) throws -> ScriptRules {
        var rules = ScriptRules()
        guard document.has("scripts") else { return rules }
        let row = try document.row("scripts")
        func mode(_ row: Row, _ key: String) throws -> ScriptMode {
            try row.parsed(key) { ScriptMode(rawValue: $0) }
        }
        for (name, value) in row.members {
            if name == "default" {
                rules.others = try mode(row, name)
            } else if (try? Recipe.PackageRequest(parsing: name))?.name != name {
                throw row.failure(name, "it is not a package")
            } else if case .object = value.kind {
                let inner = Row(value, document.place)
                try inner.expectKeys(["allow", "mode"])
                let paths = try inner.strings("allow").map { text, line in
                    guard text.hasPrefix("/") else {
                        throw inner.failure(line: line, "\(text) is not a path")
                    }
                    return text
                }
                rules.packages[name] = ScriptRule(try mode(inner, "mode"), allow: paths)
            } else {
                rules.packages[name] = ScriptRule(try mode(row, name))
            }
        }
        return rules
    }

    /// A lock names files below an archive; it cannot reach anything else.
    static func safePath(_ text: String) -> String? {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        let isSafe = parts.allSatisfy { !$0.isEmpty && $0 != "." && $0 != ".." } && !text.contains("://")
        return isSafe ? text : nil
    }

    /// One object of the file, whose values are asked for by their type.
    struct Row {
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

        func has(_ key: String) -> Bool { members.contains { $0.name == key } }

        func row(_ key: String) throws -> Row {
            guard case .object = try value(key).kind else { throw failure(key, "an object is expected") }
            return Row(try value(key), place)
        }

        func expectKeys(_ keys: [String], optional: [String] = []) throws {
            for (name, value) in members where !keys.contains(name) && !optional.contains(name) {
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

        func integer(_ key: String, in range: ClosedRange<Int>) throws -> Int {
            let number = try integer(key)
            guard range.contains(number) else { throw failure(key, "\(number) is not allowed") }
            return number
        }

        /// An object of numbers.
        func numbers(_ key: String, in range: ClosedRange<Int>) throws -> [String: Int] {
            let row = try row(key)
            var numbers: [String: Int] = [:]
            for (name, _) in row.members { numbers[name] = try row.integer(name, in: range) }
            return numbers
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

        func strings(_ key: String) throws -> [(text: String, line: Int)] { try strings(items(key)) }

        /// Lists in a list.
        func lists(_ key: String) throws -> [[(text: String, line: Int)]] {
            try items(key).map { item in
                guard case .array(let items) = item.kind, !items.isEmpty else {
                    throw failure(line: item.line, "`\(key)`: a list is expected")
                }
                return try strings(items)
            }
        }

        private func strings(_ items: [JSONText]) throws -> [(text: String, line: Int)] {
            try items.map { item in
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
            let names = [distribution, recipe.distribution].map { $0.map { "\($0)" } ?? "no distribution" }
            return "it was made for \(names[0]), the recipe asks for \(names[1])"
        }
        if let why = staleSources(for: recipe) ?? staleBuilds(for: recipe) { return why }
        if architecture != recipe.architecture {
            return
                "it was made for \(architecture.rawValue), the recipe asks for \(recipe.architecture.rawValue)"
        }
        if base != recipe.base { return "it was made for the \(base.rawValue) base" }
        if layerBudget != recipe.layerBudget {
            return "it plans for \(layerBudget) layers, the recipe asks for \(recipe.layerBudget)"
        }
        let wanted = Lock.sorted(recipe.packages)
        if requested == wanted {
            return scripts == recipe.scripts.decisive ? nil : "the recipe treats scripts in another way"
        }
        let added = wanted.filter { !requested.contains($0) }.map { "+\($0)" }
        let gone = requested.filter { !wanted.contains($0) }.map { "-\($0)" }
        return "the packages changed since: " + (added + gone).joined(separator: " ")
    }

    private func staleBuilds(for recipe: Recipe) -> String? {
        guard builds.count == recipe.builds.count else {
            return "it has packages for \(builds.count) build steps, the recipe has \(recipe.builds.count)"
        }
        for (index, step) in recipe.builds.enumerated() {
            if let why = builds[index].staleness(for: step.root(of: recipe)) {
                return "\(step.label(index)): \(why)"
            }
        }
        return nil
    }

    /// Throws where the recipe names packages under `scripts:` that the image has not.
    package func expectKnownScripts() throws {
        let known = Set(packages.map(\.name))
        let unknown = scripts.packages.keys.filter { !known.contains($0) }.sorted()
        guard !unknown.isEmpty else { return }
        throw Failures(
            unknown.map { name in
                Failure(
                    .packageUnknown, "the image has no package \(name)", at: "image.scripts.\(name)",
                    suggestion: CloseNames.question(name, among: known) ?? "take the line away")
            })
    }

    /// Throws where this lock does not belong to a recipe.
    package func expectFresh(for recipe: Recipe, place: String = "kiln.lock") throws {
        guard let why = staleness(for: recipe) else { return }
        throw Failure(.lockStale, "the lock is stale: \(why)", at: place, suggestion: "run `kiln lock`")
    }
}
