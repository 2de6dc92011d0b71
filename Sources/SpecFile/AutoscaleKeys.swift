import Model

/// `run.autoscale` — bounds for the number of instances, and the load that each of them should have.
enum AutoscaleKeys {
    static let min = Key(
        "min", Form<Int>.integer(Bounds.replicas, example: "2"), "Never fewer instances than this.",
        required: true)
    static let max = Key(
        "max", Form<Int>.integer(Bounds.replicas, example: "10"), "Never more instances than this.",
        required: true)
    static let target = Key(
        "target", TargetKeys.form, "The load that each instance should have.", required: true)

    static let form = Form<Autoscale>.section(
        [min, max, target], example: "{min: 2, max: 10, target: {cpu: 60%}}"
    ) { section, problems in
        let least = section.value(min, &problems)
        let most = section.value(max, &problems)
        let target = section.value(target, &problems)
        guard let least, let most else { return nil }
        guard least <= most else {
            problems.add(
                "min is \(least), max is \(most)", line: section.line(of: min),
                suggestion: "write the smaller number as min")
            return nil
        }
        return target.map { Autoscale(min: least, max: most, target: $0) }
    }
}

/// `run.autoscale.target`.
enum TargetKeys {
    static let requestsPerSecond = Key(
        "requests-per-second", Form<Int>.integer(Bounds.requestsPerSecond, example: "100"),
        "Requests a second of each instance.")
    static let cpu = Key(
        "cpu", Form<Int>.percent(1...Bounds.percent.upperBound, example: "60%"),
        "Of each instance's own CPU limit.")
    static let concurrency = Key(
        "concurrency", Form<Int>.integer(Bounds.concurrency, example: "10"),
        "Requests that each instance carries at a time.")

    static let all: [any AnyKey] = [requestsPerSecond, cpu, concurrency]

    static let form = Form<Autoscale.Target>.section(all, example: "{cpu: 60%}") { section, problems in
        let given = section.given(all)
        if given.count != 1 {
            problems.add(
                given.isEmpty
                    ? "target names no load" : "target has \(sentence(given.map(\.name))); one is needed",
                line: given.last?.line ?? section.line,
                suggestion: "write one of requests-per-second: 100, cpu: 60% and concurrency: 10")
        }
        let found: [Autoscale.Target?] = [
            section.value(requestsPerSecond, &problems).map { .requestsPerSecond($0) },
            section.value(cpu, &problems).map { .cpu($0) },
            section.value(concurrency, &problems).map { .concurrency($0) },
        ]
        return found.compactMap(\.self).first
    }.requiringOne(of: all)
}
