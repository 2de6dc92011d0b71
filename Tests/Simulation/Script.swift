/// What happens in one run: what people ask for, and what goes wrong, each at its time. The same script always gives
/// the same run, so a script is all that is needed to see a fault again.
package struct Script: Hashable, Sendable {
    package struct Entry: Hashable, Sendable {
        /// Milliseconds since the beginning, or since the last `settle` was reached.
        package var at: Int
        package var act: Act

        package init(_ at: Int, _ act: Act) {
            self.at = at
            self.act = act
        }
    }

    package enum Act: Hashable, Sendable {
        case ask(Request)
        case fault(Fault)
        /// Requests a second, from now on.
        case traffic(Int)
        /// From now on the instances of a release behave otherwise.
        case spoil(Int, Deployment.Temper)
        /// Nothing more happens until all is as intended.
        case settle
    }

    /// Decides whatever is not written down: how long launches take, when instances die.
    package var seed: UInt64
    /// By how many milliseconds at most the daemon looks later than it meant to, as on a busy machine.
    package var lateness: Int
    package var expectation: Expectation
    package var entries: [Entry]

    package init(seed: UInt64, lateness: Int = 0, expectation: Expectation = .anything, entries: [Entry] = [])
    {
        self.seed = seed
        self.lateness = lateness
        self.expectation = expectation
        self.entries = entries
    }
}

/// How the newest rollout is to have ended when a script is over, before calm is brought about.
package enum Expectation: String, Hashable, Sendable, CaseIterable {
    case anything
    case succeeds
    /// The last good release serves.
    case returns
    /// A rollback has brought an older release back.
    case goesBack = "goes-back"
    /// A rollback that could not be carried out: what served goes on serving.
    case stays
    /// Paused, since there is not enough data.
    case lacksData = "lacks-data"
    /// Retired, and nothing is left.
    case vanishes
}

package enum Request: Hashable, Sendable {
    case deploy(Deployment)
    case scale(Int)
    case rollBack(Int?)
    case pause, resume, promote, abort, approve, retire
}

/// A release to be deployed: its settings by a seed, and how its instances behave.
package struct Deployment: Hashable, Sendable {
    package enum Shape: String, Hashable, Sendable, CaseIterable {
        case blueGreen = "blue-green"
        case rolling, canary, recreate
    }

    /// What is the matter with a release's instances.
    package enum Temper: String, Hashable, Sendable, CaseIterable {
        case good, slow
        case failsToLaunch = "fails-to-launch"
        case neverHealthy = "never-healthy"
        case diesBeforeHealthy = "dies-before-healthy"
        case diesSoon = "dies-soon"
        case diesLate = "dies-late"
        case flaps
    }

    package enum Answers: String, Hashable, Sendable, CaseIterable {
        case good, erring, tardy
    }

    package var spec: UInt64
    package var shape: Shape
    package var replicas: Int
    package var temper: Temper
    package var answers: Answers
    package var isQueued: Bool
    /// It asks for no person, and its gates pass.
    package var isPlain: Bool

    package init(
        spec: UInt64, shape: Shape = .blueGreen, replicas: Int = 2, temper: Temper = .good,
        answers: Answers = .good, isQueued: Bool = false, isPlain: Bool = true
    ) {
        self.spec = spec
        self.shape = shape
        self.replicas = replicas
        self.temper = temper
        self.answers = answers
        self.isQueued = isQueued
        self.isPlain = isPlain
    }
}

/// Something that goes wrong. What `count` and `span` (milliseconds) mean depends on the kind.
package struct Fault: Hashable, Sendable {
    package enum Kind: String, Hashable, Sendable, CaseIterable {
        /// The router refuses, or does late, or does and denies, the next `count` routes.
        case refuseRoutes = "refuse-routes"
        case lagRoutes = "lag-routes"
        case denyRoutes = "deny-routes"
        /// The router is gone; after `span` it is there again and knows nothing (0: when it is next asked).
        case killRouter = "kill-router"
        case resetCounters = "reset-counters"
        /// The daemon is killed before its effect number `count` from now, and is away for `span`.
        case killDaemon = "kill-daemon"
        /// The store refuses, or does and denies, the next `count` writes.
        case refuseWrites = "refuse-writes"
        case denyWrites = "deny-writes"
        /// The machine restarts: the daemon is away for `span`, and every instance has ended or is gone.
        case reboot
        /// The instance with this place among those that run.
        case kill
        case killAll = "kill-all"
        case sicken
        case loseMonitor = "lose-monitor"
        /// A stranger's process is found in the instance with this place, which answers as before.
        case drift
        /// Somebody rewrites the limits of that instance.
        case rewriteLimits = "rewrite-limits"
        /// The next `count` removals or launches fail, or launches take `span`.
        case failRemovals = "fail-removals"
        case failLaunches = "fail-launches"
        case hangLaunches = "hang-launches"
        /// The clock goes forward by `span`, or back.
        case stepClock = "step-clock"
        /// The daemon looks `span` later than it meant to, once.
        case lookLate = "look-late"
        /// Nobody answers gates for `span`.
        case silenceGates = "silence-gates"
    }

    package var kind: Kind
    package var count: Int
    package var span: Int

    package init(_ kind: Kind, _ count: Int = 0, span: Int = 0) {
        self.kind = kind
        self.count = count
        self.span = span
    }
}
