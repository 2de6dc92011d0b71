import Model

/// The failures that a piece of work ends with; empty where it succeeds.
func failures(_ body: () async throws -> Void) async -> [Failure] {
    do {
        try await body()
        return []
    } catch {
        return Failure.list(error)
    }
}
