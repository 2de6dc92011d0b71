package import Model

/// Asks the outside on behalf of gates.
package protocol GateKeeper: Sendable {
    /// Asks once. May be asked again with the same idempotency key; throws nothing: whatever goes wrong is an answer.
    func ask(_ check: GateCheck) async -> GateAnswer
}
