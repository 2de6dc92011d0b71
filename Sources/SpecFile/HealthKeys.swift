import Model

/// `run.health`: one kind of probe, and how often it is made.
enum HealthKeys {
    static let path = Key(
        "path", Form<String>.requestPath(example: "/"),
        "Probe by HTTP: GET of this path passes with 200 to 399.")
    static let tcp = Key("tcp", tcpForm, "Probe by a TCP connection to the port.")
    static let command = Key(
        "command", Form<[String]>.command(example: "[redis-cli, ping]"),
        "Probe by a command inside the instance: exit status 0 passes.")
    static let interval = Key(
        "interval", Form<Span>.span(Bounds.probeInterval, example: "1s"), "From one probe to the next.",
        fallback: .text("1s"))
    static let timeout = Key(
        "timeout", Form<Span>.span(Bounds.probeTimeout, example: "1s"), "How long one probe may take.",
        fallback: .text("1s"))
    static let healthyAfter = Key(
        "healthy-after", Form<Int>.integer(Bounds.probesInARow, example: "2"),
        "Passing probes in a row before a new instance is given traffic.", fallback: .integer(2))
    static let unhealthyAfter = Key(
        "unhealthy-after", Form<Int>.integer(Bounds.probesInARow, example: "3"),
        "Failing probes in a row before an instance is replaced.", fallback: .integer(3))

    static let all: [any AnyKey] = [path, tcp, command, interval, timeout, healthyAfter, unhealthyAfter]

    static let form = Form<HealthCheck>.section(all, example: "{path: /}", build: build)
        .requiringOne(of: [path, tcp, command])

    private static let tcpForm: Form<Bool> = {
        var form = Form<Bool>.flag(example: "true")
        form.schema = .object(["const": .bool(true)])
        return form
    }()

    @Sendable private static func build(_ section: Section, _ problems: inout Problems) -> HealthCheck? {
        let given = [section.has(path), section.has(tcp), section.has(command)].count { $0 }
        if given != 1 {
            problems.add(
                given == 0 ? "health has no probe" : "health has \(given) kinds of probes; one is needed",
                line: section.line,
                suggestion: "write one of path: /, tcp: true and command: [redis-cli, ping]")
        }
        var kinds = [
            section.value(path, &problems).map { HealthCheck.Kind.http(path: $0) },
            section.value(command, &problems).map { HealthCheck.Kind.command($0) },
        ]
        switch section.value(tcp, &problems) {
        case true?: kinds.append(.tcp)
        case false?:
            problems.add(
                "tcp is false", line: section.line(of: tcp),
                suggestion: "remove it, and write path: / or command: [redis-cli, ping] instead")
        case nil: break
        }
        let interval = section.value(interval, &problems)
        let timeout = section.value(timeout, &problems)
        let healthyAfter = section.value(healthyAfter, &problems)
        let unhealthyAfter = section.value(unhealthyAfter, &problems)
        guard let kind = kinds.compactMap(\.self).first else { return nil }
        return HealthCheck(
            kind, interval: interval ?? .seconds(1), timeout: timeout ?? .seconds(1),
            healthyAfter: healthyAfter ?? 2, unhealthyAfter: unhealthyAfter ?? 3)
    }
}
