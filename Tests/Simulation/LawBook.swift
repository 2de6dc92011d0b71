import Model

/// What has to be remembered to tell whether a law holds.
struct LawBook: Sendable {
    /// A gate's command in one rollout.
    struct Task: Hashable, Sendable {
        var rollout: Int
        var command: [String]
    }

    var tasks: [Int: Task] = [:]
    var tasksStarted: Set<Task> = []
    var questionOf: [String: String] = [:]
    var keyOf: [String: String] = [:]
    var timesAsked: [String: Int] = [:]
    /// A write counts that its writer does not know of.
    var mayConflict = false
    var isCalm = false
    var hasCommandProbes = false
    var needsTraffic = false
    /// Whether enough instances served, and nothing but Kiln has taken any since.
    private(set) var isCapacityDue = false
    private(set) var capacityNeeded = 0
    /// Until when more instances were asked for than before, and what was decided before may still come true.
    private var growsUntil = 0
    private static let timeToGrow = 1000
    /// From when on the waits of the rollout under way run.
    private(set) var waitingSince = 0
    var rolloutWatched = 0
    /// When people last asked for something.
    var askedAt = 0
    private var sizes: [Int: Int] = [:]

    /// What a release asks of those who look at it.
    mutating func take(_ content: Release.Content) {
        if case .command = content.run.health.kind { hasCommandProbes = true }
        if content.run.autoscale != nil { needsTraffic = true }
        if case .canary(let steps) = content.rollout.strategy {
            if steps.contains(where: { if case .analyze = $0 { true } else { false } }) {
                needsTraffic = true
            }
        }
    }

    mutating func waitsBegan(at time: Int) { waitingSince = time }
    /// The largest size of the service during a rollout.
    mutating func sizeAtBeginning(_ rollout: Rollout, _ size: Int) -> Int {
        sizes[rollout.number] = max(sizes[rollout.number] ?? 0, size)
        return sizes[rollout.number] ?? size
    }

    mutating func capacityWasTaken() { isCapacityDue = false }

    /// Takes in how many can serve and how many have to; whether that is too few through Kiln's doing.
    mutating func isShort(able: Int, needed: Int, at time: Int) -> Bool {
        if needed > capacityNeeded { growsUntil = time + LawBook.timeToGrow }
        capacityNeeded = needed
        guard time >= growsUntil else {
            isCapacityDue = false
            return false
        }
        if able >= needed {
            isCapacityDue = true
            return false
        }
        defer { isCapacityDue = false }
        return isCapacityDue
    }
}
