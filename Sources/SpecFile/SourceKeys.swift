import Model

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
