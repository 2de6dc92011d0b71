import Model

/// `policy:` — what an image must prove before it may start. A host's policy file has the same keys.
enum PolicyKeys {
    static let require = Key(
        "require", predicateType.located.list(1...Bounds.predicates, example: "[signature, provenance]"),
        "What must be signed of the image: signature, provenance, sbom or the whole type of a predicate. Exactly that."
    )
    static let builders = Key(
        "builders",
        words("https://ci.example/runner").list(1...Bounds.origins, example: "[https://ci.example/runner]"),
        "Builders whose provenance is believed; without it any.")
    static let sources = Key(
        "sources",
        words("https://git.example/shop").list(1...Bounds.origins, example: "[https://git.example/shop]"),
        "Repositories that the image may come from, as its provenance writes them; without it any.")
    static let allowDirty = Key(
        "allow-dirty", Form<Bool>.flag(example: "true"),
        "Whether a bake with changes that no commit has will do, where sources are given.",
        fallback: .bool(false))
    static let maxAge = Key(
        "max-age", Form<Span>.span(Bounds.imageAge, example: "30d"),
        "How long ago the bake may have ended, by its provenance; without it any time.")
    static let vulnerabilities = Key(
        "vulnerabilities", VulnerabilityKeys.form(isOfHost: false),
        "Known faults of packages that keep the image from starting.")

    /// In kiln.yaml.
    static let keys = Key(
        "keys",
        Form<String>.localPath(example: "release.pub").list(1...Bounds.keys, example: "[release.pub]"),
        "Public keys whose signatures count, as PEM files beside this one; without it the host's build keys.")
    /// In a host's file.
    static let hostKeys = Key(
        "keys", hostKey.list(1...Bounds.keys, example: "[release]"),
        "Build keys whose signatures count: names of keys of this host, or absolute paths of PEM files; without it all build keys of this host."
    )
    static let hostVulnerabilities = Key(
        "vulnerabilities", VulnerabilityKeys.form(isOfHost: true),
        "Known faults of packages that keep an image from starting.")

    static let breakGlass = Key(
        "break-glass", BreakGlassKeys.form,
        "Who may go into instances (kiln exec, debug and hold); without it root and the daemon's user.")

    static let all: [any AnyKey] = [require, keys, builders, sources, allowDirty, maxAge, vulnerabilities]
    static let hostAll: [any AnyKey] = [
        require, hostKeys, builders, sources, allowDirty, maxAge, hostVulnerabilities, breakGlass,
    ]

    static let form = Form<PolicyDraft>.section(all, example: "{require: [signature], keys: [release.pub]}") {
        build($0, keys: keys, vulnerabilities: vulnerabilities, &$1)
    }

    /// The root of a host's file.
    static let hostForm = Form<PolicyDraft>.section(hostAll, example: "require: [signature]") {
        let rule = $0.value(breakGlass, &$1)
        var draft = build($0, keys: hostKeys, vulnerabilities: hostVulnerabilities, &$1)
        draft?.breakGlass = rule
        return draft
    }

    private static func build(
        _ section: Section, keys: Key<[String]>, vulnerabilities: Key<VulnerabilityRule>,
        _ problems: inout Problems
    ) -> PolicyDraft? {
        let before = problems.count
        let required = section.value(require, &problems) ?? []
        let names = section.value(keys, &problems) ?? []
        let builders = section.value(builders, &problems)
        let sources = section.value(sources, &problems)
        let allowsDirty = section.value(allowDirty, &problems)
        let maxAge = section.value(maxAge, &problems)
        let rule = section.value(vulnerabilities, &problems)
        addRepeated(required, &problems)
        // A rule that does nothing would be believed to do something.
        let asksForStatements: [any AnyKey] = [
            require, PolicyKeys.builders, PolicyKeys.sources, PolicyKeys.maxAge,
        ]
        if section.given(asksForStatements).isEmpty, section.has(keys) {
            problems.add(
                "keys are given, and nothing that they should have signed", line: section.line(of: keys),
                suggestion: "add require: [signature]")
        } else if section.given(asksForStatements).isEmpty, !section.has(vulnerabilities),
            !section.has(breakGlass)
        {
            problems.add(
                "the policy asks for nothing", line: section.line, suggestion: "add require: [signature]")
        }
        if section.has(allowDirty), !section.has(PolicyKeys.sources) {
            problems.add(
                "allow-dirty is given, but no sources", line: section.line(of: allowDirty),
                suggestion: "add sources: \(PolicyKeys.sources.example), or remove allow-dirty")
        }
        guard problems.count == before else { return nil }
        let rules = AdmissionPolicy(
            required: required.map(\.value), builders: builders, sources: sources,
            allowsDirtySources: allowsDirty ?? false, maximumAge: maxAge, vulnerabilities: rule)
        return PolicyDraft(keys: names, rules: rules)
    }

    private static func addRepeated(_ types: [Located<String>], _ problems: inout Problems) {
        for (index, type) in types.enumerated()
        where types[..<index].contains(where: { $0.value == type.value }) {
            problems.add(
                "require has \(PredicateWord.text(type.value)) twice", line: type.line,
                suggestion: "keep one of the two")
        }
    }

    /// A word of ours, or a type written out.
    private static let predicateType: Form<String> = {
        let words = PredicateWord.allCases.map(\.rawValue)
        let text = Form<String>.text(example: "signature") { _ in nil }
        let schema: JSON = .object([
            "oneOf": .list([
                .object(["enum": .list(words.map { .text($0) })]),
                .object(["type": .text("string"), "pattern": .text("^[a-z][a-z0-9+.-]*:[!-~]+$")]),
            ])
        ])
        return Form<String>(schema: schema, example: "signature") { node, label, problems in
            guard let text = text.read(node, label, &problems) else { return nil }
            if let word = PredicateWord(rawValue: text) { return word.type }
            let isType =
                text.wholeMatch(of: /[a-z][a-z0-9+.\-]*:[!-~]+/) != nil
                && text.utf8.count <= Bounds.originBytes
            if isType { return text }
            problems.add(
                "\(label.text) is \(quoted(text)); \(sentence(words)) are known, and types with a scheme",
                line: node.line,
                suggestion: label.write(
                    Nearest.match(text, among: words) ?? "signature, or https://… for another type"))
            return nil
        }
    }()

    /// A name that a provenance has for something.
    private static func words(_ example: String) -> Form<String> {
        Form<String>.text(pattern: "^[!-~]+$", example: example) { text in
            let isPlain = text.utf8.allSatisfy { (0x21...0x7e).contains($0) }
            return isPlain && (1...Bounds.originBytes).contains(text.utf8.count)
                ? nil : "1 to \(Bounds.originBytes) plain characters without spaces are needed"
        }
    }

    private static let hostKey = Form<String>.text(
        pattern: "^(/.*|[a-z0-9]([a-z0-9._-]*[a-z0-9])?)$", example: "release"
    ) { text in
        if text.hasPrefix("/") { return SpecPath.fault(text) }
        let isName =
            text.utf8.count <= Bounds.keyNameBytes
            && text.wholeMatch(of: /[a-z0-9]([a-z0-9._\-]*[a-z0-9])?/) != nil
        return isName ? nil : "the name of a key of this host or the absolute path of a PEM file is needed"
    }
}
