internal import AsyncHTTPClient
internal import Foundation
package import Model
internal import NIOCore
internal import Ports

/// Asks over HTTP on behalf of gates: the new instances themselves, hooks, and Prometheus.
package struct GateClient: GateKeeper {
    let client: HTTPClient
    let patience: Patience

    /// How long an answer may take.
    package struct Patience: Sendable {
        package var connect = Span.seconds(5)
        /// One whole exchange with an instance or with Prometheus.
        package var answer = Span.seconds(10)
        /// One whole exchange with a hook, which may do its work before it answers.
        package var hook = Span.seconds(30)

        package init() {}
    }

    package init(_ patience: Patience = Patience()) {
        self.patience = patience
        var configuration = HTTPClient.Configuration()
        configuration.timeout.connect = .milliseconds(Int64(patience.connect.milliseconds))
        // What another address says is not what was asked for.
        configuration.redirectConfiguration = .disallow
        // Gates ask again by themselves, and a refusal is to be told at once.
        configuration.connectionPool.retryConnectionEstablishment = false
        client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    }

    /// To be called once, when nobody asks any more.
    package func close() async throws { try await client.shutdown() }

    enum Limit {
        /// Instances asked at the same time.
        static let atOnce = 16
        /// Synthetic probes under way at the same time: few, so that they do not wait for each other.
        static let visitsAtOnce = 4
        /// How much of an answer is read: a page, a hook's words, a query's one value.
        static let page = 1 << 20
        static let words = 64 << 10
        /// How much of an answer is shown.
        static let shown = 200
    }

    package func ask(_ check: GateCheck) async -> GateAnswer {
        switch check.gate.kind {
        case .http(let path, let status, let body):
            return await HTTPGate(path: path, status: status, body: body).ask(check, with: self)
        case .webhook(let url): return await call(url, check)
        case .query(let query): return await value(of: query).answer(to: query)
        case .visits(let path, let count): return await visit(path, count, check)
        case .health, .command, .approval, .analysis:
            return .unanswered(reason: "gate \(check.gate.name) is not one that asks outside")
        }
    }
}
