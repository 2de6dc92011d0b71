import Model

/// What came of many seeds.
package struct Survey: Sendable {
    package struct Finding: Hashable, Sendable {
        package var seed: UInt64
        package var violation: Violation
    }

    package var seeds = 0
    package var census = Census()
    package var findings: [Finding] = []

    package init() {}

    package mutating func add(_ other: Survey) {
        seeds += other.seeds
        census.add(other.census)
        findings += other.findings
    }

    package mutating func add(_ run: SimulatedRun) {
        seeds += 1
        census.add(run.census)
        if let violation = run.violation {
            findings.append(Finding(seed: run.script.seed, violation: violation))
        }
    }

    /// Tries every `stride`-th seed from `first` on.
    package static func of(
        _ seeds: Range<UInt64>, first: UInt64 = 0, stride step: UInt64 = 1, atMost limit: Int = .max
    ) -> Survey {
        var survey = Survey()
        for seed in stride(from: seeds.lowerBound + first, to: seeds.upperBound, by: UInt64.Stride(step)) {
            let run = SimulatedRun(Script.drawn(by: seed))
            run.run()
            survey.add(run)
            if survey.findings.count >= limit { break }
        }
        return survey
    }

    /// Both cores, or as many as there are.
    package static func of(_ seeds: Range<UInt64>, slices: Int, atMost limit: Int) async -> Survey {
        await withTaskGroup(of: Survey.self) { group in
            for slice in 0..<slices {
                group.addTask { .of(seeds, first: UInt64(slice), stride: UInt64(slices), atMost: limit) }
            }
            return await group.reduce(into: Survey()) { $0.add($1) }
        }
    }

    /// For people; `seconds`: how long it took, and how much of the processors.
    package func text(seconds: Double, busy: Double) -> String {
        let hours = Double(census.milliseconds) / 3_600_000
        let faults = Fault.Kind.allCases.compactMap { kind in
            census.faults[kind].map { "\(kind.rawValue) \($0)" }
        }
        let outcomes = census.outcomes.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }
        func speed(_ seconds: Double) -> Int { seconds > 0 ? Int(Double(census.rollouts) / seconds) : 0 }
        return """
            seeds        \(seeds)
            rollouts     \(census.rollouts) (\(outcomes.joined(separator: ", ")))
            simulated    \(Int(hours)) hours, \(census.plans) plans, \(census.writes) writes
            requests     \(census.requests) by people, \(census.refusals) refused
            faults       \(census.faults.values.reduce(0, +)) (\(faults.joined(separator: ", ")))
            violations   \(findings.count)
            speed        \(speed(seconds)) rollouts a second, \(speed(busy)) for each second of a core; \(Int(seconds)) s in all

            """
    }
}
