import Model

/// A gate as written: its name and its timeout may still be missing.
struct GateDraft: Sendable {
    var name: Located<String>?
    var kind: Gate.Kind
    var timeout: Span?
    var otherwise: Gate.Otherwise
}

/// A condition that a rollout meets before it goes on.
enum GateKeys {
    static let name = Key(
        "name", nameForm,
        "What it is called on screens and in `kiln rollout approve`; made up where left out.")
    static let health = Key(
        "health", Form<Span>.span(Bounds.gateHealth, example: "30s"),
        "Every instance of the new release stays healthy this long.")
    static let http = Key(
        "http", HTTPGateKeys.form,
        "GET on every instance of the new release, with the answer that is expected.")
    static let command = Key(
        "command", Form<[String]>.command(example: "[/srv/app/migrate, --once]"),
        "A command run once, in an instance of the new release that is made for it: exit status 0 passes.")
    static let approval = Key(
        "approval", ApprovalKeys.form,
        "A person says yes, by `kiln rollout approve`: anybody who may use the daemon, or, with by, those people, each "
            + "with a signature.")
    static let analysis = Key(
        "analysis", Form<Span>.span(Bounds.analyze, example: "2m"),
        "Compares the releases that have traffic, for at least this long.")
    static let webhook = Key(
        "webhook", Form<String>.webAddress(example: "https://ci.example/kiln"),
        "POST to this address: 200 to 299 passes, 202 is asked again later, 4xx fails.")
    static let query = Key(
        "query", QueryKeys.form, "A Prometheus query whose value has to be within bounds.")
    static let timeout = Key(
        "timeout", Form<Span>.span(Bounds.gateTimeout, example: "60s"),
        "How long to wait for an answer. Without it 60s, longer for what takes time itself; 24h for an "
            + "approval, so that a night may pass.")
    static let otherwise = Key(
        "otherwise", Form<Gate.Otherwise>.choice(example: "fail"),
        "What happens when there is no answer in time. A clear no always ends the rollout. fail: a gate that "
            + "nobody answers has not been met.", fallback: .text("fail"))

    static let kinds: [any AnyKey] = [health, http, command, approval, analysis, webhook, query]
    static let all: [any AnyKey] = [name] + kinds + [timeout, otherwise]

    static let form = Form<GateDraft>.section(all, example: "{health: 30s}", build: build)
        .requiringOne(of: kinds)

    static let list = form.list(0...Bounds.gates, example: "[{health: 30s}]")

    static let nameForm = Form<String>.text(
        pattern: "^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$", example: "smoke-test"
    ) { text in
        let isName =
            (1...Bounds.gateNameBytes).contains(text.utf8.count)
            && text.utf8.allSatisfy {
                (0x61...0x7a).contains($0) || (0x30...0x39).contains($0) || $0 == 0x2d
            }
            && (0x61...0x7a).contains(text.utf8.first!) && text.utf8.last != 0x2d
        return isName
            ? nil : "1 to \(Bounds.gateNameBytes) of a-z, 0-9 and -, beginning with a letter, are needed"
    }

    @Sendable private static func build(_ section: Section, _ problems: inout Problems) -> GateDraft? {
        let given = section.given(kinds)
        if given.count != 1 {
            problems.add(
                given.isEmpty
                    ? "a gate has nothing to ask"
                    : "a gate has \(sentence(given.map(\.name))); one is needed",
                line: given.last?.line ?? section.line,
                suggestion: given.isEmpty
                    ? "write one of \(sentence(kinds.map(\.name))), such as health: 30s"
                    : "write a gate for each: - \(given[0].name): … and - \(given[1].name): …")
        }
        var name = section.value(name, &problems).map {
            Located(value: $0, line: section.line(of: GateKeys.name))
        }
        let timeout = section.value(timeout, &problems)
        let otherwise = section.value(otherwise, &problems) ?? .fail
        var found: [Gate.Kind] = []
        if let span = section.value(health, &problems) { found.append(.health(span)) }
        if let kind = section.value(http, &problems) { found.append(kind) }
        if let command = section.value(command, &problems) { found.append(.command(command)) }
        if let approval = section.value(approval, &problems) {
            found.append(.approval(by: approval.approvers))
            if approval.approvers != nil, otherwise == .pass {
                problems.add(
                    "otherwise is pass: without an answer the gate would open with nobody's approval",
                    line: section.line(of: GateKeys.otherwise),
                    suggestion: "write otherwise: pause, or leave it out")
            }
            if let written = approval.name {
                let line = section.line(of: GateKeys.approval)
                if name != nil {
                    problems.add(
                        "an approval is named twice", line: line,
                        suggestion: "remove name, or write approval: {}")
                }
                name = Located(value: written, line: line)
            }
        }
        if let span = section.value(analysis, &problems) { found.append(.analysis(span)) }
        if let url = section.value(webhook, &problems) { found.append(.webhook(url: url)) }
        if let query = section.value(query, &problems) { found.append(.query(query)) }
        guard let kind = found.first else { return nil }
        if let timeout, let own = kind.ownTime, timeout <= own {
            problems.add(
                "the gate takes \(own) itself; timeout is \(timeout)",
                line: section.line(of: GateKeys.timeout),
                suggestion: "write timeout: \(own + kind.usualTimeout), or leave it out")
        }
        return GateDraft(name: name, kind: kind, timeout: timeout, otherwise: otherwise)
    }
}

/// `http:` of a gate: a path, or what to expect of it.
enum HTTPGateKeys {
    static let path = Key(
        "path", Form<String>.requestPath(example: "/ready"), "The path to GET.", required: true)
    static let status = Key(
        "status", Form<Int>.integer(Bounds.httpStatus, example: "200"), "The status of the answer.",
        fallback: .integer(200))
    static let body = Key(
        "body", Form<String>.someText(bytes: Bounds.gateBodyBytes, example: "ok"),
        "A text that the answer contains.")

    static let form: Form<Gate.Kind> = {
        let settings = Form<Gate.Kind>.section([path, status, body], example: "{path: /ready}") {
            section, problems in
            let path = section.value(path, &problems)
            let status = section.value(status, &problems)
            let body = section.value(body, &problems)
            return path.map { .http(path: $0, status: status ?? 200, body: body) }
        }
        let schema: JSON = .object(["oneOf": .list([path.form.schema, settings.schema])])
        return Form(schema: schema, example: "/ready") { node, label, problems in
            if case .mapping = node.content { return settings.read(node, label, &problems) }
            return path.form.read(node, label, &problems).map { .http(path: $0, status: 200, body: nil) }
        }
    }()
}

extension Gate.Kind {
    /// The word that kiln.yaml has for it; the beginning of a name that is made up.
    fileprivate var word: String {
        switch self {
        case .health: GateKeys.health.name
        case .http: GateKeys.http.name
        case .command: GateKeys.command.name
        case .approval: GateKeys.approval.name
        case .analysis: GateKeys.analysis.name
        case .webhook: GateKeys.webhook.name
        case .query: GateKeys.query.name
        case .visits: AnalysisKeys.probes.name
        }
    }

    /// The time that it needs where everything is well.
    fileprivate var ownTime: Span? {
        switch self {
        case .health(let span), .analysis(let span): span
        case .http, .command, .approval, .webhook, .query, .visits: nil
        }
    }

    /// How long it is waited for beyond its own time, where the spec does not say.
    fileprivate var usualTimeout: Span {
        if case .approval = self { .seconds(86_400) } else { .seconds(60) }
    }
}

/// Gives the gates of a rollout their names and timeouts.
enum GateNames {
    /// `reserved`: names that something else of the rollout has.
    static func complete(_ drafts: [GateDraft], reserved: Set<String>, _ problems: inout Problems) -> [Gate] {
        var taken = reserved
        for name in drafts.compactMap(\.name) where !taken.insert(name.value).inserted {
            problems.add(
                reserved.contains(name.value)
                    ? "the name \(name.value) belongs to a comparison of the steps"
                    : "two gates are called \(name.value)",
                line: name.line, suggestion: "give each gate a name of its own")
        }
        return drafts.map { draft in
            var name = draft.name?.value
            if name == nil {
                let free = (1...).lazy.map { "\(draft.kind.word)-\($0)" }.first { !taken.contains($0) }!
                taken.insert(free)
                name = free
            }
            let timeout = draft.timeout ?? (draft.kind.ownTime ?? .zero) + draft.kind.usualTimeout
            return Gate(name!, draft.kind, timeout: timeout, otherwise: draft.otherwise)
        }
    }
}
