/// When instances are replaced because of their age, and when nothing is rolled out: the keys `max-age`,
/// `maintenance` and `freeze` of a spec.
package struct RepaveSettings: Hashable, Sendable, Codable {
    /// How old an instance may become; nil: as old as it likes.
    package var maxAge: Span?
    /// Only in these are instances replaced because of their age; none: at any time.
    package var maintenance: [MaintenanceWindow]
    /// In these nothing is deployed, nor replaced because of its age.
    package var freezes: [Freeze]

    package init(maxAge: Span? = nil, maintenance: [MaintenanceWindow] = [], freezes: [Freeze] = []) {
        self.maxAge = maxAge
        self.maintenance = maintenance
        self.freezes = freezes
    }

    /// Whether instances may be replaced because of their age now.
    package func isOpen(at now: Instant) -> Bool {
        freeze(at: now) == nil && (maintenance.isEmpty || maintenance.contains { $0.contains(now) })
    }

    package func freeze(at now: Instant) -> Freeze? { freezes.first { $0.from <= now && now < $0.until } }

    /// The part of the oldest age within which instances differ, so that those launched together do not go together.
    private static let jitter = 5

    /// How old one instance becomes: from four fifths of `limit` to all of it, always the same for the same name.
    package func age(_ limit: Span, of id: InstanceID) -> Span {
        // FNV-1a, 64 bits.
        let hash = id.text.utf8.reduce(UInt64(0xcbf2_9ce4_8422_2325)) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
        let part = limit.milliseconds / RepaveSettings.jitter
        return Span(milliseconds: limit.milliseconds - (part > 0 ? Int(hash % UInt64(part)) : 0))
    }
}

/// Hours of some days of the week, in UTC.
package struct MaintenanceWindow: Hashable, Sendable, Codable {
    package enum Day: String, Hashable, Sendable, Codable, CaseIterable {
        case sunday = "sun"
        case monday = "mon"
        case tuesday = "tue"
        case wednesday = "wed"
        case thursday = "thu"
        case friday = "fri"
        case saturday = "sat"
    }

    /// The days on which it begins; empty: every day.
    package var days: [Day]
    /// Minutes after midnight, 0…1439.
    package var from: Int
    /// Minutes after midnight, 0…1440; one that is not after `from` is of the day after.
    package var to: Int

    package init(days: [Day] = [], from: Int, to: Int) {
        self.days = days
        self.from = from
        self.to = to
    }

    package func contains(_ now: Instant) -> Bool {
        let minutes = Int((Double(now.milliseconds) / 60_000).rounded(.down))
        let today = Int((Double(minutes) / 1440).rounded(.down))
        let minute = minutes - today * 1440
        if to > from { return begins(on: today) && (from..<to).contains(minute) }
        return begins(on: today) && minute >= from || begins(on: today - 1) && minute < to
    }

    private func begins(on day: Int) -> Bool {
        // 1970-01-01 was a Thursday.
        let weekday = ((day + 4) % 7 + 7) % 7
        return days.isEmpty || days.contains(Day.allCases[weekday])
    }
}

/// A time in which nothing is deployed: the end of a year, a great sale.
package struct Freeze: Hashable, Sendable, Codable {
    package var from: Instant
    package var until: Instant
    package var reason: String

    package init(from: Instant, until: Instant, reason: String) {
        self.from = from
        self.until = until
        self.reason = reason
    }
}
