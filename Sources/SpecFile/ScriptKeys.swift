import Model

/// `image.scripts`: a mode for each package that is named, and one for all others.
enum ScriptKeys {
    static let mode = Key(
        "mode", Form<ScriptMode>.choice(example: "traced"), "What happens with the package's scripts.",
        required: true)
    static let allow = Key(
        "allow",
        Form<String>.absolutePath(example: "/etc/ssl/private/x.key").list(
            1...Bounds.allowedPaths, example: "[/etc/ssl/private/x.key]"),
        "Paths that a traced script may make although they hold a secret, an identity, a database or a log.")
    static let reason = Key(
        "reason", Form<String>.anyText(example: "a test certificate"), "Why; for readers of this file.")

    private static let settings = Form<ScriptRule>.section(
        [mode, allow, reason], example: "{mode: traced, allow: [/etc/ssl/private/x.key]}"
    ) { section, problems in
        let mode = section.value(mode, &problems)
        let allow = section.value(allow, &problems)
        let reason = section.value(reason, &problems)
        if let mode, mode != .traced, section.has(ScriptKeys.allow) {
            problems.add(
                "allow is for mode: traced", line: section.line(of: ScriptKeys.allow),
                suggestion: "write mode: traced, or take allow away")
        }
        return mode.map { ScriptRule($0, allow: allow ?? [], reason: reason) }
    }

    /// A mode alone, or settings.
    private static let rule: Form<ScriptRule> = {
        let word = Form<ScriptMode>.choice(example: "traced")
        return Form(
            schema: .object(["oneOf": .list([word.schema, settings.schema])]), example: "traced"
        ) { node, label, problems in
            if case .mapping = node.content { return settings.read(node, label, &problems) }
            return word.read(node, label, &problems).map { ScriptRule($0) }
        }
    }()

    static let form: Form<ScriptRules> = {
        let word = Form<ScriptMode>.choice(example: "effects")
        let example = "{default: effects, squid: traced}"
        let pattern = "^[a-z0-9][a-z0-9+.-]+$"
        let schema: JSON = .object([
            "type": .text("object"),
            "propertyNames": .object(["pattern": .text(pattern)]),
            "properties": .object([
                JSON.Member(
                    name: "default",
                    value: word.schema.adding([
                        "description": .text("For packages that are not named."), "default": .text("effects"),
                    ]))
            ]),
            "additionalProperties": rule.schema,
            "maxProperties": .integer(Bounds.packages),
        ])
        return Form(schema: schema, example: example) { node, label, problems in
            guard case .mapping(let pairs) = node.content else {
                problems.add(
                    "\(label.text) is \(node.kindName); packages with modes are needed", line: node.line,
                    suggestion: label.write(example))
                return nil
            }
            guard pairs.count <= Bounds.packages else {
                problems.add(
                    "\(label.text) has \(pairs.count) entries; \(Bounds.packages) are the most",
                    line: node.line, suggestion: "use default for most of them")
                return nil
            }
            var rules = ScriptRules()
            for pair in pairs {
                if pair.key == "default" {
                    rules.others = word.read(pair.value, .key(pair.key), &problems) ?? .effects
                    continue
                }
                if (try? Recipe.PackageRequest(parsing: pair.key))?.name != pair.key {
                    problems.add(
                        "\(quoted(pair.key)) is not the name of a package", line: pair.line,
                        suggestion: "write the name without a version, such as squid: traced")
                }
                rules.packages[pair.key] = rule.read(pair.value, .key(pair.key), &problems)
            }
            return rules
        }
    }()
}
