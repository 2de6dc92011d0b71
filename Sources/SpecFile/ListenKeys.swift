import Model

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
