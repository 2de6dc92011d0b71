package import Model

/// How an image was made, for whoever has to decide whether to run it (SLSA provenance v1).
package struct Provenance: Hashable, Sendable {
    /// What the parameters mean is told in docs/trust.md.
    package static let buildType = "urn:kiln:bake:v1"

    /// The Git commit that the recipe came from.
    package struct Source: Hashable, Sendable {
        /// `https://git.example/shop`, without credentials; nil for a repository that has no other copy.
        package var repository: String?
        /// Hexadecimal.
        package var commit: String
        /// The folder held changes that no commit has: the commit does not tell what was baked.
        package var isDirty: Bool

        package init(repository: String?, commit: String, isDirty: Bool) {
            self.repository = repository
            self.commit = commit
            self.isDirty = isDirty
        }
    }

    /// Something that went into the image.
    package struct Material: Hashable, Sendable {
        /// A package URL, or the address of the source.
        package var uri: String
        /// By algorithm: `sha256`, `gitCommit`.
        package var digests: [String: String]

        package init(uri: String, digests: [String: String]) {
            self.uri = uri
            self.digests = digests
        }
    }

    /// A file that the spec brings in.
    package struct Include: Hashable, Sendable {
        /// From the folder of the spec.
        package var path: String
        package var sha256: Digest

        package init(path: String, sha256: Digest) {
            self.path = path
            self.sha256 = sha256
        }
    }

    package var buildType = Provenance.buildType
    /// The spec that was baked, by its bytes.
    package var recipe: Digest?
    package var includes: [Include]
    package var source: Source?
    package var materials: [Material]
    /// Who vouches for the bake: `https://ci.example/runner`.
    package var builder: String
    package var startedOn: Instant?
    package var finishedOn: Instant?
    /// SHA-256 of what the bake wrote to its log.
    package var log: Digest?

    package enum Limit {
        static let materials = 100_000
    }

    package init(
        recipe: Digest?, includes: [Include] = [], source: Source?, materials: [Material], builder: String,
        startedOn: Instant?,
        finishedOn: Instant?, log: Digest? = nil
    ) {
        self.recipe = recipe
        self.includes = includes
        self.source = source
        self.materials = materials
        self.builder = builder
        self.startedOn = startedOn
        self.finishedOn = finishedOn
        self.log = log
    }

    package var predicate: JSONValue {
        var external: [String: JSONValue] = [:]
        external["recipe"] = recipe.map { recipe in
            var members: [String: JSONValue] = ["sha256": .string(recipe.hex)]
            if !includes.isEmpty {
                members["includes"] = .array(
                    includes.map { .object(["path": .string($0.path), "sha256": .string($0.sha256.hex)]) })
            }
            return .object(members)
        }
        external["source"] = source.map { source in
            var members: [String: JSONValue] = [
                "commit": .string(source.commit), "isDirty": .bool(source.isDirty),
            ]
            members["repository"] = source.repository.map { .string($0) }
            return .object(members)
        }
        var metadata: [String: JSONValue] = [:]
        metadata["startedOn"] = startedOn.map { .string($0.description) }
        metadata["finishedOn"] = finishedOn.map { .string($0.description) }
        var run: [String: JSONValue] = [
            "builder": .object(["id": .string(builder)]), "metadata": .object(metadata),
        ]
        run["byproducts"] = log.map {
            .array([
                .object(["name": .string("log"), "digest": .object(["sha256": .string($0.hex)])])
            ])
        }
        return .object([
            "buildDefinition": .object([
                "buildType": .string(buildType), "externalParameters": .object(external),
                "resolvedDependencies": .array(
                    materials.map {
                        .object([
                            "uri": .string($0.uri), "digest": .object($0.digests.mapValues { .string($0) }),
                        ])
                    }),
            ]), "runDetails": .object(run),
        ])
    }

    /// Reads what decisions are made of. Of our own build type, parameters that are not known here are refused:
    /// they could change what the others mean.
    package init(_ predicate: JSONValue) throws {
        guard let build = predicate["buildDefinition"], let type = build["buildType"]?.text,
            let external = build["externalParameters"]?.members, let run = predicate["runDetails"],
            let builder = run["builder"]?["id"]?.text, !builder.isEmpty
        else {
            throw Malformed.evidence("the provenance lacks its build type, its parameters or its builder")
        }
        if type == Provenance.buildType,
            let odd = external.keys.sorted().first(where: { !["recipe", "source"].contains($0) })
        {
            throw Malformed.evidence("the provenance has the parameter \"\(odd.prefix(80))\", unknown here")
        }
        buildType = type
        self.builder = builder
        recipe = try external["recipe"]?["sha256"]?.text.map { try Digest(hex: $0) }
        // Another build type may call something else by this name.
        let included = type == Provenance.buildType ? external["recipe"]?["includes"]?.elements : nil
        includes = try (included ?? []).map {
            Include(path: $0["path"]?.text ?? "", sha256: try Digest(hex: $0["sha256"]?.text ?? ""))
        }
        source = try external["source"].flatMap { json in
            // Another build type may call something else by this name.
            guard type == Provenance.buildType else { return nil }
            guard let commit = json["commit"]?.text, case .bool(let isDirty) = json["isDirty"] else {
                throw Malformed.evidence("the provenance's source lacks its commit, or whether it is dirty")
            }
            return Source(repository: json["repository"]?.text, commit: commit, isDirty: isDirty)
        }
        let listed = build["resolvedDependencies"]?.elements ?? []
        guard listed.count <= Limit.materials else {
            throw Malformed.evidence("the provenance has more than \(Limit.materials) dependencies")
        }
        materials = listed.map {
            Material(
                uri: $0["uri"]?.text ?? "",
                digests: ($0["digest"]?.members ?? [:]).compactMapValues(\.text))
        }
        startedOn = try Provenance.instant(run["metadata"]?["startedOn"])
        finishedOn = try Provenance.instant(run["metadata"]?["finishedOn"])
        log = try run["byproducts"]?.elements?.first { $0["name"]?.text == "log" }?["digest"]?["sha256"]?
            .text.map { try Digest(hex: $0) }
    }

    private static func instant(_ json: JSONValue?) throws -> Instant? {
        guard let json, json != .null else { return nil }
        guard let instant = json.text.flatMap(Instant.init) else {
            throw Malformed.evidence("a time of the provenance cannot be read")
        }
        return instant
    }

    /// The statement about an image.
    package func statement(about subject: Statement.Subject) -> Statement {
        Statement(subjects: [subject], predicateType: .provenance, predicate: predicate)
    }
}
