package import Model

/// Where intent is kept. Every write is on disk before the call returns.
package protocol StateStore: Sendable {
    func services() async throws -> [ServiceState]
    func service(_ key: ServiceKey) async throws -> ServiceState?
    func releases(of key: ServiceKey) async throws -> [Release]

    /// Writes a new intent whole: the state, a release that it introduces, the steps about to be taken, and what is to
    /// be told. Throws `conflict` where the stored generation is not the one before `state.generation`.
    /// Returns the journal numbers of `intents`, in their order.
    func commit(
        _ state: ServiceState, adding release: Release?, intents: [Step], notes: [Note], at now: Instant
    ) async throws -> [Int]

    /// Writes what came of steps whose intent was journaled.
    func finish(_ outcomes: [StepOutcome], for key: ServiceKey, at now: Instant) async throws

    /// Events after `number`, oldest first; the newest `limit` of them.
    func events(of key: ServiceKey, after number: Int, limit: Int) async throws -> [Event]

    /// Steps whose intent was written and whose outcome never was: what a crash interrupted.
    func unfinishedSteps() async throws -> [UnfinishedStep]
}

package struct StepOutcome: Sendable {
    package var journalNumber: Int
    /// nil: done.
    package var failure: Failure?
    /// What is to be told about it.
    package var notes: [Note]

    package init(journalNumber: Int, failure: Failure? = nil, notes: [Note] = []) {
        self.journalNumber = journalNumber
        self.failure = failure
        self.notes = notes
    }
}

package struct UnfinishedStep: Hashable, Sendable {
    package var journalNumber: Int
    package var key: ServiceKey
    package var step: Step

    package init(journalNumber: Int, key: ServiceKey, step: Step) {
        self.journalNumber = journalNumber
        self.key = key
        self.step = step
    }
}
