import Model

/// `max-age:`, `maintenance:` and `freeze:` — when instances are replaced because of their age, and when nothing is
/// rolled out.
enum RepaveKeys {
    static let maxAge = Key(
        "max-age", Form<Span>.span(Bounds.instanceAge, example: "7d"),
        "How old an instance may become before a fresh one takes its place.")
    static let maintenance = Key(
        "maintenance", WindowKeys.form.list(1...Bounds.windows, example: "[\(WindowKeys.example)]"),
        "The hours in which instances are replaced because of their age; without it any.")
    static let freeze = Key(
        "freeze", FreezeKeys.form.list(1...Bounds.windows, example: "[\(FreezeKeys.example)]"),
        "Times in which nothing is deployed, nor replaced because of its age. What drifts or fails still is.")

    static let all: [any AnyKey] = [maxAge, maintenance, freeze]

    /// nil where none of them is given.
    static func read(_ section: Section, _ problems: inout Problems) -> RepaveSettings? {
        let age = section.value(maxAge, &problems)
        let windows = section.value(maintenance, &problems)
        let freezes = section.value(freeze, &problems)
        if section.has(maintenance), !section.has(maxAge) {
            problems.add(
                "maintenance is given, but nothing is replaced because of its age",
                line: section.line(of: maintenance), suggestion: "add max-age: 7d, or remove maintenance")
        }
        guard age != nil || windows != nil || freezes != nil else { return nil }
        return RepaveSettings(maxAge: age, maintenance: windows ?? [], freezes: freezes ?? [])
    }
}

/// An entry of `maintenance`.
enum WindowKeys {
    static let example = "{days: [sat, sun], from: 02:00, to: 05:00}"

    static let days = Key(
        "days",
        Form<MaintenanceWindow.Day>.choice(example: "sat").list(1...7, example: "[sat, sun]"),
        "The days on which it begins; without it every day.")
    static let from = Key(
        "from", Form<Int>.timeOfDay(example: "02:00"), "When it begins, in UTC.", required: true)
    static let to = Key(
        "to", Form<Int>.timeOfDay(example: "05:00"),
        "When it ends, in UTC; before `from`: on the day after.", required: true)

    static let form = Form<MaintenanceWindow>.section([days, from, to], example: example) {
        section, problems in
        let days = section.value(days, &problems)
        let from = section.value(from, &problems)
        let to = section.value(to, &problems)
        guard let from, let to else { return nil }
        return MaintenanceWindow(days: days ?? [], from: from % 1440, to: to)
    }
}

/// An entry of `freeze`.
enum FreezeKeys {
    static let example = "{from: 2026-12-20, until: 2027-01-03, reason: the holidays}"

    static let from = Key(
        "from", Form<Instant>.day(example: "2026-12-20"), "The day (UTC) on which it begins.", required: true)
    static let until = Key(
        "until", Form<Instant>.day(example: "2027-01-03"), "The day (UTC) on which it has ended.",
        required: true)
    static let reason = Key(
        "reason", Form<String>.someText(bytes: Bounds.reasonBytes, example: "the holidays"), "Why.",
        required: true)

    static let form = Form<Freeze>.section([from, until, reason], example: example) { section, problems in
        let from = section.value(from, &problems)
        let until = section.value(until, &problems)
        let reason = section.value(reason, &problems)
        guard let from, let until, let reason else { return nil }
        guard from < until else {
            problems.add(
                "the freeze ends before it begins", line: section.line(of: FreezeKeys.until),
                suggestion: "write the later day as until: it is the first day without the freeze")
            return nil
        }
        return Freeze(from: from, until: until, reason: reason)
    }
}

extension Form where Value == Int {
    /// Hours and minutes as minutes after midnight, 0…1440.
    static func timeOfDay(example: String) -> Form {
        @Sendable func minutes(_ text: String) -> Int? {
            guard let parts = text.wholeMatch(of: /([0-9]{2}):([0-9]{2})/), let hours = Int(parts.1),
                let minutes = Int(parts.2), minutes < 60, hours < 24 || hours == 24 && minutes == 0
            else { return nil }
            return hours * 60 + minutes
        }
        return Form<String>.text(pattern: "^([01][0-9]|2[0-4]):[0-5][0-9]$", example: example) {
            minutes($0) == nil ? "a time of day is needed, 00:00 to 24:00" : nil
        }.map { text, _, _, _ in minutes(text) }
    }
}
