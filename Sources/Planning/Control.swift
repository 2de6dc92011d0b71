package import Model

/// What people say to a rollout that is under way.
extension ServiceState {
    /// Keeps the rollout where it is. What fails meanwhile still ends it.
    package mutating func pause(at now: Instant, by operatorName: String) throws -> [Note] {
        let rollout = try underWay()
        if let pause = rollout.pause {
            throw Failure(
                .conflict, "the rollout of \(rollout.to) is paused since \(pause.since): \(pause.reason)",
                suggestion: "`kiln rollout resume \(key)` goes on")
        }
        self.rollout?.pause = Rollout.Pause(since: now, reason: Rollout.byHand(operatorName))
        return [Note(.paused, "\(operatorName) paused the rollout", release: rollout.to, by: operatorName)]
    }

    /// Goes on with a paused rollout, also where its steps, a gate or a lack of data paused it.
    package mutating func resume(at now: Instant, by operatorName: String) throws -> [Note] {
        let rollout = try underWay()
        guard let pause = rollout.pause else {
            throw Failure(
                .conflict, "the rollout of \(rollout.to) is not paused",
                suggestion: "`kiln rollout status \(key)` shows what it waits for")
        }
        if !pause.isByHand, case .gate(let gate) = rollout.currentStage.wait {
            try requireMet([gate], instead: "resume")
        }
        var notes: [Note] = []
        self.rollout?.pause = nil
        if pause.isByHand {
            // The time of the pause counts towards nothing.
            self.rollout?.delay(by: now - pause.since)
        } else {
            notes += rollout.bypassing(rollout.openGates(before: rollout.stage + 1), by: operatorName)
            self.rollout?.passOver("\(operatorName) resumed it", at: now)
        }
        return notes
            + [Note(.resumed, "\(operatorName) resumed the rollout", release: rollout.to, by: operatorName)]
    }

    /// Gives the new release all traffic next, without the steps that are left before that.
    package mutating func promote(at now: Instant, by operatorName: String) throws -> [Note] {
        let rollout = try underWay()
        guard rollout.stage < rollout.finalStage else {
            throw Failure(
                .conflict, "\(rollout.to) is given all traffic already",
                suggestion: "`kiln rollout status \(key)` shows what is left")
        }
        try requireMet(rollout.gates(before: rollout.finalStage), instead: "promote")
        self.rollout?.enter(rollout.finalStage, at: now)
        return rollout.bypassing(rollout.openGates(before: rollout.finalStage), by: operatorName) + [
            Note(.promoted, "\(operatorName) promoted \(rollout.to)", release: rollout.to, by: operatorName)
        ]
    }

    /// Gives the traffic back to the release that was good before.
    package mutating func abort(at now: Instant, by operatorName: String) throws -> [Note] {
        let rollout = try underWay(orReturning: true)
        guard let from = rollout.from else {
            throw Failure(
                .notFound, "\(rollout.to) is the first release: there is none to go back to",
                suggestion: "`kiln retire \(key)` stops the service")
        }
        guard !rollout.isReturning else { return [] }
        let reason = Rollout.byHand(operatorName)
        self.rollout?.pause = nil
        self.rollout?.refusedSince = nil
        self.rollout?.phase = .returning(since: now, reason: reason)
        return [
            Note(.returning, "\(from) takes its traffic back: \(reason)", release: from, by: operatorName)
        ]
    }

    func underWay(orReturning: Bool = false) throws -> Rollout {
        guard let rollout, !isRetiring else {
            let last = lastRollout.map { "; the last one ended: \($0.endText)" } ?? ""
            throw Failure(
                .conflict, "no rollout of \(key) is under way\(last)",
                suggestion: "`kiln history \(key)` shows how rollouts ended")
        }
        guard orReturning || !rollout.isReturning else {
            throw Failure(
                .conflict, "the rollout of \(rollout.to) has failed and gives its traffic back",
                suggestion: "`kiln status` shows when that is done; then deploy again")
        }
        return rollout
    }
}

extension Rollout.Pause {
    /// Whether somebody asked for it, rather than a step, a gate or a lack of data.
    var isByHand: Bool { Rollout.isByHand(reason) }
}

extension Rollout {
    /// The reason of what a person asked for.
    static func byHand(_ operatorName: String) -> String { "\(operatorName) asked for it" }
    static func isByHand(_ reason: String) -> Bool { reason.hasSuffix(" asked for it") }

    /// Makes every wait under way begin later.
    fileprivate mutating func delay(by span: Span) {
        switch phase {
        case .launching(let since): phase = .launching(since: since + span)
        case .switching(let since): phase = .switching(since: since + span)
        case .waiting(let since): phase = .waiting(since: since + span)
        case .returning, .ended: break
        }
        gates = gates.mapValues {
            if case .open(let since, let task) = $0 { .open(since: since + span, task: task) } else { $0 }
        }
    }

    /// Goes on without what the stage waits for.
    fileprivate mutating func passOver(_ reason: String, at now: Instant) {
        switch currentStage.wait {
        case .gate(let gate): gates[gate.name] = .passed(at: now, detail: reason)
        case .pause: stages[stage].wait = .none
        case .none, .settle: break
        }
    }
}
