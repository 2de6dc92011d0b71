import Model

/// Instances on the simulated platform, by the ordinals in their names.
struct Host: Sendable {
    enum Stage: Hashable, Sendable { case launching, running, exited }

    struct Slot: Sendable {
        let id: InstanceID
        let release: ReleaseNumber
        let isTask: Bool
        var stage = Stage.launching
        /// It goes on although the daemon that asked for it is gone.
        var isDetached = false
        var failsToLaunch = false
        /// A removal is under way.
        var isLeaving = false
        /// When it can answer; `.max`: never.
        var ableAt = Int.max
        /// It answers and does not answer in turns of this length.
        var flapsEvery: Int?
        var sickUntil = 0
        var hasProven = false
        var isMonitored = true
        /// Requests of which the router has not counted a whole one yet.
        var traffic = TrafficTally()

        /// Whether it would answer a request.
        func isAble(at time: Int) -> Bool {
            guard stage == .running, !isLeaving, time >= ableAt, time >= sickUntil else { return false }
            guard let flapsEvery else { return true }
            return (time - ableAt) / flapsEvery % 2 == 0
        }

        /// Whether it was proven and would not answer now, or nobody watches it any more.
        func isFailing(at time: Int) -> Bool {
            hasProven && (!isAble(at: time) || !isMonitored) && !isLeaving
        }
    }

    /// nil: gone, or never launched.
    private(set) var slots: [Slot?] = []
    /// Ordinals of those that exist, in their order.
    private(set) var living: [Int] = []
    /// What is seen of them.
    private(set) var seen: [InstanceID: ObservedInstance] = [:]
    private(set) var used: Set<Int> = []

    subscript(ordinal: Int) -> Slot? { slots.indices.contains(ordinal) ? slots[ordinal] : nil }

    mutating func change(_ ordinal: Int, _ body: (inout Slot) -> Void) {
        guard slots.indices.contains(ordinal), slots[ordinal] != nil else { return }
        body(&slots[ordinal]!)
    }

    mutating func show(_ ordinal: Int, _ body: (inout ObservedInstance) -> Void) {
        guard let id = self[ordinal]?.id, seen[id] != nil else { return }
        body(&seen[id]!)
    }

    mutating func add(_ slot: Slot, key: ServiceKey, at now: Instant) {
        let ordinal = slot.id.ordinal
        while slots.count <= ordinal { slots.append(nil) }
        if slots[ordinal] == nil {
            let place = living.firstIndex { $0 > ordinal } ?? living.count
            living.insert(ordinal, at: place)
        }
        slots[ordinal] = slot
        used.insert(ordinal)
        seen[slot.id] = ObservedInstance(
            id: slot.id, key: key, release: slot.release, phase: .launching, address: "", startedAt: now,
            isTask: slot.isTask)
    }

    mutating func runs(_ ordinal: Int, at now: Instant) {
        change(ordinal) { $0.stage = .running }
        show(ordinal) {
            $0.phase = .running
            $0.address = "10.0.0.1"
            $0.startedAt = now
        }
    }

    /// Its process ends; false where none ran.
    @discardableResult
    mutating func exits(_ ordinal: Int, status: Int?) -> Bool {
        guard self[ordinal]?.stage == .running else { return false }
        change(ordinal) { $0.stage = .exited }
        show(ordinal) { $0.phase = .exited(status: status) }
        return true
    }

    mutating func vanishes(_ ordinal: Int) {
        guard let id = self[ordinal]?.id else { return }
        slots[ordinal] = nil
        living.removeAll { $0 == ordinal }
        seen[id] = nil
    }
}

/// Requests that an instance answered, in parts that are not whole yet.
struct TrafficTally: Hashable, Sendable {
    var requests = 0.0
    var errors = 0.0
    var answered = 0
}
