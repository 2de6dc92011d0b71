import Model
import Planning
import TestKit

extension Script {
    /// The script that a seed stands for.
    package static func drawn(by seed: UInt64) -> Script {
        var lottery = ScriptLottery(seed: seed)
        return lottery.draw()
    }
}

/// Draws scripts: half of them anything at all, the others stories that have to end in a certain way.
struct ScriptLottery {
    private let seed: UInt64
    private var random: SeededGenerator
    private var script: Script
    private var time = 0
    private var sizes = 1...4

    init(seed: UInt64) {
        self.seed = seed
        random = SeededGenerator(seed: seed &* 0x9e37_79b9_7f4a_7c15 &+ 1)
        script = Script(seed: seed)
    }

    private mutating func pick(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &random) }
    private mutating func chance(_ percent: Int) -> Bool { random.happens(percent: percent) }
    private mutating func one<Element>(of list: [Element]) -> Element { list.randomElement(using: &random)! }

    mutating func draw() -> Script {
        script.lateness = one(of: [0, 50, 150, 300, 300, 600, 600, 600])
        drawSizes()
        switch seed % 16 {
        case 8: goodOne()
        case 9, 10: failingOne()
        case 11: failingRollback()
        case 12: brokenOne()
        case 13: silence()
        case 14: retirement()
        case 15: killedOnce()
        default: chaos()
        }
        return script
    }

    private mutating func add(_ act: Script.Act, after span: Int = 0) {
        time += span
        script.entries.append(Script.Entry(time, act))
        if act == .settle { time = 0 }
    }

    // MARK: Anything at all

    private mutating func chaos() {
        let faults = chance(25) ? [] : (0..<pick(1...6)).map { _ in one(of: Fault.Kind.allCases) }
        let pace = one(of: [300, 1000, 4000])
        add(.ask(.deploy(deployment(isPlain: true, size: size()))))
        if chance(60) { add(.settle) }
        for _ in 0..<pick(3...18) {
            let span = pick(0...pace)
            if !faults.isEmpty, chance(45) {
                add(.fault(fault(one(of: faults))), after: span)
            } else {
                add(chance(6) ? .traffic(one(of: [0, 20, 400])) : .ask(request()), after: span)
            }
        }
        if chance(50) { add(.ask(.approve), after: pick(0...pace)) }
    }

    private mutating func request() -> Request {
        switch pick(0...99) {
        case 0..<42: .deploy(deployment(isPlain: chance(30), size: size()))
        case 42..<52: .scale(chance(80) ? pick(1...6) : size())
        case 52..<64: .rollBack(chance(50) ? nil : pick(1...5))
        case 64..<72: .pause
        case 72..<80: .resume
        case 80..<86: .promote
        case 86..<92: .abort
        case 92..<98: .approve
        default: .retire
        }
    }

    /// A number of instances, of about the same size all through a script: mostly a few.
    private mutating func size() -> Int { pick(sizes) }

    private mutating func drawSizes() {
        sizes =
            switch pick(0...9999) {
            case 0..<8900: 1...4
            case 8900..<9850: 5...16
            case 9850..<9990: 17...60
            default: 61...500
            }
    }

    private mutating func deployment(
        isPlain: Bool, size: Int, temper: Deployment.Temper? = nil, shape: Deployment.Shape? = nil
    ) -> Deployment {
        let isGood = chance(60)
        let anyTemper = isGood ? Deployment.Temper.good : one(of: Deployment.Temper.allCases)
        let shapes: [Deployment.Shape] = [
            .blueGreen, .blueGreen, .rolling, .rolling, .canary, .canary, .recreate,
        ]
        return Deployment(
            spec: random.next() % 1_000_000, shape: shape ?? one(of: shapes), replicas: size,
            temper: temper ?? anyTemper, answers: isGood ? .good : one(of: Deployment.Answers.allCases),
            isQueued: chance(15), isPlain: isPlain)
    }

    private mutating func fault(_ kind: Fault.Kind) -> Fault {
        let count = one(of: [1, 1, 2, 4])
        return switch kind {
        case .refuseRoutes, .denyRoutes, .refuseWrites, .denyWrites, .failRemovals, .failLaunches:
            Fault(kind, count)
        case .lagRoutes: Fault(kind, count, span: pick(20...600))
        case .killRouter: Fault(kind, span: chance(50) ? 0 : pick(20...1500))
        case .killDaemon: Fault(kind, pick(0...12), span: pick(1...3000))
        case .reboot: Fault(kind, span: pick(500...10_000))
        case .kill, .loseMonitor, .drift, .rewriteLimits: Fault(kind, pick(0...20))
        case .sicken: Fault(kind, pick(0...20), span: pick(100...8000))
        case .hangLaunches: Fault(kind, count, span: pick(500...8000))
        case .stepClock: Fault(kind, span: pick(-20_000...20_000))
        case .lookLate: Fault(kind, span: pick(200...6000))
        case .silenceGates: Fault(kind, span: pick(500...6000))
        case .resetCounters, .killAll: Fault(kind)
        }
    }

    // MARK: Stories

    /// r1 serves, and nothing is under way.
    private mutating func begin(_ size: Int) {
        add(.ask(.deploy(deployment(isPlain: true, size: size, temper: .good).unqueued.answering(.good))))
        add(.settle)
    }

    /// What happens to daemon, store and router keeps no good release from being rolled out.
    private mutating func disturb() {
        let kinds: [Fault.Kind] = [
            .killDaemon, .killDaemon, .lagRoutes, .denyRoutes, .refuseWrites, .denyWrites, .resetCounters,
            .failRemovals, .lookLate, .refuseRoutes,
        ]
        var mayRefuse = true
        for _ in 0..<pick(0...4) {
            var fault = fault(one(of: kinds))
            if fault.kind == .failRemovals { fault.count = 1 }
            if fault.kind == .lookLate { fault.span = min(fault.span, 1500) }
            // A router that refuses for two seconds is reason enough to give up; a store that does, to miss deadlines.
            if [.refuseRoutes, .denyRoutes, .refuseWrites, .denyWrites].contains(fault.kind) {
                guard mayRefuse else { continue }
                mayRefuse = false
                fault.count = 1
            }
            add(.fault(fault), after: pick(0...1500))
        }
    }

    private mutating func goodOne() {
        script.expectation = .succeeds
        let size = size()
        begin(size)
        let temper = one(of: [Deployment.Temper.good, .good, .slow])
        add(.ask(.deploy(deployment(isPlain: true, size: size, temper: temper).unqueued.answering(.good))))
        disturb()
        add(.settle)
    }

    private mutating func failingOne() {
        script.expectation = .returns
        let size = size()
        begin(size)
        let bad: [Deployment.Temper] = [.failsToLaunch, .neverHealthy, .diesBeforeHealthy, .diesSoon, .flaps]
        if chance(70) {
            var next = deployment(isPlain: true, size: size, temper: one(of: bad)).unqueued
            next.answers = .good
            add(.ask(.deploy(next)))
        } else {
            add(.traffic(400))
            add(.ask(.deploy(compared(size).answering(chance(50) ? .erring : .tardy))))
        }
        if chance(50) { disturb() }
        add(.settle)
    }

    /// A canary with a comparison.
    private mutating func compared(_ size: Int) -> Deployment {
        found(deployment(isPlain: true, size: size, temper: .good, shape: .canary).unqueued) { content in
            RolloutStage.program(content, size: size, replacesNothing: false, isDirect: false).contains {
                stage in
                if case .gate(let gate) = stage.wait, case .analysis = gate.kind { true } else { false }
            }
        }
    }

    /// The same with a spec that is as it should be.
    private mutating func found(_ first: Deployment, _ isRight: (Release.Content) -> Bool) -> Deployment {
        var deployment = first
        for _ in 0..<ScriptLottery.tries
        where !isRight(SpecLottery.content(deployment, size: deployment.replicas)) {
            deployment.spec = random.next() % 1_000_000
        }
        return deployment
    }

    private static let tries = 100

    private mutating func failingRollback() {
        script.expectation = .stays
        let size = size()
        begin(size)
        let next = deployment(isPlain: true, size: size, temper: .good).unqueued.answering(.good)
        add(.ask(.deploy(found(next) { $0.rollout.keepStandby == 0 && $0.rollout.strategy != .recreate })))
        add(.settle)
        let bad: [Deployment.Temper] = [.failsToLaunch, .neverHealthy, .diesBeforeHealthy]
        add(.spoil(1, one(of: bad)))
        add(.ask(.rollBack(nil)))
        if chance(50) { disturb() }
        add(.settle)
    }

    private mutating func brokenOne() {
        script.expectation = .succeeds
        let size = size()
        begin(size)
        add(.spoil(1, one(of: Deployment.Temper.allCases)))
        add(.fault(Fault(.killAll)))
        let next = deployment(isPlain: true, size: size, temper: .good).unqueued.answering(.good)
        add(.ask(.deploy(next)), after: pick(0...8000))
        add(.settle)
    }

    private mutating func silence() {
        script.expectation = .lacksData
        let size = min(size(), 16)
        begin(size)
        add(.traffic(0))
        add(.ask(.deploy(compared(size).answering(one(of: Deployment.Answers.allCases)))))
        add(.settle)
    }

    private mutating func retirement() {
        script.expectation = .vanishes
        let size = size()
        begin(size)
        add(.ask(.deploy(deployment(isPlain: chance(50), size: size).unqueued)))
        if chance(30) { disturb() }
        add(.ask(.retire), after: pick(0...6000))
        if chance(50) { add(.fault(fault(.killDaemon)), after: pick(0...500)) }
        add(.settle)
    }

    private mutating func killedOnce() {
        let size = size()
        begin(size)
        let kill = Fault(.killDaemon, pick(1...24), span: pick(1...3000))
        let next = deployment(isPlain: true, size: size, temper: .good).unqueued.answering(.good)
        let isDeploy = chance(60)
        script.expectation = isDeploy ? .succeeds : .goesBack
        if isDeploy { add(.fault(kill)) }
        add(.ask(.deploy(next)))
        add(.settle)
        guard !isDeploy else { return }
        add(.fault(kill))
        add(.ask(.rollBack(nil)))
        add(.settle)
    }
}

extension Deployment {
    fileprivate var unqueued: Deployment {
        var copy = self
        copy.isQueued = false
        return copy
    }

    fileprivate func answering(_ answers: Answers) -> Deployment {
        var copy = self
        copy.answers = answers
        return copy
    }
}
