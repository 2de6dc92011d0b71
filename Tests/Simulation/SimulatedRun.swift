import Execution
import Model
import TestKit

/// One run of a script: the real `ServiceMachine` and `Planner` in a simulated world. Time moves only from one thing
/// that happens to the next, so that hours cost milliseconds; the first law that is broken ends it.
package final class SimulatedRun {
    enum Stage: Hashable, Sendable {
        case script
        /// Waiting for all to be as intended.
        case settling(since: Int)
        case calming(since: Int)
        case returning(since: Int, to: ReleaseNumber)
        case over
    }

    package let script: Script
    let key = Fixtures.key
    /// Milliseconds since the beginning, whatever is done to the clock.
    package internal(set) var uptime = 0
    /// What was done to the clock.
    var skew = 0
    var agenda = Agenda()
    var host = Host()
    var router = Router()
    let store: Store
    var isDaemonUp = true
    var epoch = 0
    var keeper: Keeper?
    var trouble = Trouble()
    var deployments: [ReleaseNumber: Deployment] = [:]
    var questions: [GateCheck] = []
    var requestsPerSecond = 100
    var trafficCountedAt = 0
    var isAttended = false
    /// Requests that are about to be made again.
    var requestsWaiting = 0
    var stage = Stage.script
    var position = 0
    var base = 0
    var laws = LawBook()
    package internal(set) var census = Census()
    package internal(set) var violation: Violation?
    package var sabotage: Sabotage?
    /// nil: nobody reads along.
    package internal(set) var trace: [String]?

    package init(_ script: Script, isTraced: Bool = false) {
        self.script = script
        store = Store(key: key)
        trace = isTraced ? [] : nil
    }

    /// What the clock on the wall shows.
    var now: Instant { Instant(milliseconds: Fixtures.start.milliseconds + uptime + skew) }

    /// Runs the whole script, then calms everything and looks at what is left.
    package func run() {
        for _ in 0..<Bound.steps where stage != .over { step() }
        if stage != .over { broke(.settles, "it goes on for ever") }
        census.milliseconds = uptime
        census.rollouts = store.state.rolloutsBegun
    }

    private func step() {
        for _ in 0...script.entries.count {
            let before = stage
            goOn()
            if stage == before { break }
        }
        guard stage != .over else { return }
        let times = [agenda.nextTime, keeper?.lookAt, nextEntry.map { base + $0.at }].compactMap { $0 }
        guard let next = times.min() else { return broke(.settles, "nothing will ever happen again") }
        uptime = max(uptime, next)
        while let event = agenda.take(until: uptime) { happen(event) }
        while stage == .script, let entry = nextEntry, base + entry.at <= uptime {
            position += 1
            perform(entry.act)
        }
        if let keeper, keeper.lookAt <= uptime {
            // What has failed by now was not taken away by what is decided now.
            checkWorld()
            look()
        }
        if violation == nil { checkWorld() }
    }

    private var nextEntry: Script.Entry? {
        stage == .script && position < script.entries.count ? script.entries[position] : nil
    }

    private func perform(_ act: Script.Act) {
        tell("— \(act.text)")
        switch act {
        case .settle: stage = .settling(since: uptime)
        case .traffic(let count):
            countTraffic()
            requestsPerSecond = count
        case .spoil(let release, let temper): deployments[ReleaseNumber(max(1, release))]?.temper = temper
        case .fault(let fault):
            census.faults[fault.kind, default: 0] += 1
            inject(fault)
        case .ask(let request):
            census.requests += 1
            ask(request)
        }
    }

    func draw(_ purpose: Script.Purpose, _ number: Int, in range: ClosedRange<Int>) -> Int {
        script.draw(purpose, number, in: range)
    }

    // MARK: Telling

    func broke(_ law: Law, _ text: @autoclosure () -> String) {
        guard violation == nil else { return }
        violation = Violation(law: law, text: text(), at: uptime)
        tell("BROKEN: \(law.rawValue): \(text())")
        stage = .over
    }

    func tell(_ text: @autoclosure () -> String) {
        guard trace != nil else { return }
        let time = "\(uptime)"
        trace?.append(String(repeating: " ", count: max(0, 8 - time.count)) + time + "  " + text())
    }
}

extension Script {
    /// What is not written down.
    enum Purpose: Int {
        case launch, health, end, half, removal, probe, drain, lateness, answer, down, reboot
    }

    /// The same number for the same purpose and thing in each run of the script.
    func draw(_ purpose: Purpose, _ number: Int, in range: ClosedRange<Int>) -> Int {
        let mixed = seed &* 0x2545_f491_4f6c_dd1d &+ UInt64(purpose.rawValue) &* 0x9e37_79b9
        var generator = SeededGenerator(seed: mixed &+ UInt64(number) &* 0xd6e8_feb8_6659_fd93)
        return range.lowerBound + Int(generator.next() % UInt64(range.count))
    }
}

/// Bounds of a run.
enum Bound {
    /// Things that happen in one run.
    static let steps = 400_000
    /// Launches at a time, as the real daemon's.
    static let parallelLaunches = 8
    /// The daemon's pause after an act or a write that failed.
    static let pauseAfterFault = 1000
    /// Milliseconds beyond what the rollouts themselves may take until calm has settled everything: the longest
    /// backoff, the drains, the last removals.
    static let calm = 240_000
    /// Probes that are made up for at one look.
    static let probesAtOnce = 40
}

/// What is about to go wrong.
struct Trouble: Sendable {
    var refusedRoutes = 0
    var lateRoutes = 0
    var lag = 0
    var deniedRoutes = 0
    var refusedWrites = 0
    var deniedWrites = 0
    var failedRemovals = 0
    var failedLaunches = 0
    var hangingLaunches = 0
    var hang = 0
    /// Effects until the daemon is killed, and for how long it is away then.
    var effectsLeft: Int?
    var down = 0
    var lateness = 0
    var silentUntil = 0
}

/// What a run was made of.
package struct Census: Hashable, Sendable {
    package var rollouts = 0
    package var milliseconds = 0
    package var plans = 0
    package var writes = 0
    package var requests = 0
    /// Requests that were refused.
    package var refusals = 0
    package var faults: [Fault.Kind: Int] = [:]
    package var outcomes: [String: Int] = [:]

    package init() {}

    package mutating func add(_ other: Census) {
        rollouts += other.rollouts
        milliseconds += other.milliseconds
        plans += other.plans
        writes += other.writes
        requests += other.requests
        refusals += other.refusals
        faults.merge(other.faults, uniquingKeysWith: +)
        outcomes.merge(other.outcomes, uniquingKeysWith: +)
    }
}
