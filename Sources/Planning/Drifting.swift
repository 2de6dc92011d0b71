import Model

/// What is done about instances that are not what was launched any more, because something or somebody touched them.
extension Draft {
    /// Taints what drifted, as far as the budget goes, and has limits put back that changed for the first time.
    mutating func answerDrifts() {
        endKeeping()
        var found: [(instance: ObservedInstance, drift: Drift)] = []
        for instance in situation.seen.instances.values where !instance.drifts.isEmpty {
            guard instance.key == state.key, instance.phase == .running, !instance.isTask,
                !situation.removing.contains(instance.id), state.tainted(instance.id) == nil
            else { continue }
            let settings = situation.releases[instance.release]?.content.drift ?? DriftSettings()
            for drift in instance.drifts {
                switch settings.mode(for: drift.kind, at: now) {
                case .off: break
                case .alert: tellOnce(drift, of: instance, answer: "left as it is")
                case .replace: found.append((instance, drift))
                }
            }
        }
        found.sort {
            ($0.instance.id, $0.drift.at, $0.drift.subject) < ($1.instance.id, $1.drift.at, $1.drift.subject)
        }
        // One act puts all limits of an instance back; what is seen until it is done is of before.
        var coming = situation.restoring
        found.removeAll { drift in
            guard drift.drift.kind == .limits else { return false }
            return putRight(drift.drift, of: drift.instance, &coming)
        }
        if !found.isEmpty { taint(found) }
    }

    /// A person's time with an instance is over, whether or not they said so.
    private mutating func endKeeping() {
        for place in state.tainted.indices {
            guard let until = state.tainted[place].keptUntil else { continue }
            guard until <= now else {
                lookAgain(at: until)
                continue
            }
            state.tainted[place].keptUntil = nil
            let id = state.tainted[place].id
            notes.append(
                Note(
                    .tainted, "\(id) was kept for as long as was asked, and is replaced", instance: id,
                    release: id.release))
        }
    }

    private mutating func tellOnce(_ drift: Drift, of instance: ObservedInstance, answer: String) {
        guard (state.drift?.told.count ?? 0) < Limits.driftsTold, remember(drift, of: instance) else {
            return
        }
        notes.append(Note(drift, of: instance, answer: answer))
    }

    /// Whether it was not told of that instance before.
    private mutating func remember(_ drift: Drift, of instance: ObservedInstance) -> Bool {
        let told = DriftHistory.Told(id: instance.id, kind: drift.kind, subject: drift.subject)
        var history = state.drift ?? DriftHistory()
        guard !history.told.contains(told) else { return false }
        history.told.append(told)
        state.drift = history
        return true
    }

    /// Limits are put back once in an instance's life: whoever changes them again means it.
    private mutating func putRight(
        _ drift: Drift, of instance: ObservedInstance, _ coming: inout Set<InstanceID>
    ) -> Bool {
        guard remember(drift, of: instance) else { return coming.contains(instance.id) }
        notes.append(Note(drift, of: instance, answer: "put back"))
        if coming.insert(instance.id).inserted { corrections.append(.restoreLimits(instance.id)) }
        return true
    }

    private mutating func taint(_ found: [(instance: ObservedInstance, drift: Drift)]) {
        let halted = Set((state.drift?.answered ?? []).filter(\.isHalted).map(\.kind))
        for (instance, drift) in found where halted.contains(drift.kind) {
            tellOnce(drift, of: instance, answer: "left as it is: it came back too often")
        }
        var history = state.drift ?? DriftHistory()
        defer { state.drift = history }
        // What was given up stays so until a release or a person begins anew.
        history.answered.removeAll { !$0.isHalted && now - $0.last > Limits.driftMemory }
        let open = found.filter { !halted.contains($0.drift.kind) }
        guard !open.isEmpty else { return }
        if let next = history.rounds.nextLaunch, next > now { return lookAgain(at: next) }
        let underWay = state.tainted.count { $0.keptUntil == nil && !$0.drifts.isEmpty }
        let room = Limits.driftBudget(of: state.current.map(size) ?? 1) - underWay
        let ids = Array(Set(open.map(\.instance.id))).sorted()
        guard room > 0 else { return lookAgain(after: Limits.watchLook) }
        /// Of the kinds that are answered now, those that came back in an instance made since the last answer.
        var kinds: [Drift.Kind: Bool] = [:]
        for id in ids.prefix(room) {
            let mine = open.filter { $0.instance.id == id }
            guard let first = mine.first else { continue }
            state.tainted.append(
                TaintedInstance(
                    id: id, at: now, by: nil, reason: first.drift.message, drifts: mine.map(\.drift)))
            for (instance, drift) in mine {
                let last = history.answered.first { $0.kind == drift.kind }?.last
                kinds[drift.kind, default: false] =
                    kinds[drift.kind] == true || last.map { instance.startedAt >= $0 } ?? true
            }
            notes += mine.map { Note($0.drift, of: $0.instance, answer: "replaced") }
        }
        history.rounds.count(at: now)
        for (kind, hasComeBack) in kinds.sorted(by: { $0.key.rawValue < $1.key.rawValue }) {
            count(kind, hasComeBack: hasComeBack, &history)
        }
        if ids.count > room { lookAgain(after: Limits.watchLook) }
    }

    /// Those that were touched together are one time, however many rounds it takes to replace them.
    private mutating func count(_ kind: Drift.Kind, hasComeBack: Bool, _ history: inout DriftHistory) {
        guard let place = history.answered.firstIndex(where: { $0.kind == kind }) else {
            return history.answered.append(.init(kind: kind, count: 1, last: now, isHalted: false))
        }
        guard hasComeBack else { return }
        history.answered[place].count += 1
        history.answered[place].last = now
        guard history.answered[place].count >= Limits.driftRounds else { return }
        history.answered[place].isHalted = true
        notes.append(
            Note(
                .driftHalted,
                "\(kind.rawValue) drift came back \(history.answered[place].count) times: nothing more is replaced "
                    + "because of it until a new release or `kiln repave \(state.key)`",
                details: ["kind": kind.rawValue]))
    }

    /// Enters what is known of an instance's past into how it is judged.
    func mark(_ view: inout InstanceView) {
        guard let taint = state.tainted(view.id), !view.isDead else { return }
        // Of what may run only once, no second one can do its work meanwhile: it serves on.
        if taint.keptUntil != nil, !state.isRetiring {
            view.isKept = !taint.isInTraffic && !isExclusive
        } else {
            view.replacement = taint.drifts.isEmpty ? .tainted : .drifted
        }
    }
}

extension Note {
    fileprivate init(_ drift: Drift, of instance: ObservedInstance, answer: String) {
        var details = [
            "kind": drift.kind.rawValue, "subject": drift.subject, "source": drift.source.rawValue,
            "answer": answer, "found-at": drift.at.description,
        ]
        details["owner"] = drift.owner
        details["expected"] = drift.expected
        details["found"] = drift.found
        self.init(
            .drifted, "\(instance.id) drifted: \(drift.message)", instance: instance.id,
            release: instance.release, details: details)
    }
}
