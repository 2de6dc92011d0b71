import Model

/// `image:` — what goes into an image, and how the image starts.
enum ImageKeys {
    static let distribution = Key(
        "distribution",
        Form<Recipe.Distribution>.parsed(pattern: "^(debian|ubuntu)/[a-z0-9]+$", example: "debian/bookworm"),
        "The distribution and suite that packages come from.")
    static let include = Key(
        "include",
        Form<String>.includePath(example: "../shared/base.yaml").located.list(
            1...Bounds.includes, example: "[../shared/base.yaml]"),
        "Files with keys of `image` that this one shares with others. Lists are joined and groups merged; of "
            + "single values, that of the including file counts.")
    static let from = Key(
        "from",
        Form<Recipe.ImageRequest>.parsed(
            pattern: "^[^@\\s]+(@sha256:[0-9a-f]{64})?$",
            example: "registry.example/base:v1"),
        "An image to build on, kept byte for byte, instead of packages: of a registry, `oci:DIR`, "
            + "`oci-archive:FILE`, `docker-archive:FILE` or the store.")
    static let dockerfile = Key(
        "dockerfile", Form<Recipe.ImageRequest>.dockerfile(example: "Dockerfile"),
        "A Dockerfile, relative to the folder of this file and inside it. `kiln lock` builds it with buildah, in the "
            + "folder that it lies in; a bake takes the image that was locked, as with `from`.")
    static let architecture = Key(
        "architecture", Form<[Architecture]>.oneOrSeveral(example: "amd64"),
        "The machine type, or a list of them: an image for each, and an index of them all. Without it, that of "
            + "the machine that bakes.")
    static let base = Key(
        "base", Form<Recipe.Base>.choice(example: "minimal"),
        "Packages that every image begins with: minimal is the C library and base files; essential adds "
            + "a shell, coreutils and all else that Debian marks Essential.", fallback: .text("minimal"))
    static let mirror = Key(
        "mirror", Form<String>.archiveAddress(example: "https://mirror.example/debian"),
        "The one archive to use instead of the host's own apt sources: its suite and updates, "
            + "main components.")
    static let sources = Key(
        "sources",
        SourceKeys.form.list(
            1...Bounds.sources, example: "[{uri: https://mirror.example/debian, suites: [bookworm]}]"),
        "Archives to use instead of the host's own apt sources, tried in order; named as in deb822 files.")
    static let packages = Key(
        "packages",
        Form<Recipe.PackageRequest>.parsed(
            pattern: "^[a-z0-9][a-z0-9+.-]+(=[A-Za-z0-9+.:~-]+)?$", example: "nginx-light"
        ).located.list(0...Bounds.packages, example: "[nginx-light, ca-certificates]"),
        "Debian packages; `name=version` for one version exactly. What they depend on comes with them.")
    static let scripts = Key(
        "scripts", ScriptKeys.form,
        "What happens with packages' maintainer scripts: `default`, and packages by name. effects: read, never "
            + "run, a step that is not understood is a warning; traced: run once in a sandbox; refused: such a "
            + "step stops the bake.")
    static let files = Key(
        "files", FileKeys.form.located.list(0...Bounds.files, example: "[{from: site/, to: /srv/www}]"),
        "Files and folders to put into the image: those beside this file, downloads, and parts of Git "
            + "repositories.")
    static let build = Key(
        "build",
        BuildKeys.form.located.list(
            0...Bounds.builds,
            example: "[{packages: [gcc, libc6-dev], run: [make], copy: [{from: /out/app, to: /usr/bin/app}]}]"
        ),
        "Commands that are run one after the other, each in a root of its own without network, and what of "
            + "their results goes into the image. A bake that has to run one needs root.")
    static let user = Key(
        "user", Form<String>.user(example: "www-data"),
        "The user of the image that the command runs as, by name or number; without it, that of `from`, "
            + "else root without capabilities.")
    static let command = Key(
        "command", Form<[String]>.command(example: "[nginx, -g, daemon off;]"),
        "The program to run and its arguments; no shell is involved. With `from`, without it that of the "
            + "image.")
    static let workingDirectory = Key(
        "working-directory", Form<String>.absolutePath(example: "/srv/app"),
        "The folder of the image that the command starts in; without it, that of `from`, else /.")
    static let environment = Key(
        "environment", Form<[String: String]>.variables(example: "{LANG: C.UTF-8}"),
        "Environment variables of the image; `run.config` is for those that differ between releases.")

    static let layers = Key(
        "layers", Form<Int>.integer(Recipe.layerBudgets, example: "32"),
        "How many layers the image may have: packages that change together share one. More layers make "
            + "smaller updates for hosts that fetch whole layers.",
        fallback: .integer(Recipe.defaultLayerBudget))

    static let all: [any AnyKey] = [
        include, distribution, from, dockerfile, architecture, base, mirror, sources, packages, scripts,
        files, build, user, command, workingDirectory, environment, layers,
    ]

    /// What an image of packages must say; an image of another one need not.
    private static let needed: [any AnyKey] = [distribution, command]
    /// What has no meaning beside `from` without packages.
    private static let ofPackages: [any AnyKey] = [distribution, mirror, sources, scripts, layers]

    /// A recipe with the lines of its files and results: a scratch mount that hides one of them is a mistake.
    struct Draft: Sendable {
        var recipe: Recipe
        var files: [Located<FileRule>]
    }

    static let form: Form<Draft> = {
        var form = settings
        let choices = [needed, [from], [dockerfile], [include]].map { keys in
            JSON.object(["required": .list(keys.map { .text($0.name) })])
        }
        form.schema = form.schema.adding(["anyOf": .list(choices)])
        return form
    }()

    private static let settings = Form<Draft>.section(
        all,
        example: "{distribution: debian/bookworm, packages: [nginx-light], command: [nginx, -g, daemon off;]}"
    ) { section, problems in
        let below = section.given([from, dockerfile])
        let from = section.value(from, &problems) ?? section.value(dockerfile, &problems)
        if below.count > 1 {
            problems.add(
                "from and dockerfile are both given", line: below[1].line,
                suggestion: "remove one of the two; the first line of a Dockerfile is its own FROM")
        }
        if let below = below.first {
            if section.has(ImageKeys.packages) { section.require([ImageKeys.distribution], &problems) }
            for key in section.has(ImageKeys.packages) ? [] : section.given(stray(section)) {
                problems.add(
                    "\(key.name) is given, but no packages to put on \(below.name)", line: key.line,
                    suggestion: "add packages: [ca-certificates], or remove \(key.name)")
            }
            if section.has(ImageKeys.base) {
                problems.add(
                    "base is given, and \(below.name) too", line: section.line(of: ImageKeys.base),
                    suggestion: "remove base: the image is what packages are put on")
            }
        } else {
            section.require(needed, &problems)
        }
        let distribution = section.value(distribution, &problems)
        let packages = packages(section.value(packages, &problems) ?? [], &problems)
        let files = nearestFiles(section.value(files, &problems) ?? [], &problems)
        let drafts = section.value(build, &problems) ?? []
        if !below.isEmpty, !drafts.isEmpty, !section.has(ImageKeys.packages) {
            section.require([ImageKeys.distribution], &problems)
        }
        var builds = BuildKeys.steps(drafts, files: files, &problems)
        let mirror = section.value(mirror, &problems)
        var sources = (section.value(sources, &problems) ?? []).flatMap(\.self)
        if section.has(ImageKeys.mirror), section.has(ImageKeys.sources) {
            problems.add(
                "mirror and sources are both given", line: section.line(of: ImageKeys.mirror),
                suggestion: "keep sources, and put the mirror into it as another entry")
        }
        if let mirror, let distribution { sources = [source(mirror: mirror, distribution)] }
        let command = section.value(command, &problems)
        let architecture = section.value(architecture, &problems)
        let base = section.value(base, &problems)
        let user = section.value(user, &problems)
        let workingDirectory = section.value(workingDirectory, &problems)
        let environment = section.value(environment, &problems)
        let layers = section.value(layers, &problems)
        let scripts = section.value(scripts, &problems)
        guard from != nil || distribution != nil && command != nil else { return nil }
        // Beside an image below that takes no packages, it speaks of the build steps alone.
        let isOfBuilds = from != nil && packages.isEmpty && !builds.isEmpty
        if isOfBuilds { for index in builds.indices { builds[index].distribution = distribution } }
        let recipe = Recipe(
            distribution: isOfBuilds ? nil : distribution, from: from,
            architectures: architecture ?? [.native],
            base: base ?? .minimal, sources: sources, packages: packages,
            files: files.map(\.value), user: user,
            command: command ?? [], workingDirectory: workingDirectory, environment: environment ?? [:],
            layerBudget: layers ?? Recipe.defaultLayerBudget, scripts: scripts ?? ScriptRules(),
            builds: builds)
        let results = zip(drafts, builds).flatMap { draft, step in
            zip(step.copies, draft.value.copyLines).map { copy, line in
                Located(value: FileRule(from: copy.from, to: copy.to), line: line)
            }
        }
        return Draft(recipe: recipe, files: files + results)
    }

    /// Those of `ofPackages` that build steps do not need either.
    private static func stray(_ section: Section) -> [any AnyKey] {
        section.has(build)
            ? ofPackages.filter { ![distribution.name, mirror.name, sources.name].contains($0.name) }
            : ofPackages
    }

    static func packages(
        _ entries: [Located<Recipe.PackageRequest>], _ problems: inout Problems
    ) -> [Recipe.PackageRequest] {
        nearest(entries, by: \.name, &problems) {
            "the package \($0.name) is listed twice, first on \($1)"
        }.map(\.value)
    }

    /// The suites that a full mirror of the distribution has under one address.
    private static func source(mirror: String, _ distribution: Recipe.Distribution) -> ArchiveSource {
        let suite = distribution.suite
        if distribution.vendor == "ubuntu" {
            return ArchiveSource(
                uri: mirror, suites: [suite, suite + "-updates", suite + "-security"],
                components: ["main", "universe"])
        }
        let isRolling = ["sid", "unstable", "experimental"].contains(suite)
        return ArchiveSource(
            uri: mirror, suites: isRolling ? [suite] : [suite, suite + "-updates"], components: ["main"])
    }

    /// Of two entries with one name, that of the nearer file counts; within one file it is a slip.
    private static func nearest<Value>(
        _ entries: [Located<Value>], by name: (Value) -> String, _ problems: inout Problems,
        advice: String = "keep one of the two",
        _ message: (_ entry: Value, _ first: String) -> String
    ) -> [Located<Value>] {
        var kept: [Located<Value>?] = []
        var places: [String: Int] = [:]
        for entry in entries {
            if let place = places[name(entry.value)], let first = kept[place]?.line {
                if problems.isOneFile(first, entry.line) {
                    problems.add(
                        message(entry.value, problems.mention(first, at: entry.line)), line: entry.line,
                        suggestion: advice)
                } else {
                    kept[place] = nil
                }
            }
            places[name(entry.value)] = kept.count
            kept.append(entry)
        }
        return kept.compactMap(\.self)
    }

    static func nearestFiles(
        _ files: [Located<FileRule>], _ problems: inout Problems
    ) -> [Located<FileRule>] {
        nearest(
            files, by: \.to, &problems,
            advice: "give each its own target, or put both into one folder and name the folder"
        ) { "two files go to \(quoted($0.to)), the first on \($1)" }
    }
}
