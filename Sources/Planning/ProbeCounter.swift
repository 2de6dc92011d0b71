package import Model

/// Turns single probe results into a verdict: some in a row to become healthy, some in a row to fail.
package struct ProbeCounter: Hashable, Sendable {
    package private(set) var health: Health = .unproven
    private var passesInARow = 0
    private var failuresInARow = 0

    package init() {}

    package mutating func count(passed: Bool, by check: HealthCheck) {
        if passed {
            passesInARow += 1
            failuresInARow = 0
            if passesInARow >= check.healthyAfter { health = .healthy }
        } else {
            failuresInARow += 1
            passesInARow = 0
            // Also where nothing passed before: after a restart of the daemon, a broken instance starts afresh here.
            if failuresInARow >= check.unhealthyAfter { health = .failing }
        }
    }
}
