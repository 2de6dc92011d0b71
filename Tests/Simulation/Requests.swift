import Execution
import Model
import Planning
import TestKit

/// What people ask of the daemon, by the rules that the real one applies.
extension SimulatedRun {
    private typealias Rule =
        (inout ServiceState, [ReleaseNumber: Release]) throws -> (
            release: Release?, notes: [Note], result: Bool
        )

    func ask(_ request: Request) {
        guard isDaemonUp, begin(for: request) else {
            tell("  nobody is there")
            census.refusals += 1
            return askAgain(request)
        }
        laws.askedAt = uptime
        let now = now
        let isStored: Bool
        defer { if !isStored { askAgain(request) } }
        isStored =
            switch request {
            case .deploy(let deployment): deploy(deployment)
            case .scale(let count):
                change { state, _ in (nil, try state.scale(to: count, by: "uid:0"), true) }
            case .rollBack(let number): rollBack(to: number.map { ReleaseNumber(max(1, $0)) })
            case .pause: change { state, _ in (nil, try state.pause(at: now, by: "uid:0"), true) }
            case .resume: change { state, _ in (nil, try state.resume(at: now, by: "uid:0"), true) }
            case .promote: change { state, _ in (nil, try state.promote(at: now, by: "uid:0"), true) }
            case .abort: change { state, _ in (nil, try state.abort(at: now, by: "uid:0"), true) }
            case .approve: change { state, _ in (nil, try state.approve(nil, at: now, by: "uid:0"), true) }
            case .retire: change { state, _ in (nil, state.beginRetiring(at: now, by: "uid:0"), true) }
            }
        laws.waitsBegan(at: uptime)
    }

    /// In a story, people insist until they are heard.
    private func askAgain(_ request: Request) {
        guard script.expectation != .anything, !laws.isCalm else { return }
        requestsWaiting += 1
        agenda.add(.asksAgain(request), at: uptime + SimulatedRun.attention)
    }

    /// A deploy takes a service up that nobody kept.
    private func begin(for request: Request) -> Bool {
        if case .deploy = request, keeper == nil { startKeeper() }
        return keeper != nil
    }

    /// What is told of a release besides what its line in the script says.
    private static let toldFields: Set<String> = [
        "rollout.strategy", "rollout.before-switch", "rollout.after-switch", "rollout.keep-standby",
        "run.autoscale",
    ]

    private func tell(_ content: Release.Content) {
        for change in ReleaseChange.list(from: nil, to: content)
        where SimulatedRun.toldFields.contains(change.field) {
            tell("    \(change.field): \(change.new ?? "")")
        }
    }

    private func deploy(_ deployment: Deployment) -> Bool {
        let (now, key) = (now, key)
        let size = store.state.replicas ?? deployment.replicas
        let content = SpecLottery.content(deployment, size: size)
        var made: ReleaseNumber?
        laws.take(content)
        if trace != nil { tell(content) }
        let isDone = change { state, known in
            let current = state.current.flatMap { known[$0] }
            let number = state.nextRelease()
            let release = Release(
                key: key, number: number, content: content, digest: Fixtures.digest(number.value),
                createdAt: now,
                by: "uid:0", message: "")
            made = number
            let notes = try state.deploy(
                release, replacing: current, isQueued: deployment.isQueued, at: now, by: "uid:0")
            return (release, notes, true)
        }
        let isStored = made.map { isDone || store.releases[$0] != nil } ?? true
        if let made, isStored { deployments[made] = deployment }
        return isStored
    }

    func rollBack(to release: ReleaseNumber?) -> Bool {
        let now = now
        return change { state, known in
            (nil, try state.rollBack(to: release, known: known, at: now, by: "uid:0"), true)
        }
    }

    /// False where it was not stored; what is refused by its rule needs no storing.
    @discardableResult
    private func change(_ rule: Rule) -> Bool {
        do {
            guard let change = try keeper?.machine.changed(rule) else { return false }
            let before = store.state.generation
            guard commit(change.state, adding: change.release, steps: []) else {
                return store.state.generation > before
            }
            for note in change.notes { tell("  \(note.message)") }
            keeper?.machine.adopt(change)
            wake()
            return true
        } catch {
            census.refusals += 1
            tell("  refused: \(error)")
            return true
        }
    }

    // MARK: Somebody looks after the service

    /// How often somebody looks whether a rollout waits for a person.
    private static let attention = 300

    func attend() {
        isAttended = true
        agenda.add(.personActs, at: uptime + SimulatedRun.attention)
    }

    func personActs() {
        guard isAttended else { return }
        agenda.add(.personActs, at: uptime + SimulatedRun.attention)
        guard isDaemonUp, let rollout = store.state.rollout, !rollout.isComingBack else { return }
        if rollout.pause != nil { return ask(.resume) }
        if case .gate(let gate) = rollout.currentStage.wait, gate.kind == .approval(by: nil),
            case .open = rollout.gates[gate.name]
        {
            ask(.approve)
        }
    }
}

extension Rollout {
    var isComingBack: Bool { if case .returning = phase { true } else { false } }
}
