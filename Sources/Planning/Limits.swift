package import Model

/// The bounds of every wait and retry that is decided here.
package enum Limits {
    /// Instances of a new release that may fail before the rollout is given up.
    package static let candidateFailures = 3
    /// How long the router may go on refusing before a rollout is given up: a proxy that restarts also refuses.
    package static let refusalPatience = Span.seconds(2)
    /// How long the router may take to do what a switch asks before the old release is put back.
    package static let switchDeadline = Span.seconds(15)
    /// How long an old release may take to take its traffic back before that is reported as failed.
    package static let returnDeadline = Span.seconds(30)
    /// How long a rollout may wait for a person.
    package static let longestPause = Span.seconds(7 * 86_400)
    /// How often a gate without an answer is asked again, and the queries of a comparison are.
    package static let gateLook = Span.seconds(1)
    package static let queryLook = Span.seconds(10)
    /// How often a comparison looks at the counts.
    package static let analysisLook = Span.seconds(1)
    /// Deploys that may wait for each other.
    package static let queuedRollouts = 16
    /// The share of new requests of each serving instance; equal, with room for finer steps below it.
    package static let fullWeight = 100
    /// Releases remembered as ones to go back to.
    package static let goodReleases = 20
    /// A restart longer ago than this no longer counts towards the backoff.
    package static let restartMemory = Span.seconds(600)
    /// Restarts that are answered at once; from then on each waits twice as long as the one before.
    package static let freeRestarts = 2
    package static let firstRestartDelay = Span.milliseconds(500)
    package static let longestRestartDelay = Span.seconds(60)
    /// Rounds of replacing after which the same kind of drift is told and no longer answered.
    package static let driftRounds = 6
    /// One that was answered longer ago than this is a new one.
    package static let driftMemory = Span.seconds(3600)
    /// What is remembered of drifts that are not answered.
    static let driftsTold = 4096
    /// Different drifts of the host that are remembered.
    static let hostDrifts = 256
    /// Instances of a service that people may keep at a time.
    static let keptAtATime = 8
    /// How long a person may keep an instance.
    package static let longestKeeping = Span.seconds(7 * 86_400)
    /// How often a calendar is looked at for whether it lets something happen.
    static let calendarLook = Span.seconds(30)
    /// How soon to look again while something is on its way, while a release is watched, and when all is settled.
    package static let briskLook = Span.milliseconds(20)
    package static let watchLook = Span.milliseconds(100)
    package static let settledLook = Span.seconds(1)

    /// Instances of a service of `size` that are replaced at a time because of drift or age.
    static func driftBudget(of size: Int) -> Int { max(1, size / 4) }
}

extension RestartHistory {
    /// Counts one more restart.
    mutating func count(at now: Instant) {
        if let last, now - last > Limits.restartMemory { recent = 0 }
        recent += 1
        last = now
    }

    /// The earliest time at which the next launch may happen.
    var nextLaunch: Instant? {
        guard let last, recent > Limits.freeRestarts else { return nil }
        // 2^7 × 500 ms is past the longest delay already.
        let doublings = min(recent - Limits.freeRestarts - 1, 7)
        return last + min(Limits.longestRestartDelay, Limits.firstRestartDelay * (1 << doublings))
    }
}
