import Model

/// `rollout:` — how one release takes the place of another.
enum RolloutKeys {
    /// The words of `strategy`.
    enum Strategy: String, Sendable, CaseIterable {
        case blueGreen = "blue-green"
        case rolling, canary, recreate

        /// Old releases kept warm where the spec does not say. One makes a rollback a matter of milliseconds.
        /// A service is rolled because there is no room for it twice, and recreated because it cannot run
        /// twice.
        var keepStandby: Int {
            switch self {
            case .blueGreen, .canary: 1
            case .rolling, .recreate: 0
            }
        }
    }

    static let strategy = Key(
        "strategy", Form<Strategy>.choice(example: "blue-green"),
        "blue-green: all of the new release is proven beside the old one, then takes all traffic at once; a "
            + "rollback is as quick. rolling: batch by batch, where there is no room for twice the service. "
            + "canary: a small share of the traffic first, compared with the old release, then more. recreate: "
            + "the old release stops first, for what cannot run twice; requests in between fail.",
        fallback: .text("blue-green"))
    static let drain = Key(
        "drain", Form<Span>.span(Bounds.drain, example: "10s"),
        "How long requests in flight on a leaving instance may take.", fallback: .text("10s"))
    static let watch = Key(
        "watch", Form<Span>.span(Bounds.watch, example: "30s"),
        "How long the new release is watched with all traffic before the old one is let go. 30s: most of what "
            + "breaks a release does so within its first requests.",
        fallback: .text("30s"))
    static let deadline = Key(
        "deadline", Form<Span>.span(Bounds.deadline, example: "60s"),
        "How long each stage may take until all its instances are proven healthy.", fallback: .text("60s"))
    static let keepStandby = Key(
        "keep-standby", Form<Int>.integer(Bounds.keepStandby, example: "1"),
        "Old releases kept running, so that a rollback takes milliseconds. Without it 1; for rolling 0, because "
            + "a standby takes the room of the whole service again, and for recreate 0, because it cannot run "
            + "twice.")
    static let rollbackWindow = Key(
        "rollback-window", Form<Int>.integer(Bounds.rollbackWindow, example: "10"),
        "A rollback to one of this many last good releases goes back at once; to an older one by the strategy, "
            + "because what surrounds the service may have moved on.", fallback: .integer(10))
    static let beforeSwitch = Key(
        "before-switch", GateKeys.list,
        "Gates asked when the new release is proven and has no traffic yet, one after the other.")
    static let afterSwitch = Key(
        "after-switch", GateKeys.list,
        "Gates asked when the new release has had all traffic for `watch`, while the old one still stands by."
    )

    static let batch = Key(
        "batch", Form<Amount>.amount(1...Bounds.replicas.upperBound, example: "25%"),
        "rolling: instances replaced at a time. 25%: a broken release meets a quarter of the service at most.",
        fallback: .text("25%"))
    static let surge = Key(
        "surge", Form<Amount>.amount(0...Bounds.replicas.upperBound, example: "25%"),
        "rolling: instances that may run beyond the service's size, so that none is missing meanwhile; 0 "
            + "removes each batch before its successors start.", fallback: .text("25%"))
    static let minHealthy = Key(
        "min-healthy", Form<Amount>.amount(0...Bounds.replicas.upperBound, example: "100%"),
        "rolling: instances that serve at all times. 100%: a rollout costs no capacity.",
        fallback: .text("100%"))
    static let minReady = Key(
        "min-ready", Form<Span>.span(Bounds.minReady, example: "10s"),
        "rolling: how long a batch serves without trouble before the next one begins.", fallback: .text("10s")
    )
    static let steps = Key(
        "steps", StepKeys.list,
        "canary: what happens one after the other, before all traffic goes to the new release. Without it: weight "
            + "5, analyze 2m, weight 25, analyze 5m, weight 50, analyze 5m; few users meet a broken release, and "
            + "what only load brings out shows at half the traffic.")
    static let analysis = Key(
        "analysis", AnalysisKeys.form, "canary: what a comparison of the two releases tolerates and needs.")

    private static let ofRolling: [any AnyKey] = [batch, surge, minHealthy, minReady]
    private static let ofCanary: [any AnyKey] = [steps, analysis]

    static let all: [any AnyKey] =
        [strategy] + ofRolling + ofCanary
        + [beforeSwitch, afterSwitch, drain, watch, deadline, keepStandby, rollbackWindow]

    /// Settings, and the line to name when the deadline cannot be met.
    struct Draft: Sendable {
        var settings = RolloutSettings()
        var deadlineLine: Int?
    }

    static let form = Form<Draft>.section(all, example: "{strategy: blue-green, drain: 10s}") {
        section, problems in
        // A strategy that is not understood has told its problem; its keys are then not blamed too.
        let strategy = section.has(strategy) ? section.value(strategy, &problems) : .blueGreen
        if let strategy {
            addMisplaced(ofRolling, of: .rolling, strategy, section, &problems)
            addMisplaced(ofCanary, of: .canary, strategy, section, &problems)
        }
        var settings = RolloutSettings(keepStandby: (strategy ?? .blueGreen).keepStandby)
        if let drain = section.value(drain, &problems) { settings.drain = drain }
        if let watch = section.value(watch, &problems) { settings.watch = watch }
        if let deadline = section.value(deadline, &problems) { settings.deadline = deadline }
        if let keepStandby = section.value(keepStandby, &problems) { settings.keepStandby = keepStandby }
        if let window = section.value(rollbackWindow, &problems) { settings.rollbackWindow = window }
        if let analysis = section.value(analysis, &problems) { settings.analysis = analysis }
        if strategy == .recreate, settings.keepStandby > 0 {
            problems.add(
                "keep-standby is \(settings.keepStandby); recreate is for what cannot run twice",
                line: section.line(of: keepStandby), suggestion: "write keep-standby: 0, or leave it out")
        }
        let rolling = rollingSettings(section, &problems)
        let steps = section.value(steps, &problems) ?? StepKeys.careful
        let canary = addGates(to: &settings, steps, section, isCanary: strategy == .canary, &problems)
        switch strategy {
        case .blueGreen, nil: settings.strategy = .blueGreen
        case .rolling: settings.strategy = .rolling(rolling)
        case .canary: settings.strategy = .canary(canary)
        case .recreate: settings.strategy = .recreate
        }
        return Draft(
            settings: settings, deadlineLine: section.has(deadline) ? section.line(of: deadline) : nil)
    }

    private static func addMisplaced(
        _ keys: [any AnyKey], of owner: Strategy, _ strategy: Strategy, _ section: Section,
        _ problems: inout Problems
    ) {
        guard strategy != owner else { return }
        for (name, line) in section.given(keys) {
            problems.add(
                "\(name) means nothing with strategy \(strategy.rawValue)", line: line,
                suggestion: "write strategy: \(owner.rawValue), or remove \(name)")
        }
    }

    private static func rollingSettings(_ section: Section, _ problems: inout Problems) -> RollingSettings {
        var settings = RollingSettings()
        if let batch = section.value(batch, &problems) { settings.batch = batch }
        if let surge = section.value(surge, &problems) { settings.surge = surge }
        if let minHealthy = section.value(minHealthy, &problems) { settings.minHealthy = minHealthy }
        if let minReady = section.value(minReady, &problems) { settings.minReady = minReady }
        return settings
    }

    /// Gates are named together: a name is unique within a release. Gives the steps with theirs.
    private static func addGates(
        to settings: inout RolloutSettings, _ steps: [StepDraft], _ section: Section, isCanary: Bool,
        _ problems: inout Problems
    ) -> [CanaryStep] {
        let before = section.value(beforeSwitch, &problems) ?? []
        let after = section.value(afterSwitch, &problems) ?? []
        let amid = steps.compactMap { if case .gate(let draft) = $0 { draft } else { nil } }
        let comparisons = steps.count { if case .plain(.analyze) = $0 { true } else { false } }
        let reserved = isCanary ? (0..<comparisons).map { "analysis-\($0 + 1)" } : []
        var gates = GateNames.complete(before + amid + after, reserved: Set(reserved), &problems)[...]
        settings.beforeSwitch = Array(gates.prefix(before.count))
        settings.afterSwitch = Array(gates.suffix(after.count))
        gates = gates.dropFirst(before.count)
        return steps.map { step in
            switch step {
            case .plain(let step): step
            case .gate: .gate(gates.removeFirst())
            }
        }
    }
}
