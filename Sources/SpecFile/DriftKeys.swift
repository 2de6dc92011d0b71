import Model

/// `drift:` — what is done about instances that are not what was launched any more. Usually one word; a group where
/// some kinds of it are answered otherwise.
enum DriftKeys {
    static let mode = Key(
        "mode", Form<DriftSettings.Mode>.choice(example: "replace"),
        "replace: what differs is replaced; alert: it is only told; off: nobody looks.",
        fallback: .text("replace"))
    static let except = Key(
        "except", DriftExceptionKeys.form.located.list(1...Bounds.driftExceptions, example: exampleList),
        "Kinds that are answered otherwise, each for a reason and until a day.")

    private static let exampleList = "[\(DriftExceptionKeys.example)]"
    private static let all: [any AnyKey] = [mode, except]

    static let form: Form<DriftSettings> = {
        let settings = Form<DriftSettings>.section(all, example: "{mode: replace, except: \(exampleList)}") {
            section, problems in
            let mode = section.value(mode, &problems)
            let exceptions = section.value(except, &problems) ?? []
            for (index, exception) in exceptions.enumerated()
            where exceptions[..<index].contains(where: { $0.value.kind == exception.value.kind }) {
                problems.add(
                    "except has \(exception.value.kind.rawValue) twice", line: exception.line,
                    suggestion: "keep one of the two")
            }
            return DriftSettings(mode: mode ?? .replace, exceptions: exceptions.map(\.value))
        }
        let schema: JSON = .object(["oneOf": .list([mode.form.schema, settings.schema])])
        return Form(schema: schema, example: "replace") { node, label, problems in
            if case .mapping = node.content { return settings.read(node, label, &problems) }
            return mode.form.read(node, label, &problems).map { DriftSettings(mode: $0) }
        }
    }()
}

/// An entry of `drift.except`.
enum DriftExceptionKeys {
    static let example = "{kind: network, mode: alert, reason: a debugging week, until: 2027-01-31}"

    static let kind = Key(
        "kind", Form<Drift.Kind>.choice(Drift.Kind.ofInstances, example: "network"), "What may differ.",
        required: true)
    static let mode = Key(
        "mode", Form<DriftSettings.Mode>.choice(example: "alert"), "What is done about it.", required: true)
    static let reason = Key(
        "reason", Form<String>.someText(bytes: Bounds.reasonBytes, example: "a debugging week"),
        "Why it may.", required: true)
    static let until = Key(
        "until", Form<Instant>.day(example: "2027-01-31"), "The day (UTC) on which it ends.", required: true)

    static let form = Form<DriftSettings.Exception>.section([kind, mode, reason, until], example: example) {
        section, problems in
        let kind = section.value(kind, &problems)
        let mode = section.value(mode, &problems)
        let reason = section.value(reason, &problems)
        let until = section.value(until, &problems)
        guard let kind, let mode, let reason, let until else { return nil }
        return DriftSettings.Exception(kind: kind, mode: mode, reason: reason, until: until)
    }
}
