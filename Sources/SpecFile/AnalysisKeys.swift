import Model

/// `rollout.analysis` — what a comparison of the new release with the old one tolerates and needs.
enum AnalysisKeys {
    static let falseAlarms = Key(
        "false-alarms", Form<Int>.hundredthsOfPercent(Bounds.falseAlarms, example: "1%"),
        "How often a release that is no worse may be stopped by chance, over a whole rollout. 1%: who ships "
            + "daily looks into three or four false alarms a year.", fallback: .text("1%"))
    static let minRequests = Key(
        "min-requests", Form<Int>.integer(Bounds.minRequests, example: "100"),
        "Requests that each side must have had before the comparison passes; with fewer the rollout pauses. "
            + "100: fewer could not tell one error in twenty from none.", fallback: .integer(100))
    static let errorTolerance = Key(
        "error-tolerance", Form<Int>.hundredthsOfPercent(Bounds.errorTolerance, example: "0.1%"),
        "More errors than the old release has, as a part of the requests, that are not worth stopping for. "
            + "0.1%: no user notices one request in a thousand.", fallback: .text("0.1%"))
    static let slowdownTolerance = Key(
        "slowdown-tolerance", Form<Int>.percent(Bounds.slowdownTolerance, example: "10%"),
        "How much slower than the old release the new one may answer. 10%: two runs of one release differ by "
            + "nearly as much.", fallback: .text("10%"))
    static let baseline = Key(
        "baseline", Form<Bool>.flag(example: "true"),
        "Compare with fresh instances of the old release, as many as the new one has: those that have run for "
            + "days have warm caches, and the new release would look slow beside them.", fallback: .bool(true)
    )
    static let queries = Key(
        "queries", QueryKeys.form.list(1...Bounds.queries, example: "[\(QueryKeys.form.example)]"),
        "Prometheus queries that have to stay within their bounds during each comparison.")
    static let probes = Key(
        "probes", SyntheticProbeKeys.form,
        "Requests that Kiln makes through the router while releases are compared and visitors make too few. Each "
            + "release gets its share of them.")

    static let all: [any AnyKey] = [
        falseAlarms, minRequests, errorTolerance, slowdownTolerance, baseline, queries, probes,
    ]

    static let form = Form<AnalysisSettings>.section(all, example: "{false-alarms: 1%}") {
        section, problems in
        var settings = AnalysisSettings()
        if let value = section.value(falseAlarms, &problems) { settings.falseAlarms = value }
        if let value = section.value(minRequests, &problems) { settings.minRequests = value }
        if let value = section.value(errorTolerance, &problems) { settings.errorTolerance = value }
        if let value = section.value(slowdownTolerance, &problems) { settings.slowdownTolerance = value }
        if let value = section.value(baseline, &problems) { settings.hasBaseline = value }
        if let value = section.value(queries, &problems) { settings.queries = value }
        if let value = section.value(probes, &problems) { settings.probes = value }
        return settings
    }
}

/// What to ask for where visitors ask for too little.
enum SyntheticProbeKeys {
    static let path = Key(
        "path", Form<String>.requestPath(example: "/"),
        "What is asked for, with GET. Choose one that works the release as visitors do and changes nothing.",
        required: true)
    static let rate = Key(
        "rate", Form<Int>.integer(Bounds.probeRate, example: "50"),
        "Requests a second in all, those of visitors among them. 50: a canary with 5 % of them has its 100 "
            + "requests in 40 seconds.", fallback: .integer(50))

    static let form = Form<SyntheticProbes>.section([path, rate], example: "{path: /}") {
        section, problems in
        guard let path = section.value(path, &problems) else { return nil }
        return SyntheticProbes(path: path, rate: section.value(rate, &problems) ?? 50)
    }
}

/// A Prometheus query with bounds.
enum QueryKeys {
    static let server = Key(
        "server", Form<String>.webAddress(example: "http://127.0.0.1:9090"), "The Prometheus server.",
        required: true)
    static let query = Key(
        "query", Form<String>.someText(bytes: Bounds.queryBytes, example: "sum(queue_length)"),
        "An instant query that gives one value.", required: true)
    static let min = Key(
        "min", Form<Int>.thousandths(Bounds.threshold, example: "0.5"), "The value may not be below this.")
    static let max = Key(
        "max", Form<Int>.thousandths(Bounds.threshold, example: "100"), "The value may not be above this.")

    static let all: [any AnyKey] = [server, query, min, max]

    static let form = Form<MetricQuery>.section(
        all, example: "{server: \"http://127.0.0.1:9090\", query: sum(queue_length), max: 100}"
    ) { section, problems in
        let server = section.value(server, &problems)
        let query = section.value(query, &problems)
        let least = section.value(min, &problems)
        let most = section.value(max, &problems)
        if !section.has(min), !section.has(max) {
            problems.add(
                "a query has no bound", line: section.line, suggestion: "add min, max or both: max: 100")
            return nil
        }
        if let least, let most, least > most {
            problems.add(
                "min \(FixedPoint.text(least, decimals: 3)) is above max \(FixedPoint.text(most, decimals: 3))",
                line: section.line(of: min), suggestion: "write the smaller number as min")
            return nil
        }
        guard let server, let query else { return nil }
        return MetricQuery(server: server, query: query, least: least, most: most)
    }
}
