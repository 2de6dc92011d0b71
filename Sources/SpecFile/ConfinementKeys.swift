import Model

/// An entry of `run.allow`: one thing that instances may do beyond what every instance may, and why.
enum ConfinementKeys {
    static let capability = Key(
        "capability", capabilityName,
        "A capability for all processes of the instance, also of users that are not root.")
    static let systemCalls = Key(
        "system-calls",
        systemCall.located.list(
            1...SystemCallFilter.onRequest.count, example: "[io_uring_setup, io_uring_enter]"),
        "System calls that instances may otherwise not make.")
    static let hostUsers = Key(
        "host-users", Form<Bool>.flag(example: "true"),
        "true: the instance's users are the host's, with no user namespace between them.")
    static let reason = Key(
        "reason", Form<String>.someText(bytes: Bounds.reasonBytes, example: "sends ICMP probes"),
        "Why; shown with every plan that it is part of.", required: true)

    private static let things: [any AnyKey] = [capability, systemCalls, hostUsers]
    static let all: [any AnyKey] = things + [reason]
    static let example = "{capability: NET_RAW, reason: sends ICMP probes}"

    static let form: Form<Allowance> = {
        var form = Form<Allowance>.section(all, example: example) { section, problems in
            let before = problems.count
            let capability = section.value(capability, &problems)
            let calls = section.value(systemCalls, &problems) ?? []
            let hostUsers = section.value(hostUsers, &problems)
            let reason = section.value(reason, &problems)
            addRepeated(calls, &problems)
            addCount(of: section.given(things), section, &problems)
            if hostUsers == false {
                problems.add(
                    "host-users: false asks for nothing", line: section.line(of: ConfinementKeys.hostUsers),
                    suggestion: "remove the entry: instances have users of their own")
            }
            guard problems.count == before, let reason else { return nil }
            if let capability { return Allowance(.capability(capability), reason: reason) }
            return Allowance(
                hostUsers == true ? .hostUsers : .systemCalls(calls.map(\.value)), reason: reason)
        }
        form = form.requiringOne(of: things)
        return form
    }()

    private static func addCount(
        of given: [(name: String, line: Int)], _ section: Section, _ problems: inout Problems
    ) {
        if given.isEmpty {
            problems.add(
                "the entry allows nothing", line: section.line,
                suggestion: "name one of \(sentence(things.map(\.name)))")
        } else if given.count > 1 {
            problems.add(
                "\(given[0].name) and \(given[1].name) are in one entry", line: given[1].line,
                suggestion: "write an entry with a reason of its own for each")
        }
    }

    private static func addRepeated(_ calls: [Located<String>], _ problems: inout Problems) {
        for (index, call) in calls.enumerated()
        where calls[..<index].contains(where: { $0.value == call.value }) {
            problems.add(
                "system-calls has \(call.value) twice", line: call.line, suggestion: "keep one of the two")
        }
    }

    /// Problems of entries that ask for the same thing.
    static func addRepeated(_ entries: [Located<Allowance>], _ problems: inout Problems) {
        for (index, entry) in entries.enumerated() {
            guard let earlier = entries[..<index].first(where: { $0.value.thing == entry.value.thing }) else {
                continue
            }
            problems.add(
                "allow has \(entry.value.name) twice, first on "
                    + problems.mention(earlier.line, at: entry.line),
                line: entry.line, suggestion: "keep one of the two")
        }
    }

    private static let capabilityName: Form<Capability> = {
        let names = Capability.allCases.map(\.rawValue)
        let text = Form<String>.text(example: "NET_RAW") { _ in nil }
        let schema: JSON = .object(["enum": .list(names.map { .text($0) })])
        return Form<Capability>(schema: schema, example: "NET_RAW") { node, label, problems in
            guard let name = text.read(node, label, &problems) else { return nil }
            if let capability = Capability(rawValue: name) { return capability }
            // As the kernel writes it.
            let bare = name.uppercased().hasPrefix("CAP_") ? String(name.dropFirst(4)) : name
            if Capability.refused.contains(bare) {
                problems.add(
                    "\(label.text) is \(quoted(name)), which no instance gets: it would give the host away",
                    line: node.line, suggestion: "do without it; \(sentence(names)) can be allowed")
            } else {
                problems.add(
                    "\(label.text) is \(quoted(name)); the choices are \(sentence(names))", line: node.line,
                    suggestion: label.write(Nearest.match(bare, among: names) ?? "NET_RAW"))
            }
            return nil
        }
    }()

    private static let systemCall: Form<String> = {
        let names = SystemCallFilter.onRequest
        let text = Form<String>.text(example: "io_uring_setup") { _ in nil }
        let schema: JSON = .object(["enum": .list(names.map { .text($0) })])
        return Form<String>(schema: schema, example: "io_uring_setup") { node, label, problems in
            guard let name = text.read(node, label, &problems) else { return nil }
            if names.contains(name) { return name }
            let isUsual = SystemCallFilter.isUsual(name)
            problems.add(
                isUsual
                    ? "\(quoted(name)) is a system call that every instance may make"
                    : "\(quoted(name)) is not a system call that can be allowed",
                line: node.line,
                suggestion: isUsual
                    ? "remove it"
                    : Nearest.match(name, among: names).map { "did you mean \($0)? " }.map {
                        $0 + "\(sentence(names)) can be"
                    } ?? "\(sentence(names)) can be")
            return nil
        }
    }()
}
