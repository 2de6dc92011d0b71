import Model

/// One kind of value that a spec can hold: how it is read, and what an editor is told about it. Parser and
/// JSON Schema come from the same forms, so that they cannot disagree.
struct Form<Value: Sendable>: Sendable {
    /// JSON Schema of the value.
    var schema: JSON
    /// As somebody would write it; part of suggestions.
    var example: String
    /// Gives nil after adding a problem.
    var read: @Sendable (SpecNode, Label, inout Problems) -> Value?
}

/// What messages call a value.
struct Label: Sendable {
    var text: String
    /// Its key; nil for an entry of a list.
    var key: String?

    static func key(_ name: String) -> Label { Label(text: name, key: name) }
    static func entry(of list: String) -> Label { Label(text: "an entry of \(list)", key: nil) }

    /// What to write, as advice: `write replicas: 3`.
    func write(_ example: String) -> String {
        if let key { "write \(key): \(example)" } else { "write \(example)" }
    }
}

/// A value and the line that it was read from.
struct Located<Value: Sendable>: Sendable {
    var value: Value
    var line: Int
}

extension Form {
    /// The same form, with what is read turned into something else; nil after adding a problem.
    func map<New: Sendable>(
        _ transform: @escaping @Sendable (Value, Int, Label, inout Problems) -> New?
    ) -> Form<New> {
        Form<New>(schema: schema, example: example) { node, label, problems in
            guard let value = read(node, label, &problems) else { return nil }
            return transform(value, node.line, label, &problems)
        }
    }

    var located: Form<Located<Value>> { map { value, line, _, _ in Located(value: value, line: line) } }

    /// A list of such values. One wrong entry does not hide the problems of the others.
    func list(_ count: ClosedRange<Int>, example: String, advice: String? = nil) -> Form<[Value]> {
        var schema: JSON = .object(["type": .text("array"), "items": schema])
        if count.lowerBound > 0 { schema = schema.adding(["minItems": .integer(count.lowerBound)]) }
        schema = schema.adding(["maxItems": .integer(count.upperBound)])
        return Form<[Value]>(schema: schema, example: example) { node, label, problems in
            guard case .list(let items) = node.content else {
                problems.add(
                    "\(label.text) is \(node.kindName); a list is needed", line: node.line,
                    suggestion: advice ?? label.write(example))
                return nil
            }
            guard count.contains(items.count) else {
                let message =
                    items.isEmpty
                    ? "\(label.text) is an empty list"
                    : "\(label.text) has \(items.count) entries; \(count.upperBound) are the most"
                problems.add(message, line: node.line, suggestion: label.write(example))
                return nil
            }
            let values = items.map { read($0, .entry(of: label.text), &problems) }
            return values.contains { $0 == nil } ? nil : values.compactMap(\.self)
        }
    }
}

extension Form where Value == String {
    /// Any one value, as the text that was written: `8080` and `true` are texts too.
    static func anyText(example: String) -> Form {
        Form(
            schema: .object(["type": .list([.text("string"), .text("number"), .text("boolean")])]),
            example: example
        ) { node, label, problems in
            guard case .scalar(let text, _) = node.content else {
                let isEmpty = if case .empty = node.content { true } else { false }
                problems.add(
                    isEmpty
                        ? "\(label.text) is empty" : "\(label.text) is \(node.kindName); a text is needed",
                    line: node.line,
                    suggestion: isEmpty
                        ? label.write(example) + ", or \"\" for an empty text" : label.write(example))
                return nil
            }
            guard text.utf8.count <= Bounds.textBytes else {
                problems.add(
                    "\(label.text) has \(text.utf8.count) bytes; \(Bounds.textBytes) are the most",
                    line: node.line, suggestion: "put it into a file under `files:`")
                return nil
            }
            guard !text.unicodeScalars.contains("\0") else {
                problems.add(
                    "\(label.text) contains a zero byte", line: node.line, suggestion: "remove the \\0")
                return nil
            }
            return text
        }
    }

    /// A text of a certain shape. `check` gives what is wrong with it, to stand after the text in quotes.
    static func text(
        pattern: String? = nil, example: String, check: @escaping @Sendable (String) -> String?
    ) -> Form {
        var schema: JSON = .object(["type": .text("string")])
        if let pattern { schema = schema.adding(["pattern": .text(pattern)]) }
        let any = anyText(example: example)
        return Form(schema: schema, example: example) { node, label, problems in
            if case .empty = node.content {
                problems.add("\(label.text) is empty", line: node.line, suggestion: label.write(example))
                return nil
            }
            guard let text = any.read(node, label, &problems) else { return nil }
            guard let wrong = check(text) else { return text }
            problems.add(
                "\(label.text) is \(quoted(text)); \(wrong)", line: node.line,
                suggestion: label.write(example))
            return nil
        }
    }
}

extension Form where Value == Bool {
    static func flag(example: String) -> Form {
        Form(schema: .object(["type": .text("boolean")]), example: example) { node, label, problems in
            switch node.content {
            case .scalar("true", isQuoted: false): return true
            case .scalar("false", isQuoted: false): return false
            default:
                let what = if case .scalar(let text, _) = node.content { quoted(text) } else { node.kindName }
                problems.add(
                    "\(label.text) is \(what); true or false is needed", line: node.line,
                    suggestion: label.write(example))
                return nil
            }
        }
    }
}

extension Form where Value: CaseIterable & RawRepresentable<String> {
    /// One of the words that the type has.
    static func choice(_ values: [Value] = Array(Value.allCases), example: String) -> Form {
        let words = values.map(\.rawValue)
        return Form(
            schema: .object(["enum": .list(words.map { .text($0) })]), example: example
        ) { node, label, problems in
            let text: String? = if case .scalar(let text, _) = node.content { text } else { nil }
            if let text, words.contains(text), let value = Value(rawValue: text) { return value }
            let guess = text.flatMap { Nearest.match($0, among: words) } ?? example
            problems.add(
                "\(label.text) is \(text.map(quoted) ?? node.kindName); "
                    + (words.count == 1
                        ? "\(words[0]) is the only choice" : "the choices are \(sentence(words))"),
                line: node.line, suggestion: label.write(guess))
            return nil
        }
    }
}

extension Form where Value: TextCodable {
    /// A text that the model itself knows how to check; its words and advice are passed on.
    static func parsed(pattern: String, example: String, advice: String? = nil) -> Form {
        let any = Form<String>.text(example: example) { _ in nil }
        let schema: JSON = .object(["type": .text("string"), "pattern": .text(pattern)])
        return Form(schema: schema, example: example) { node, label, problems in
            guard let text = any.read(node, label, &problems) else { return nil }
            do {
                return try Value(parsing: text)
            } catch {
                let failure = Failure.list(error)[0]
                let words =
                    failure.message.hasPrefix("\"\(text)\"")
                    ? quoted(text) + failure.message.dropFirst(text.count + 2) : failure.message
                problems.add(
                    "\(label.text) is wrong: \(words)", line: node.line,
                    suggestion: advice ?? failure.suggestion ?? label.write(example))
                return nil
            }
        }
    }
}
