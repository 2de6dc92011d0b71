package import Model

/// What can be said against a rollout before it begins: steps that go backwards, never end, or move nothing.
package enum RolloutLint {
    /// The most stages that a rollout may have; a longer one is not meant.
    static let mostStages = 1100

    /// Every problem of `content`, where `size` instances are to run.
    package static func problems(_ content: Release.Content, size: Int) -> [Failure] {
        var problems: [Failure] = []
        let settings = content.rollout
        switch settings.strategy {
        case .blueGreen: break
        case .recreate:
            if settings.keepStandby > 0 {
                problems.append(
                    problem(
                        "recreate stops the old release first, and keep-standby keeps it running",
                        "keep-standby",
                        "write keep-standby: 0"))
            }
        case .rolling(let rolling): problems += check(rolling, size: size)
        case .canary(let steps): problems += check(steps, content, size: size)
        }
        problems += check(gates: settings.beforeSwitch, at: "before-switch")
        problems += check(gates: settings.afterSwitch, at: "after-switch")
        problems += checkNames(settings)
        if let autoscale = content.run.autoscale, autoscale.min < 1 || autoscale.min > autoscale.max {
            problems.append(
                Failure(
                    .invalidSpec, "autoscale goes from \(autoscale.min) to \(autoscale.max) instances",
                    at: "run.autoscale", suggestion: "write 1 ≤ min ≤ max"))
        }
        return problems
    }

    private static func problem(_ message: String, _ place: String, _ suggestion: String) -> Failure {
        Failure(.invalidSpec, message, at: "rollout.\(place)", suggestion: suggestion)
    }

    private static func check(_ rolling: RollingSettings, size: Int) -> [Failure] {
        var problems: [Failure] = []
        if rolling.batch.of(size) < 1 {
            problems.append(
                problem("\(rolling.batch) of \(counted(size, "instance")) is none", "batch", "write batch: 1")
            )
        }
        let needed = rolling.minHealthy.of(size)
        if needed > size {
            problems.append(
                problem(
                    "min-healthy asks for \(needed) of \(counted(size, "instance"))", "min-healthy",
                    "write min-healthy: 100%"))
        } else if rolling.surge.of(size) == 0, needed >= size {
            problems.append(
                problem(
                    "surge \(rolling.surge) lets none run in excess, and min-healthy \(rolling.minHealthy) lets none "
                        + "be missing: no instance could ever be replaced",
                    "surge", "write surge: 1, or a smaller min-healthy"))
        }
        return problems
    }

    private static func check(_ steps: [CanaryStep], _ content: Release.Content, size: Int) -> [Failure] {
        var problems: [Failure] = []
        var last = 0
        var lastCount = 0
        var isMatched = false
        if steps.count > mostStages {
            problems.append(problem("\(steps.count) steps", "steps", "write at most \(mostStages)"))
        }
        if let listener = content.listen, listener.trafficProtocol == .tcp,
            steps.contains(where: { if case .match = $0 { true } else { false } })
        {
            problems.append(
                problem(
                    "tcp traffic has no headers to match", "steps",
                    "leave the match out, or use protocol: http"))
        }
        if content.listen == nil, steps.contains(where: { if case .analyze = $0 { true } else { false } }) {
            problems.append(
                problem(
                    "a service without listen has no traffic to compare", "steps",
                    "write listen: 127.0.0.1:8000, or leave the analyze steps out"))
        }
        for (index, step) in steps.enumerated() {
            let place = "steps[\(index + 1)]"
            switch step {
            case .weight(let share, let instances):
                if share < last {
                    problems.append(
                        problem(
                            "the weight goes back from \(last) to \(share)", place,
                            "let weights grow; `kiln rollout abort` goes back"))
                }
                if let instances, !(1...size).contains(instances.of(size)) {
                    problems.append(
                        problem(
                            "\(instances) of \(counted(size, "instance")) is \(instances.of(size))", place,
                            "write instances: 1, or a percentage up to 100%"))
                }
                let count = (instances ?? .percent(share)).of(size)
                if let instances, (1...size).contains(count), share < 100, share * size > 200 * count {
                    problems.append(
                        problem(
                            "\(instances) of \(counted(size, "instance")) would carry \(share) % of the requests",
                            place, "write instances: \(share)%, or leave it out"))
                }
                if share >= last, count < lastCount {
                    problems.append(
                        problem(
                            "the instances go back from \(lastCount) to \(count)", place,
                            "let them grow with the weight"))
                }
                (last, lastCount) = (share, count)
            case .match: isMatched = true
            case .analyze:
                if last == 0, !isMatched {
                    problems.append(
                        problem(
                            "nothing can be compared before the new release has traffic", place,
                            "put a weight before it: {weight: 5}"))
                } else if last == 100 {
                    problems.append(
                        problem(
                            "nothing can be compared after the old release has lost its traffic", place,
                            "put it before weight: 100"))
                }
            case .gate(let gate):
                problems += check(gates: [gate], at: place, isShared: (1...99).contains(last))
            case .pause: break
            }
        }
        return problems
    }

    private static func check(gates: [Gate], at place: String, isShared: Bool = false) -> [Failure] {
        gates.compactMap { gate in
            switch gate.kind {
            case .analysis where !isShared:
                problem(
                    "gate \(gate.name) compares two releases where only one has traffic", place,
                    "use strategy: canary with an analyze step, or a query")
            case .health(let span) where span >= gate.timeout:
                problem(
                    "gate \(gate.name) asks for \(span) of health and gives up after \(gate.timeout)", place,
                    "write a longer timeout")
            case .command(let command) where command.isEmpty:
                problem("gate \(gate.name) runs nothing", place, "write command: [program, argument]")
            case .approval(let approvers?): check(approvers, gate, at: place)
            case .query(let query) where query.least == nil && query.most == nil:
                problem("gate \(gate.name) bounds nothing", place, "write min or max")
            default: nil
            }
        }
    }

    private static func check(_ approvers: Approvers, _ gate: Gate, at place: String) -> Failure? {
        let names = approvers.names
        if !(1...Approvers.Limit.names).contains(names.count) || Set(names).count != names.count
            || !names.allSatisfy(Approvers.isKeyName)
        {
            return problem(
                "gate \(gate.name) does not say by whom it is to be approved", place,
                "write by: with 1 to \(Approvers.Limit.names) different names of keys")
        }
        if !(1...names.count).contains(approvers.count) {
            return problem(
                "gate \(gate.name) asks for \(approvers.count) of \(counted(names.count, "approval"))", place,
                "write count: \(names.count), or name more keys")
        }
        if gate.otherwise == .pass {
            return problem(
                "gate \(gate.name) would open without an answer, with nobody's approval", place,
                "write otherwise: pause")
        }
        return nil
    }

    private static func checkNames(_ settings: RolloutSettings) -> [Failure] {
        var names = settings.gates.map(\.name)
        if case .canary(let steps) = settings.strategy {
            // The comparisons of steps have names of their own.
            names += steps.filter { if case .analyze = $0 { true } else { false } }.indices.map {
                "analysis-\($0 + 1)"
            }
        }
        let twice = Dictionary(grouping: names) { $0 }.filter { $0.value.count > 1 }.keys.sorted()
        return twice.map {
            problem("two gates are called \($0)", "gates", "give each gate a name of its own")
        }
    }
}
