/// What to do next, decided from what is intended and what was seen.
package struct Plan: Hashable, Sendable, Codable {
    /// The intent after this decision; it is stored before any step is taken.
    package var state: ServiceState
    /// To be taken in this order; launches next to each other may be taken at once.
    package var steps: [Step]
    /// What was decided or noticed, for the ledger and the screen.
    package var notes: [Note]
    /// The counts since the last decision were taken into account; the next ones begin from here.
    package var usesTraffic: Bool
    /// When to look again even if nothing happens; nil: only when something changes.
    package var lookAgainAt: Instant?
    /// The service has been retired and nothing of it is left.
    package var isGone: Bool

    package init(
        state: ServiceState, steps: [Step] = [], notes: [Note] = [], usesTraffic: Bool = false,
        lookAgainAt: Instant? = nil, isGone: Bool = false
    ) {
        self.state = state
        self.steps = steps
        self.notes = notes
        self.usesTraffic = usesTraffic
        self.lookAgainAt = lookAgainAt
        self.isGone = isGone
    }
}

/// One idempotent act on a platform or router.
package enum Step: Hashable, Sendable, Codable {
    case launch(InstanceID, release: ReleaseNumber)
    /// Runs a command once in an instance made for it, which takes no traffic and is not replaced when it ends.
    case runTask(InstanceID, release: ReleaseNumber, command: [String])
    /// Asks a gate's question outside. It may be asked again, with the same key.
    case check(GateCheck)
    case route(Route)
    case remove(InstanceID, reason: RemovalReason, grace: Span)
    /// Puts an instance's own limits back to those of its launch.
    case restoreLimits(InstanceID)
    case removeRoute(ServiceKey)
}

/// Why an instance goes.
package enum RemovalReason: String, Hashable, Sendable, Codable {
    /// It ended by itself or was killed.
    case exited
    /// A launch that never finished.
    case halfMade = "half-made"
    /// It did not become healthy in time.
    case neverHealthy = "never-healthy"
    /// It was healthy, then failed its probes or lost its monitor, and a replacement serves.
    case replaced
    /// More run than should.
    case surplus
    /// Its release is no longer wanted.
    case retired
    /// A gate's command that has ended, or took too long.
    case taskEnded = "task-ended"
    /// Nothing that is intended knows it.
    case unknown
    /// It is not what was launched any more, and a replacement serves.
    case drifted
    /// A person was in it, and a replacement serves.
    case tainted
    /// It ran for as long as one may, and a replacement serves.
    case aged

    /// Whether the instance's log says something about what went wrong.
    package var isFailure: Bool {
        switch self {
        case .exited, .halfMade, .neverHealthy: true
        case .replaced, .surplus, .retired, .taskEnded, .unknown, .drifted, .tainted, .aged: false
        }
    }
}

/// Something worth telling: a stable kind, a sentence, and data.
package struct Note: Hashable, Sendable, Codable {
    package enum Kind: String, Hashable, Sendable, Codable {
        case releaseCreated = "release-created"
        case rolloutBegan = "rollout-began"
        case instanceHealthy = "instance-healthy"
        case instanceFailed = "instance-failed"
        case allHealthy = "all-healthy"
        case switched
        case stageBegan = "stage-began"
        case gateOpened = "gate-opened"
        /// Somebody said yes to a gate, which may need more of them.
        case approved
        case gatePassed = "gate-passed"
        case gateFailed = "gate-failed"
        case analysis
        case paused
        case resumed
        case promoted
        case queued
        case returning
        case rolloutEnded = "rollout-ended"
        case backingOff = "backing-off"
        case scaled
        case retiring
        case retired
        /// A person went on without what a gate asks.
        case bypassed
        /// What was to be mounted is not what was built.
        case altered
        /// Something runs that is not what was released.
        case drifted
        /// The same drift came back too often: nothing more is replaced because of it.
        case driftHalted = "drift-halted"
        /// What had drifted was put back as it was.
        case setRight = "set-right"
        /// A person went into an instance, or holds it.
        case tainted
        /// Instances are replaced because of their age, or because somebody asked.
        case repaved
        case launched
        case launchFailed = "launch-failed"
        case removed
        case routed
        case stepFailed = "step-failed"
    }

    package var kind: Kind
    package var message: String
    package var instance: InstanceID?
    package var release: ReleaseNumber?
    /// Who asked for it; nil: nobody, Kiln did it by itself. Notes of earlier versions have none.
    package var by: String?
    package var details: [String: String]

    package init(
        _ kind: Kind, _ message: String, instance: InstanceID? = nil, release: ReleaseNumber? = nil,
        by: String? = nil, details: [String: String] = [:]
    ) {
        self.kind = kind
        self.message = message
        self.instance = instance
        self.release = release
        self.by = by
        self.details = details
    }
}

extension [Note] {
    /// With the reason that a person gave, in those that say what the person asked for; where one has a reason of its
    /// own, that stands.
    package func saying(_ reason: String?) -> [Note] {
        guard let reason, !reason.isEmpty else { return self }
        return map { note in
            var note = note
            if note.by != nil { note.details.merge(["message": reason]) { own, _ in own } }
            return note
        }
    }
}

/// A note with its place in the history of one service.
package struct Event: Hashable, Sendable, Codable {
    package var number: Int
    package var at: Instant
    package var key: ServiceKey
    /// The rollout that was under way.
    package var rollout: Int?
    package var note: Note

    package init(number: Int, at: Instant, key: ServiceKey, rollout: Int?, note: Note) {
        self.number = number
        self.at = at
        self.key = key
        self.rollout = rollout
        self.note = note
    }
}
