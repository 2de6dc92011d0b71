import Model

/// Conditions before a rollout goes on. What a gate does outside happens once: its record is stored before it is asked.
extension Draft {
    mutating func ask(_ gate: Gate, _ rollout: Rollout) {
        switch rollout.gates[gate.name] {
        case .passed: if rollout.pause == nil { goOn() }
        case .failed(_, let reason): turnBack("gate \(gate.name): \(reason)")
        case nil: open(gate)
        case .open(let since, let task):
            if case .analysis(let span) = gate.kind { return compare(gate, rollout, since: since, span) }
            lookAgain(at: situation.begun(since) + gate.timeout)
            if let result = result(of: gate, rollout, since: since, task: task) {
                return close(gate, result)
            }
            if situation.elapsed(since: since) >= gate.timeout { return timeOut(gate, task) }
            look(into: gate, rollout, since: since, task: task)
        }
    }

    private mutating func open(_ gate: Gate) {
        guard state.rollout?.pause == nil else { return }
        state.rollout?.gates[gate.name] = .open(since: now, task: nil)
        if case .analysis = gate.kind {
            state.rollout?.analysis = AnalysisProgress(since: now)
            // What was counted before does not belong to the comparison.
            usesTraffic = true
        }
        notes.append(
            Note(
                .gateOpened,
                "gate \(gate.name): \(approving(gate) ?? gate.kind.question)",
                release: state.rollout?.to))
        lookSoon()
    }

    private func approving(_ gate: Gate) -> String? {
        guard case .approval(let approvers) = gate.kind else { return nil }
        let command = "`kiln rollout approve \(state.key) --gate \(gate.name)"
        return approvers.map { "\(command) --key NAME` by \($0) goes on" } ?? command + "` goes on"
    }

    /// The answer that is there, if any.
    private func result(
        of gate: Gate, _ rollout: Rollout, since: Instant, task: InstanceID?
    ) -> GateAnswer? {
        switch gate.kind {
        case .health(let span):
            return situation.elapsed(since: since) >= span ? .passed(detail: "healthy for \(span)") : nil
        case .command: return task.flatMap(taskResult)
        case .approval, .analysis: return nil
        case .http, .webhook, .query, .visits:
            guard let report = situation.gateReports[key(of: gate, rollout)], report.at >= since else {
                return nil
            }
            if case .unanswered = report.answer { return nil }
            return report.answer
        }
    }

    private func taskResult(_ id: InstanceID) -> GateAnswer? {
        if let failure = situation.launchFailures.first(where: { $0.id == id }) {
            return .failed(reason: "it could not be launched: \(failure.reason)")
        }
        guard case .exited(let status) = situation.seen.instances[id]?.phase else { return nil }
        return switch status {
        case 0: .passed(detail: "\(id) ended with status 0")
        case let status?: .failed(reason: "\(id) ended with status \(status)")
        case nil: .failed(reason: "\(id) was cut short")
        }
    }

    private mutating func close(_ gate: Gate, _ answer: GateAnswer) {
        switch answer {
        case .passed(let detail):
            state.rollout?.gates[gate.name] = .passed(at: now, detail: detail)
            notes.append(
                Note(.gatePassed, "gate \(gate.name) passed: \(detail)", release: state.rollout?.to))
            if state.rollout?.pause == nil { goOn() }
        case .failed(let reason), .unanswered(let reason):
            state.rollout?.gates[gate.name] = .failed(at: now, reason: reason)
            notes.append(
                Note(.gateFailed, "gate \(gate.name) failed: \(reason)", release: state.rollout?.to))
            turnBack("gate \(gate.name): \(reason)")
        }
    }

    private mutating func timeOut(_ gate: Gate, _ task: InstanceID?) {
        var why = "no answer within \(gate.timeout)"
        if let rollout = state.rollout,
            case .unanswered(let reason)? = situation.gateReports[key(of: gate, rollout)]?.answer
        {
            why += ": \(reason)"
        }
        switch gate.otherwise {
        case .fail: close(gate, .failed(reason: why))
        case .pass: close(gate, .passed(detail: why))
        case .pause: pause("gate \(gate.name): \(why); `kiln rollout resume \(state.key)` goes on without it")
        }
    }

    /// Does what brings an answer nearer.
    private mutating func look(into gate: Gate, _ rollout: Rollout, since: Instant, task: InstanceID?) {
        switch gate.kind {
        case .health, .approval, .analysis: break
        case .command(let command): run(command, gate, rollout, since: since, task: task)
        case .http, .webhook, .query, .visits: put(gate, rollout)
        }
    }

    private mutating func run(
        _ command: [String], _ gate: Gate, _ rollout: Rollout, since: Instant, task: InstanceID?
    ) {
        lookSoon()
        if let task {
            let isThere = situation.seen.instances[task] != nil || situation.launching.contains(task)
            let isHalfMade = tasks.contains { $0.id == task && $0.condition == .dead(.halfMade) }
            // One that was only named never ran. One that was half made is removed first: its process had not begun.
            guard !isThere || isHalfMade else { return }
        }
        state.instancesNamed += 1
        let id = InstanceID(state.key, release: rollout.to, ordinal: state.instancesNamed)
        state.rollout?.gates[gate.name] = .open(since: since, task: id)
        launches.append(.runTask(id, release: rollout.to, command: command))
    }

    /// Asks outside, and again a while after an answer that was none.
    mutating func put(_ gate: Gate, _ rollout: Rollout, every pause: Span = Limits.gateLook) {
        let question = key(of: gate, rollout)
        guard !situation.checking.contains(question) else { return }
        if let report = situation.gateReports[question] {
            let next = report.at + pause
            guard next <= now else { return lookAgain(at: next) }
        }
        checks.append(
            .check(
                GateCheck(
                    idempotencyKey: question, gate: gate, key: state.key, release: rollout.to,
                    rollout: rollout.number, targets: targets(of: gate, rollout))))
    }

    private func targets(of gate: Gate, _ rollout: Rollout) -> [String] {
        if case .visits = gate.kind { return (route?.listener).map { ["\($0.address.fromHere)"] } ?? [] }
        let port = situation.releases[rollout.to]?.content.run.port ?? 0
        return fit(rollout.to).compactMap { situation.seen.instances[$0.id]?.address }.map { "\($0):\(port)" }
    }

    func key(of gate: Gate, _ rollout: Rollout) -> String { "\(state.key)/\(rollout.number)/\(gate.name)" }

    /// Whether an instance was named to run a gate's command.
    func isTask(_ id: InstanceID) -> Bool {
        state.rollout?.gates.values.contains { if case .open(_, let task) = $0 { task == id } else { false } }
            ?? false
    }

    /// Removes the instances of gates that are closed.
    mutating func removeTasks() {
        for task in tasks where !isTask(task.id) || task.condition == .dead(.halfMade) {
            guard task.condition != .pending else { continue }
            removals.append(.remove(task.id, reason: .taskEnded, grace: .zero))
        }
    }
}
