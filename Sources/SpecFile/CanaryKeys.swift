import Model

/// A step as written: the name of its gate may still be missing.
enum StepDraft: Sendable {
    case plain(CanaryStep)
    case gate(GateDraft)
}

/// An entry of `rollout.steps`.
enum StepKeys {
    static let weight = Key(
        "weight", Form<Int>.integer(Bounds.weight, example: "5"),
        "Per cent of new requests that go to the new release.")
    static let instances = Key(
        "instances", Form<Amount>.amount(1...Bounds.replicas.upperBound, example: "50%"),
        "Beside weight: how many instances of the new release carry it. Without it as many as the share is of "
            + "the service, so that none of them is asked more than the old ones are.")
    static let analyze = Key(
        "analyze", Form<Span>.span(Bounds.analyze, example: "2m"),
        "Compares errors and latency of both releases, for at least this long.")
    static let pause = Key(
        "pause", Form<Span>.span(Bounds.pause, example: "10m").orNothing,
        "Waits this long; {} waits for `kiln rollout resume`.")
    static let match = Key(
        "match", MatchKeys.form, "Requests with this header go to the new release, whatever the weight.")
    static let gate = Key("gate", GateKeys.form, "A condition that has to be met.")

    static let kinds: [any AnyKey] = [weight, analyze, pause, match, gate]
    static let all: [any AnyKey] = [weight, instances, analyze, pause, match, gate]

    static let form = Form<StepDraft>.section(all, example: "{weight: 5}") { section, problems in
        let given = section.given(kinds)
        if given.count != 1 {
            problems.add(
                given.isEmpty
                    ? "a step has nothing to do" : "a step has \(sentence(given.map(\.name))); one is needed",
                line: given.last?.line ?? section.line,
                suggestion: given.isEmpty
                    ? "write one of \(sentence(kinds.map(\.name))), such as weight: 5"
                    : "write a step for each: - \(given[0].name): … and - \(given[1].name): …")
        }
        let weight = section.value(weight, &problems)
        let instances = section.value(instances, &problems)
        if section.has(StepKeys.instances), !section.has(StepKeys.weight) {
            problems.add(
                "instances is without weight", line: section.line(of: StepKeys.instances),
                suggestion: "write {weight: 5, instances: 50%}, or remove instances")
        }
        var found: [StepDraft] = []
        if let weight { found.append(.plain(.weight(weight, instances: instances))) }
        if let span = section.value(analyze, &problems) { found.append(.plain(.analyze(span))) }
        if let pause = section.value(pause, &problems) { found.append(.plain(.pause(pause.value))) }
        if let match = section.value(match, &problems) { found.append(.plain(.match(match))) }
        if let gate = section.value(gate, &problems) { found.append(.gate(gate)) }
        return found.first
    }.requiringOne(of: kinds)

    static let list = form.list(
        1...Bounds.steps, example: "[{weight: 5}, {analyze: 2m}, {weight: 50}, {analyze: 5m}]")

    /// What a canary does where the spec names no steps. Few users meet a broken release: one request in
    /// twenty for two minutes shows what breaks at once. The longer looks at a quarter and at half of the
    /// traffic show what only load or time brings out.
    static let careful: [StepDraft] = [
        .plain(.weight(5, instances: nil)), .plain(.analyze(.seconds(120))),
        .plain(.weight(25, instances: nil)), .plain(.analyze(.seconds(300))),
        .plain(.weight(50, instances: nil)), .plain(.analyze(.seconds(300))),
    ]
}

/// `match:` of a step.
enum MatchKeys {
    static let header = Key(
        "header", Form<String>.headerName(example: "X-Canary"), "The header's name, in any case.",
        required: true)
    static let value = Key(
        "value", Form<String>.headerValue(example: "yes"), "Its whole value; without it any value will do.")

    static let form = Form<HeaderMatch>.section([header, value], example: "{header: X-Canary}") {
        section, problems in
        let header = section.value(header, &problems)
        let value = section.value(value, &problems)
        return header.map { HeaderMatch(header: $0, value: value) }
    }
}
