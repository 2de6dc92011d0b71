import Model

@testable import GateClient

/// A client that is closed when its test ends.
func withGates<Result>(_ body: (GateClient) async throws -> Result) async throws -> Result {
    // All tests share few processors: only what a test itself bounds may end it.
    var patience = GateClient.Patience()
    (patience.connect, patience.answer, patience.hook) = (.seconds(600), .seconds(600), .seconds(600))
    let gates = GateClient(patience)
    do {
        let result = try await body(gates)
        try await gates.close()
        return result
    } catch {
        try await gates.close()
        throw error
    }
}

extension GateCheck {
    static func of(_ kind: Gate.Kind, targets: [String] = [], timeout: Span = .seconds(600)) throws
        -> GateCheck
    {
        GateCheck(
            idempotencyKey: "hello@staging/7/ask", gate: Gate("ask", kind, timeout: timeout),
            key: ServiceKey(try ServiceName("hello"), in: try EnvironmentName("staging")),
            release: ReleaseNumber(3), rollout: 7, targets: targets)
    }
}

extension GateAnswer {
    /// `passed: …`, `failed: …`, `unanswered: …`.
    var text: String {
        switch self {
        case .passed(let detail): "passed: \(detail)"
        case .failed(let reason): "failed: \(reason)"
        case .unanswered(let reason): "unanswered: \(reason)"
        }
    }
}
