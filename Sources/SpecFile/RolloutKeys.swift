import Model

/// `rollout:` — how one release takes the place of another.
enum RolloutKeys {
    static let strategy = Key(
        "strategy", Form<RolloutSettings.Strategy>.choice(example: "blue-green"),
        "blue-green: all new instances are proven beside the old ones, then take all traffic at once.",
        fallback: .text("blue-green"))
    static let drain = Key(
        "drain", Form<Span>.span(Bounds.drain, example: "10s"),
        "How long requests in flight on the old release may take.", fallback: .text("10s"))
    static let watch = Key(
        "watch", Form<Span>.span(Bounds.watch, example: "5s"),
        "How long the new release is watched with all traffic before the old one is let go.",
        fallback: .text("5s"))
    static let deadline = Key(
        "deadline", Form<Span>.span(Bounds.deadline, example: "60s"),
        "How long a new release may take until every instance is proven healthy.", fallback: .text("60s"))
    static let keepStandby = Key(
        "keep-standby", Form<Int>.integer(Bounds.keepStandby, example: "1"),
        "Old releases kept running, so that a rollback takes milliseconds.", fallback: .integer(1))

    static let all: [any AnyKey] = [strategy, drain, watch, deadline, keepStandby]

    /// Settings, and the line to name when the deadline cannot be met.
    struct Draft: Sendable {
        var settings = RolloutSettings()
        var deadlineLine: Int?
    }

    static let form = Form<Draft>.section(all, example: "{strategy: blue-green, drain: 10s}") {
        section, problems in
        var settings = RolloutSettings()
        if let strategy = section.value(strategy, &problems) { settings.strategy = strategy }
        if let drain = section.value(drain, &problems) { settings.drain = drain }
        if let watch = section.value(watch, &problems) { settings.watch = watch }
        if let deadline = section.value(deadline, &problems) { settings.deadline = deadline }
        if let keepStandby = section.value(keepStandby, &problems) { settings.keepStandby = keepStandby }
        return Draft(
            settings: settings, deadlineLine: section.has(deadline) ? section.line(of: deadline) : nil)
    }
}

/// `listen:` — where the service is reached. The usual way is an address, with `protocol: tcp` beside it for
/// what is not HTTP; both can also stand together in `listen: {address: …, protocol: tcp}`.
enum ListenKeys {
    static let address = Key(
        "address",
        Form<SocketAddress>.parsed(
            pattern: "^(\\*|[0-9.]+|\\[[0-9A-Fa-f:.]+\\]):[0-9]+$", example: "127.0.0.1:8000",
            advice: "write 127.0.0.1:8000, \"[::1]:8000\" or \"*:8000\""),
        "An IP address or * for all, and a port.", required: true)
    static let trafficProtocol = Key(
        "protocol", Form<Listener.TrafficProtocol>.choice(example: "tcp"),
        "tcp for what is not HTTP.", fallback: .text("http"))

    static let all: [any AnyKey] = [address, trafficProtocol]

    struct Draft: Sendable {
        var address: SocketAddress
        var trafficProtocol: Listener.TrafficProtocol?
    }

    static let form: Form<Draft> = {
        let settings = Form<Draft>.section(all, example: "{address: 127.0.0.1:8000, protocol: http}") {
            section, problems in
            let address = section.value(address, &problems)
            let trafficProtocol = section.value(trafficProtocol, &problems)
            return address.map { Draft(address: $0, trafficProtocol: trafficProtocol) }
        }
        let schema: JSON = .object(["oneOf": .list([address.form.schema, settings.schema])])
        return Form(schema: schema, example: address.example) { node, label, problems in
            if case .mapping = node.content { return settings.read(node, label, &problems) }
            return address.form.read(node, label, &problems).map { Draft(address: $0) }
        }
    }()
}
