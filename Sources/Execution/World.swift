package import Logging
internal import Model
package import Ports
package import Trust

/// What the controllers of all services share.
package struct World: Sendable {
    package var platform: any Platform
    package var router: any TrafficRouter
    package var gates: any GateKeeper
    package var admission: any AdmissionController
    package var ledger: any Ledger
    package var store: any StateStore
    package var clock: any Clock
    package var logger: Logger
    /// What says which images names stand for now; nil: nobody asks.
    package var images: (any ImagePuller)?
    /// The host's keys as they are now: read anew for each approval, so that a revocation counts at once.
    package var keys: @Sendable () throws -> KeyRing
    /// Bounds the launches under way on this host, over all services.
    package let launches = Turnstile(width: Bounds.parallelLaunches)

    package init(
        platform: any Platform, router: any TrafficRouter, gates: any GateKeeper,
        admission: any AdmissionController, ledger: any Ledger, store: any StateStore, clock: any Clock,
        logger: Logger, keys: @escaping @Sendable () throws -> KeyRing = { KeyRing() }
    ) {
        self.platform = platform
        self.router = router
        self.gates = gates
        self.admission = admission
        self.ledger = ledger
        self.store = store
        self.clock = clock
        self.logger = logger
        self.keys = keys
    }
}

/// The bounds of what the control loop does and keeps.
package enum Bounds {
    package static let parallelLaunches = 8
    /// How long a route that was just applied may take to be seen before it is applied again.
    static let routeSettles = Span.seconds(1)
    /// The pause after an act that failed, so that a lasting fault does not become a busy loop.
    static let pauseAfterFault = Span.seconds(1)
    /// Outcomes that wait for a database which cannot be written to. Recovery closes what is beyond.
    static let outcomesKept = 1000
    /// How often the host is looked at, where it does not tell of itself.
    static let hostLook = Span.seconds(5)
    /// Log lines kept with the record of a failed instance.
    static let logLinesKept = 20
    /// How often to look whether everything is retired: five minutes in all.
    static let looksUntilRetired = 3000
    /// How often an instance that never passed is probed, where its interval is longer.
    static let firstProbes = Span.milliseconds(200)
}
