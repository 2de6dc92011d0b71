import Model

/// `image:` — what goes into an image, and how the image starts.
enum ImageKeys {
    static let distribution = Key(
        "distribution",
        Form<Recipe.Distribution>.parsed(pattern: "^(debian|ubuntu)/[a-z0-9]+$", example: "debian/bookworm"),
        "The distribution and suite that packages come from.", required: true)
    static let architecture = Key(
        "architecture", Form<Architecture>.choice(example: "amd64"),
        "The machine type; without it, that of the machine that bakes.")
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
    static let files = Key(
        "files", FileKeys.form.located.list(0...Bounds.files, example: "[{from: site/, to: /srv/www}]"),
        "Files and folders beside this file to put into the image.")
    static let user = Key(
        "user", Form<String>.user(example: "www-data"),
        "The user of the image that the command runs as, by name or number; without it, root "
            + "without capabilities.")
    static let command = Key(
        "command", Form<[String]>.command(example: "[nginx, -g, daemon off;]"),
        "The program to run and its arguments; no shell is involved.", required: true)
    static let workingDirectory = Key(
        "working-directory", Form<String>.absolutePath(example: "/srv/app"),
        "The folder of the image that the command starts in.", fallback: .text("/"))
    static let environment = Key(
        "environment", Form<[String: String]>.variables(example: "{LANG: C.UTF-8}"),
        "Environment variables of the image; `run.config` is for those that differ between releases.")

    static let all: [any AnyKey] = [
        distribution, architecture, base, mirror, sources, packages, files, user, command, workingDirectory,
        environment,
    ]

    /// A recipe with the lines of its files: a scratch mount that hides one of them is a mistake.
    struct Draft: Sendable {
        var recipe: Recipe
        var files: [Located<FileRule>]
    }

    static let form = Form<Draft>.section(
        all,
        example: "{distribution: debian/bookworm, packages: [nginx-light], command: [nginx, -g, daemon off;]}"
    ) { section, problems in
        let distribution = section.value(distribution, &problems)
        let packages = section.value(packages, &problems) ?? []
        addRepeated(packages, &problems)
        let files = section.value(files, &problems) ?? []
        addSameTargets(files, &problems)
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
        guard let distribution, let command else { return nil }
        let recipe = Recipe(
            distribution: distribution, architecture: architecture ?? .native, base: base ?? .minimal,
            sources: sources, packages: packages.map(\.value), files: files.map(\.value), user: user,
            command: command, workingDirectory: workingDirectory, environment: environment ?? [:])
        return Draft(recipe: recipe, files: files)
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

    private static func addRepeated(
        _ packages: [Located<Recipe.PackageRequest>], _ problems: inout Problems
    ) {
        var lines: [String: Int] = [:]
        for package in packages {
            if let first = lines[package.value.name] {
                problems.add(
                    "the package \(package.value.name) is listed twice, first on line \(first)",
                    line: package.line, suggestion: "keep one of the two")
            } else {
                lines[package.value.name] = package.line
            }
        }
    }

    private static func addSameTargets(_ files: [Located<FileRule>], _ problems: inout Problems) {
        var lines: [String: Int] = [:]
        for file in files {
            if let first = lines[file.value.to] {
                problems.add(
                    "two files go to \(quoted(file.value.to)), the first on line \(first)", line: file.line,
                    suggestion: "give each its own target, or put both into one folder and name the folder")
            } else {
                lines[file.value.to] = file.line
            }
        }
    }
}

/// An entry of `image.sources`.
enum SourceKeys {
    static let uri = Key(
        "uri", Form<String>.archiveAddress(example: "https://mirror.example/debian"), "The archive's address."
    )
    static let uris = Key(
        "uris",
        Form<String>.archiveAddress(example: "https://mirror.example/debian").list(
            1...Bounds.sourceWords, example: "[https://mirror.example/debian]"),
        "Several addresses with the same suites, tried in order.")
    static let suites = Key(
        "suites",
        Form<[String]>.wordList("bookworm", example: "[bookworm, bookworm-updates]", check: wordFault),
        "The suites to use.", required: true)
    static let components = Key(
        "components", Form<[String]>.wordList("main", example: "[main]", check: wordFault),
        "The components to use.", fallback: .list([.text("main")]))
    static let signedBy = Key(
        "signed-by", Form<String>.absolutePath(example: "/usr/share/keyrings/debian-archive-keyring.gpg"),
        "The keyring on the baking host that the archive must be signed with; without it, the "
            + "distribution's own."
    )

    static let all: [any AnyKey] = [uri, uris, suites, components, signedBy]

    static let form: Form<[ArchiveSource]> = {
        var form = settings
        form.schema = form.schema.adding([
            "oneOf": .list([uri.name, uris.name].map { .object(["required": .list([.text($0)])]) })
        ])
        return form
    }()

    private static let settings = Form<[ArchiveSource]>.section(
        all, example: "{uri: https://mirror.example/debian, suites: [bookworm], components: [main]}"
    ) { section, problems in
        if section.has(uri) == section.has(uris) {
            problems.add(
                section.has(uri) ? "uri and uris are both given" : "a source has no uri", line: section.line,
                suggestion: "write uri: https://mirror.example/debian")
        }
        let one = section.value(uri, &problems).map { [$0] }
        let addresses = section.value(uris, &problems) ?? one ?? []
        let suites = section.value(suites, &problems) ?? []
        let components = section.value(components, &problems) ?? ["main"]
        let signedBy = section.value(signedBy, &problems)
        return addresses.map {
            ArchiveSource(uri: $0, suites: suites, components: components, signedBy: signedBy)
        }
    }

    @Sendable private static func wordFault(_ word: String) -> String? {
        let isWord =
            word.utf8.count <= 100
            && word.utf8.allSatisfy {
                (0x61...0x7a).contains($0 | 0x20) || (0x30...0x39).contains($0) || "-._/".utf8.contains($0)
            }
        return isWord && !word.isEmpty && SpecPath.parts(word) != nil && !word.hasPrefix("/")
            ? nil : "a name of letters, digits, -, . and _ is needed"
    }
}

/// An entry of `image.files`.
enum FileKeys {
    static let from = Key(
        "from", Form<String>.localPath(example: "site/"),
        "A file or folder, relative to the folder of this file and inside it. A folder goes whole.",
        required: true)
    static let to = Key(
        "to", Form<String>.targetPath(example: "/srv/www"),
        "Where it goes in the image. With a slash at the end, a file goes into that folder under its own "
            + "name.",
        required: true)
    static let mode = Key(
        "mode", Form<Int>.permissions(example: "0644"),
        "Permissions of the files in octal. Without it: 0755 for what is executable, 0644 for all else.")
    static let owner = Key(
        "owner", Form<String>.owner(example: "www-data:www-data"),
        "user or user:group of the image, by name or number.", fallback: .text("root:root"))

    static let all: [any AnyKey] = [from, to, mode, owner]

    static let form = Form<FileRule>.section(all, example: "{from: site/, to: /srv/www}") {
        section, problems in
        let from = section.value(from, &problems)
        var to = section.value(to, &problems)
        let mode = section.value(mode, &problems)
        let owner = section.value(owner, &problems)
        guard let from, let target = to else { return nil }
        if target.hasSuffix("/"), target != "/" {
            // `site/` is a folder's content: it goes into the target folder itself.
            to =
                from.hasSuffix("/")
                ? String(target.dropLast()) : target + (from.split(separator: "/").last ?? "")
        }
        return FileRule(from: from, to: to ?? target, mode: mode, owner: owner)
    }
}
