/// A key of a section: its name, what may stand there, and what it is for.
struct Key<Value: Sendable>: Sendable, AnyKey {
    let name: String
    let form: Form<Value>
    let summary: String
    let isRequired: Bool
    /// What holds when the key is left out, for editors; nil when there is nothing to say.
    let fallback: JSON?

    init(
        _ name: String, _ form: Form<Value>, _ summary: String, required: Bool = false, fallback: JSON? = nil
    ) {
        self.name = name
        self.form = form
        self.summary = summary
        isRequired = required
        self.fallback = fallback
    }

    var example: String { form.example }

    func check(_ pair: SpecNode.Pair, _ problems: inout Problems) {
        _ = form.read(pair.value, .key(name), &problems)
    }

    var schema: JSON {
        let described = form.schema.adding(["description": .text(summary)])
        return fallback.map { described.adding(["default": $0]) } ?? described
    }
}

/// A key without its type: what checking for unknown and missing ones needs.
protocol AnyKey: Sendable {
    var name: String { get }
    var summary: String { get }
    var isRequired: Bool { get }
    var example: String { get }
    var schema: JSON { get }
    /// Adds the problems of a value that is not used.
    func check(_ pair: SpecNode.Pair, _ problems: inout Problems)
}

/// A group of settings while it is read. Its keys are known to be allowed and to be there where required.
struct Section {
    let line: Int
    private let label: String
    private let values: [String: SpecNode.Pair]

    /// Adds a problem for each unknown key and each missing one; nil when it is no group of settings at all.
    init?(_ node: SpecNode, _ label: Label, keys: [any AnyKey], example: String, problems: inout Problems) {
        guard case .mapping(let pairs) = node.content else {
            problems.add(
                "\(label.text) is \(node.kindName); settings are needed", line: node.line,
                suggestion: label.write(example))
            return nil
        }
        line = node.line
        self.label = label.text
        values = Dictionary(pairs.map { ($0.key, $0) }, uniquingKeysWith: { first, _ in first })
        let names = keys.map(\.name)
        for pair in pairs where !names.contains(pair.key) {
            let list = "the keys here are \(sentence(names))"
            let advice =
                pair.key == "<<"
                ? "write the settings out; \(list)"
                : Nearest.match(pair.key, among: names.filter { values[$0] == nil })
                    .map { "did you mean \($0)? \(list)" } ?? list
            problems.add(
                "\(quoted(pair.key)) is not a key of \(label.text)", line: pair.line, suggestion: advice)
        }
        require(keys.filter(\.isRequired), &problems)
    }

    /// Adds a problem for each of `keys` that is missing.
    func require(_ keys: [any AnyKey], _ problems: inout Problems) {
        for key in keys where values[key.name] == nil {
            problems.add(
                "\(label) has no \(key.name)", line: line, suggestion: "add \(key.name): \(key.example)")
        }
    }

    func has<Value>(_ key: Key<Value>) -> Bool { values[key.name] != nil }

    /// Those of `keys` that are there, in the order of the file.
    func given(_ keys: [any AnyKey]) -> [(name: String, line: Int)] {
        keys.compactMap { key in values[key.name].map { (key.name, $0.line) } }
            .enumerated().sorted { ($0.element.1, $0.offset) < ($1.element.1, $1.offset) }.map(\.element)
    }

    func line<Value>(of key: Key<Value>) -> Int { values[key.name]?.line ?? line }

    /// nil when the key is absent or wrong; a wrong one has added its problem.
    func value<Value>(_ key: Key<Value>, _ problems: inout Problems) -> Value? {
        guard let pair = values[key.name] else { return nil }
        return key.form.read(pair.value, .key(key.name), &problems)
    }

    static func schema(_ keys: [any AnyKey]) -> JSON {
        let required = keys.filter(\.isRequired).map { JSON.text($0.name) }
        let schema = JSON.object([
            "type": .text("object"),
            "properties": .object(keys.map { JSON.Member(name: $0.name, value: $0.schema) }),
            "additionalProperties": .bool(false),
        ])
        return required.isEmpty ? schema : schema.adding(["required": .list(required)])
    }
}

extension Form {
    /// What an editor is told of a group in which exactly one of `keys` stands.
    func requiringOne(of keys: [any AnyKey]) -> Form {
        var form = self
        form.schema = schema.adding([
            "oneOf": .list(keys.map { .object(["required": .list([.text($0.name)])]) })
        ])
        return form
    }

    /// A group of settings under fixed keys.
    static func section(
        _ keys: [any AnyKey], example: String,
        build: @escaping @Sendable (Section, inout Problems) -> Value?
    ) -> Form {
        Form(schema: Section.schema(keys), example: example) { node, label, problems in
            guard let section = Section(node, label, keys: keys, example: example, problems: &problems)
            else { return nil }
            return build(section, &problems)
        }
    }
}
