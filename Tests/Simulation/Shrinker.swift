/// Makes a script that breaks a law as small as it can while the same law is broken: delta debugging over what people
/// ask for and what goes wrong, then smaller fleets, then shorter waits.
package struct Shrinker: Sendable {
    /// What may be spent on it, in decisions times the instances that each had to look at: about half a minute.
    static let patience = 30_000_000

    private(set) var script: Script
    private let law: Law
    private let sabotage: Sabotage?
    private var left = Shrinker.patience

    /// `script`, made smaller.
    package static func shrink(_ script: Script, breaking law: Law, sabotage: Sabotage? = nil) -> Script {
        var shrinker = Shrinker(script, law, sabotage)
        shrinker.shrink()
        return shrinker.script
    }

    private init(_ script: Script, _ law: Law, _ sabotage: Sabotage?) {
        (self.script, self.law, self.sabotage) = (script, law, sabotage)
    }

    private mutating func shrink() {
        for _ in 0..<Shrinker.rounds {
            let before = script
            dropEntries()
            for index in script.entries.indices { simplify(index) }
            var exact = script
            exact.lateness = 0
            keep(exact)
            guard script != before, left > 0 else { return }
        }
    }

    private static let rounds = 8

    @discardableResult
    private mutating func keep(_ candidate: Script) -> Bool {
        guard left > 0, candidate != script else { return false }
        let run = SimulatedRun(candidate)
        run.sabotage = sabotage
        run.run()
        left -= (1 + run.census.plans) * (1 + run.host.used.count)
        guard run.violation?.law == law else { return false }
        script = candidate
        return true
    }

    /// Leaves out as many as possible at a time: halves first, single ones last.
    private mutating func dropEntries() {
        var chunk = max(1, script.entries.count / 2)
        while true {
            var start = 0
            while start < script.entries.count {
                var candidate = script
                let end = min(start + chunk, candidate.entries.count)
                candidate.entries[start..<end].removeAll(where: isNeedless)
                if !keep(candidate) { start += chunk }
            }
            if chunk == 1 { return }
            chunk /= 2
        }
    }

    /// A story without its requests would have no end to be wrong about.
    private func isNeedless(_ entry: Script.Entry) -> Bool {
        guard script.expectation != .anything else { return true }
        if case .fault = entry.act { return true }
        return false
    }

    private mutating func simplify(_ index: Int) {
        let entry = script.entries[index]
        for act in script.expectation == .anything ? entry.act.simpler : entry.act.smaller {
            var candidate = script
            candidate.entries[index].act = act
            if keep(candidate) { break }
        }
        // What comes after comes earlier too, until the next wait.
        let before = index > 0 && script.entries[index - 1].act != .settle ? script.entries[index - 1].at : 0
        for share in [0, 2] where entry.at > before {
            let gain = share == 0 ? entry.at - before : (entry.at - before) / share
            var candidate = script
            for later in index..<candidate.entries.count {
                candidate.entries[later].at -= gain
                if candidate.entries[later].act == .settle { break }
            }
            if keep(candidate) { return }
        }
    }
}

extension Script.Act {
    /// The same with less of it, the least first.
    fileprivate var simpler: [Script.Act] {
        guard case .ask(.deploy(let deployment)) = self else { return smaller }
        return smaller + deployment.simpler.map { .ask(.deploy($0)) }
    }

    fileprivate var smaller: [Script.Act] {
        switch self {
        case .ask(.deploy(let deployment)): deployment.smaller.map { .ask(.deploy($0)) }
        case .ask(.scale(let count)) where count > 1: [1, 2, count - 1].map { .ask(.scale($0)) }
        case .fault(let fault) where fault.count > 1:
            [1, fault.count - 1].map { .fault(Fault(fault.kind, $0, span: fault.span)) }
        default: []
        }
    }
}

extension Deployment {
    fileprivate var smaller: [Deployment] {
        [1, 2, 3, replicas / 2, replicas - 1].filter { $0 >= 1 && $0 < replicas }.map { count in
            var copy = self
            copy.replicas = count
            return copy
        }
    }

    fileprivate var simpler: [Deployment] {
        var all: [Deployment] = []
        for change in [
            { $0.shape = .blueGreen }, { $0.temper = .good }, { $0.answers = .good }, { $0.isPlain = true },
            { $0.isQueued = false }, { $0.spec = 0 },
        ] as [(inout Deployment) -> Void] {
            var copy = self
            change(&copy)
            if copy != self { all.append(copy) }
        }
        return all
    }
}
