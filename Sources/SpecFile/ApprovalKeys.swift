import Model

/// `approval:` of a gate: a name, nothing, or who has to say yes.
enum ApprovalKeys {
    struct Draft: Sendable {
        var name: String?
        var approvers: Approvers?
    }

    static let name = Key(
        "name", GateKeys.nameForm, "What the gate is called; the same as name beside approval.")
    static let by = Key(
        "by", keyName.list(1...Approvers.Limit.names, example: "[alice, bob]"),
        "Who may say yes: names of deploy keys in the host's key ring (`kiln key list`). Each signs with a key."
    )
    static let count = Key(
        "count", Form<Int>.integer(1...Approvers.Limit.names, example: "1"),
        "How many of them have to say yes.", fallback: .integer(1))

    static let form: Form<Draft> = {
        let settings = Form<Draft>.section([name, by, count], example: "{by: [alice, bob]}", build: build)
        let schema: JSON = .object(["oneOf": .list([GateKeys.nameForm.schema, settings.schema])])
        return Form(schema: schema, example: GateKeys.nameForm.example) { node, label, problems in
            switch node.content {
            case .mapping(let pairs) where pairs.isEmpty: return Draft()
            case .mapping: return settings.read(node, label, &problems)
            case .empty:
                problems.add(
                    "\(label.text) is empty", line: node.line,
                    suggestion: label.write(GateKeys.nameForm.example) + ", or {}")
                return nil
            default: return GateKeys.nameForm.read(node, label, &problems).map { Draft(name: $0) }
            }
        }
    }()

    private static let keyName = Form<String>.text(
        pattern: "^[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?$", example: "alice"
    ) { text in
        Approvers.isKeyName(text)
            ? nil
            : "a key's name, 1 to \(Approvers.Limit.nameBytes) of a-z, 0-9 and . _ - between them, is needed"
    }

    @Sendable private static func build(_ section: Section, _ problems: inout Problems) -> Draft? {
        let name = section.value(name, &problems)
        let names = section.value(by, &problems)
        let count = section.value(count, &problems)
        guard let names else {
            if section.has(ApprovalKeys.count), !section.has(by) {
                problems.add(
                    "count is given, but not who has to say yes", line: section.line(of: ApprovalKeys.count),
                    suggestion: "write by: [alice, bob], or leave count out")
            }
            return Draft(name: name)
        }
        let twice = Dictionary(grouping: names) { $0 }.filter { $0.value.count > 1 }.keys.sorted()
        for name in twice {
            problems.add(
                "by names \(name) twice", line: section.line(of: by), suggestion: "name each key once")
        }
        if let count, count > Set(names).count {
            problems.add(
                "count is \(count), and by names \(counted(Set(names).count, "key"))",
                line: section.line(of: ApprovalKeys.count),
                suggestion: "write count: \(Set(names).count) or less, or name more keys")
        }
        return Draft(name: name, approvers: Approvers(names, count: count ?? 1))
    }
}
