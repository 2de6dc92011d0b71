package import Model

/// What people do to single instances, as changes of intent.
extension ServiceState {
    /// Remembers that a person touches an instance, which is replaced: now, or, where `until` says so, at the end of
    /// their time, with another in its place meanwhile.
    ///
    /// - Parameter isInTraffic: it takes requests while it is kept
    package mutating func taint(
        _ id: InstanceID, reason: String, until: Instant?, isInTraffic: Bool, at now: Instant,
        by operatorName: String
    ) throws -> [Note] {
        if isRetiring { throw ServiceState.isRetiringFailure(key) }
        if let until, until - now > Limits.longestKeeping {
            throw Failure(
                .invalidArgument, "\(id) cannot be kept for \(until - now)",
                suggestion: "\(Limits.longestKeeping) is the longest")
        }
        guard drainingSince[id] == nil else {
            throw Failure(
                .conflict, "\(id) is being removed",
                suggestion: "`kiln status \(key)` shows those that stay")
        }
        guard
            until == nil || tainted.count(where: { $0.keptUntil != nil && $0.id != id }) < Limits.keptAtATime
        else {
            throw Failure(
                .conflict, "\(Limits.keptAtATime) instances of \(key) are kept already",
                suggestion: "end one of them: kiln hold INSTANCE --end")
        }
        let known = tainted(id)
        // Whoever is in it out of traffic is not put into it by the next one.
        let isInTraffic = isInTraffic && (known?.keptUntil == nil || known?.isInTraffic == true)
        var details = ["message": reason]
        details["until"] = until?.description
        if isInTraffic { details["in-traffic"] = "true" }
        tainted.removeAll { $0.id == id }
        tainted.append(
            TaintedInstance(
                id: id, at: known?.at ?? now, by: operatorName, reason: reason,
                drifts: known?.drifts ?? [], keptUntil: until, isInTraffic: isInTraffic))
        let what = until == nil ? "is replaced" : isInTraffic ? "serves on" : "takes no requests"
        return [
            Note(
                .tainted, "\(id) is touched by a person and \(what): \(reason)", instance: id,
                release: id.release, by: operatorName, details: details)
        ]
    }

    /// Ends a person's time with an instance: it is replaced.
    package mutating func endTaint(
        _ id: InstanceID, message: String, details: [String: String] = [:], by operatorName: String
    ) throws -> [Note] {
        guard let place = tainted.firstIndex(where: { $0.id == id }) else {
            throw Failure(
                .notFound, "\(id) is neither held nor used by anybody",
                suggestion: "`kiln drift` shows the instances that are")
        }
        tainted[place].keptUntil = nil
        return [
            Note(
                .tainted, "\(id) is replaced: \(message)", instance: id, release: id.release,
                by: operatorName, details: details)
        ]
    }
}
