/// A condition that a rollout meets before it goes on. What it does, it does once, whatever crashes meanwhile.
package struct Gate: Hashable, Sendable, Codable {
    package enum Kind: Hashable, Sendable, Codable {
        /// Every instance of the new release stays healthy this long.
        case health(Span)
        /// GET `path` on every instance of the new release. `body`: a text that the answer contains.
        case http(path: String, status: Int, body: String?)
        /// A command, run once in an instance of the new release made for it: migrations, smoke tests.
        case command([String])
        /// A person says yes, by `kiln rollout approve`. `by`: who, with a signature; nil: anybody who may use the
        /// daemon.
        case approval(by: Approvers?)
        /// Compares the releases that have traffic for at least this long.
        case analysis(Span)
        /// POST to a URL: 200…299 passes, 202 is asked again later.
        case webhook(url: String)
        /// A Prometheus query whose value has to stay within bounds.
        case query(MetricQuery)
        /// So many GETs of `path` through the router, where a comparison lacks requests. It has no answer of its own.
        case visits(path: String, count: Int)
    }

    /// What happens when there is no answer in time. A clear no always ends the rollout.
    package enum Otherwise: String, Hashable, Sendable, Codable, CaseIterable {
        /// The rollout is ended and the old release serves.
        case fail
        /// The rollout goes on.
        case pass
        /// The rollout waits for a person.
        case pause
    }

    /// Unique within a release.
    package var name: String
    package var kind: Kind
    package var timeout: Span
    package var otherwise: Otherwise

    package init(
        _ name: String, _ kind: Kind, timeout: Span = .seconds(60), otherwise: Otherwise = .fail
    ) {
        self.name = name
        self.kind = kind
        self.timeout = timeout
        self.otherwise = otherwise
    }
}

extension Gate.Kind {
    /// What is asked, for people.
    package var question: String {
        switch self {
        case .health(let span): "healthy for \(span)"
        case .http(let path, let status, _): "GET \(path) is to answer \(status)"
        case .command(let command): "running \(command.joined(separator: " "))"
        case .approval(let approvers): approvers.map { "approval by \($0)" } ?? "somebody's approval"
        case .analysis(let span): "comparing for \(span)"
        case .webhook(let url): "asking \(url)"
        case .query(let query): "looking at \(query.query)"
        case .visits(let path, let count): "asking for \(path) \(count) times"
        }
    }
}

/// A Prometheus instant query that gives one value.
package struct MetricQuery: Hashable, Sendable, Codable {
    /// The server, `http://127.0.0.1:9090`.
    package var server: String
    package var query: String
    /// Thousandths; nil: no bound.
    package var least: Int?
    package var most: Int?

    package init(server: String, query: String, least: Int? = nil, most: Int? = nil) {
        self.server = server
        self.query = query
        self.least = least
        self.most = most
    }
}

/// A question to the outside on behalf of a gate.
package struct GateCheck: Hashable, Sendable, Codable {
    /// The same whenever the same question is asked again: what receives it can tell a repetition.
    package var idempotencyKey: String
    package var gate: Gate
    package var key: ServiceKey
    package var release: ReleaseNumber
    package var rollout: Int
    /// `address:port` of every instance of the new release that is asked, or of the router.
    package var targets: [String]

    package init(
        idempotencyKey: String, gate: Gate, key: ServiceKey, release: ReleaseNumber, rollout: Int,
        targets: [String]
    ) {
        self.idempotencyKey = idempotencyKey
        self.gate = gate
        self.key = key
        self.release = release
        self.rollout = rollout
        self.targets = targets
    }
}

/// What came of a question.
package enum GateAnswer: Hashable, Sendable, Codable {
    /// `detail`: what was seen, for the ledger and the screen.
    case passed(detail: String)
    case failed(reason: String)
    /// No answer yet, or nobody could be reached: to be asked again until the gate's time is over.
    case unanswered(reason: String)
}
