package import Model

/// What a strategy asks for, stage by stage.
extension RolloutStage {
    /// The stages that lead from a release that serves to `content`.
    ///
    /// `size`: instances of the service when the rollout begins. `replacesNothing`: no release serves yet, so that
    /// there is nothing to share traffic with. `isDirect`: a rollback, which shows nothing new and needs no trial.
    package static func program(
        _ content: Release.Content, size: Int, replacesNothing: Bool, isDirect: Bool
    ) -> [RolloutStage] {
        let settings = content.rollout
        if case .recreate = settings.strategy, !replacesNothing {
            return recreate(settings, isDirect: isDirect)
        }
        if isDirect {
            if case .rolling(var rolling) = settings.strategy, !replacesNothing {
                rolling.minReady = .zero
                return batches(rolling, size: size)
            }
            return [RolloutStage(candidate: .whole, split: .share(100))]
        }
        let middle: [RolloutStage] =
            switch settings.strategy {
            case _ where replacesNothing: []
            case .blueGreen, .recreate: []
            case .rolling(let rolling): batches(rolling, size: size)
            case .canary(let steps): canary(steps, settings, size: size)
            }
        let first = middle.first ?? RolloutStage(candidate: .whole, split: .share(100))
        let before = settings.beforeSwitch.map {
            RolloutStage(
                candidate: first.candidate, stable: first.removesFirst ? first.stable : .whole,
                removesFirst: first.removesFirst, split: .none, wait: .gate($0))
        }
        let stable = middle.last?.stable ?? .whole
        let watch = RolloutStage(
            candidate: .whole, stable: stable, split: .share(100), wait: .settle(settings.watch))
        let after = settings.afterSwitch.map {
            RolloutStage(candidate: .whole, stable: stable, split: .share(100), wait: .gate($0))
        }
        return before + middle + [watch] + after
    }

    private static func recreate(_ settings: RolloutSettings, isDirect: Bool) -> [RolloutStage] {
        var stage = RolloutStage(candidate: .whole, stable: .nothing, removesFirst: true, split: .none)
        var before: [RolloutStage] = []
        for gate in isDirect ? [] : settings.beforeSwitch {
            stage.wait = .gate(gate)
            before.append(stage)
        }
        stage.split = .share(100)
        stage.wait = isDirect ? .none : .settle(settings.watch)
        var after: [RolloutStage] = []
        for gate in isDirect ? [] : settings.afterSwitch {
            var last = stage
            last.wait = .gate(gate)
            after.append(last)
        }
        return before + [stage] + after
    }

    private static func batches(_ rolling: RollingSettings, size: Int) -> [RolloutStage] {
        let step = rolling.step(of: size)
        // Where the service was scaled down so far that nothing could move, one runs in excess.
        let removesFirst = rolling.surge.of(size) == 0 && rolling.minHealthy.of(size) < size
        let count = (size + step - 1) / step
        return (1...max(1, count)).map { number in
            let replaced = min(size, number * step)
            return RolloutStage(
                candidate: Part(replaced, of: max(1, size)), stable: Part(size - replaced, of: max(1, size)),
                removesFirst: removesFirst, split: .even, wait: .settle(rolling.minReady))
        }
    }

    private static func canary(
        _ steps: [CanaryStep], _ settings: RolloutSettings, size: Int
    ) -> [RolloutStage] {
        let isCompared = steps.contains { if case .analyze = $0 { true } else { false } }
        // Until a step says otherwise, one instance without traffic.
        var shape = RolloutStage(candidate: Part(1, of: max(1, size)), split: .none)
        var analyses = 0
        var stages: [RolloutStage] = []
        for step in steps {
            shape.wait = .none
            switch step {
            case .weight(let share, let instances):
                let count = max(1, (instances ?? .percent(share)).of(size))
                shape.candidate = share == 100 ? .whole : Part(min(count, size), of: max(1, size))
                shape.split = share == 0 ? .none : .share(share)
                shape.hasBaseline = isCompared && settings.analysis.hasBaseline && (1...99).contains(share)
            case .match(let header): shape.match = header
            case .pause(let span): shape.wait = .pause(span)
            case .gate(let gate): shape.wait = .gate(gate)
            case .analyze(let span):
                analyses += 1
                let name = "analysis-\(analyses)"
                shape.wait = .gate(Gate(name, .analysis(span), timeout: Limits.longestPause))
            }
            stages.append(shape)
        }
        return stages
    }
}

extension RollingSettings {
    /// Instances replaced at a time. Never more than may run in excess, or, where none may, than may be missing.
    func step(of size: Int) -> Int {
        let batch = max(1, batch.of(size))
        let excess = surge.of(size)
        let missing = size - minHealthy.of(size)
        return max(1, min(batch, excess > 0 ? excess : missing))
    }
}

extension Rollout {
    /// The old release's part that should run now.
    var stablePart: Part {
        switch phase {
        case .returning, .ended: .whole
        case .launching where !currentStage.removesFirst: previous?.stable ?? .whole
        case .launching, .switching, .waiting: currentStage.stable
        }
    }

    /// How traffic should be split now: as before, until the stage's instances are proven.
    var split: RolloutStage.Split {
        switch phase {
        case .returning, .ended: .none
        case .launching: previous?.split ?? .none
        case .switching, .waiting: currentStage.split
        }
    }

    var match: HeaderMatch? {
        switch phase {
        case .returning, .ended: nil
        case .launching: previous?.match
        case .switching, .waiting: currentStage.split == .share(100) ? nil : currentStage.match
        }
    }

    /// Whether the new release has had traffic, or the old one fewer instances than it should.
    var hasMoved: Bool {
        previous.map { $0.split != .none || $0.match != nil || $0.stable != .whole } ?? false
            || currentStage.removesFirst || !isLaunching && (currentStage.split != .none || match != nil)
    }

    /// The first stage in which the new release has all traffic.
    var finalStage: Int {
        stages.firstIndex { $0.split == .share(100) } ?? stages.count - 1
    }

    var analyses: Int {
        stages.count { stage in
            if case .gate(let gate) = stage.wait, case .analysis = gate.kind { true } else { false }
        }
    }
}
