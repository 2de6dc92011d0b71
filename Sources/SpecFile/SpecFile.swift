package import Model

/// kiln.yaml, schema version 1.
package enum SpecFile {
    /// The name of the file beside which everything that it names is looked for.
    package static let name = "kiln.yaml"
    /// The version that the key `kiln` must have.
    package static let version = 1

    /// Reads a spec and fills in every default. `file` is what problems call it. `load` gives the text of a file that
    /// `image.include` names, by its path from the folder of the spec, or throws a `Failure`.
    ///
    /// Throws `Failures` with every problem found, in the order of the file, each `file:line` with what to
    /// write.
    package static func parse(
        _ text: String, file: String, load: (_ path: String) throws -> String = SpecFile.noIncludes
    ) throws -> Spec {
        var problems = Problems(file: file)
        let spec = SpecDocument.read(text, problems: &problems).flatMap { root in
            Includes.expand(root, file: file, load: load, &problems).flatMap { SpecKeys.read($0, &problems) }
        }
        if let failures = problems.failures { throw failures }
        guard let spec else {
            throw Failure(.internalError, "the spec was refused without a reason", at: file)
        }
        return spec
    }

    /// For a spec that stands alone.
    package static func noIncludes(_ path: String) throws -> String {
        throw Failure(
            .fileMissing, "\(path) cannot be included here", suggestion: "write its keys into this file")
    }
}

/// The top level of a spec.
enum SpecKeys {
    static let kiln = Key(
        "kiln", Form<Int>.integer(SpecFile.version...SpecFile.version, example: "\(SpecFile.version)"),
        "The version of this file's rules.", required: true)
    static let service = Key(
        "service", Form<ServiceName>.parsed(pattern: "^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$", example: "hello"),
        "The name of the service.", required: true)
    static let image = Key(
        "image", ImageKeys.form, "What goes into the image, and how it starts.", required: true)
    static let run = Key("run", RunKeys.form, "How instances run.", required: true)
    static let rollout = Key("rollout", RolloutKeys.form, "How one release takes the place of another.")
    static let listen = Key(
        "listen", ListenKeys.form, "Where the service is reached; leave it out for one that nobody calls.")
    static let trafficProtocol = Key(
        "protocol", Form<Listener.TrafficProtocol>.choice(example: "tcp"),
        "What is spoken at `listen`: tcp for what is not HTTP.", fallback: .text("http"))
    static let policy = Key(
        "policy", PolicyKeys.form,
        "What the image must prove before it may start; a host may ask for more, and never for less.")

    static let drift = Key(
        "drift", DriftKeys.form, "What is done about instances that are not what was launched any more.",
        fallback: .text("replace"))

    static let all: [any AnyKey] =
        [kiln, service, image, run, rollout, listen, trafficProtocol, policy, drift] + RepaveKeys.all

    static func read(_ root: SpecNode, _ problems: inout Problems) -> Spec? {
        // What another version means by its keys is unknown: one problem instead of many wrong ones.
        if case .mapping(let pairs) = root.content, let version = pairs.first(where: { $0.key == kiln.name }),
            case .scalar(let text, isQuoted: false) = version.value.content, let number = Int(text),
            number > SpecFile.version
        {
            problems.add(
                "kiln is \(number); this program reads version \(SpecFile.version)", line: version.line,
                suggestion: "write kiln: \(SpecFile.version), or use a newer program")
            return nil
        }
        let label = Label(text: "the spec", key: nil)
        guard
            let section = Section(
                root, label, keys: all, example: "kiln: 1, and below it service, image and run",
                problems: &problems)
        else { return nil }
        _ = section.value(kiln, &problems)
        let service = section.value(service, &problems)
        let image = section.value(image, &problems)
        let run = section.value(run, &problems)
        let rollout = section.value(rollout, &problems) ?? RolloutKeys.Draft()
        let listener = listener(section, &problems)
        let policy = section.value(policy, &problems)
        let drift = section.value(drift, &problems)
        let repave = RepaveKeys.read(section, &problems)
        if let image, let run { addHidden(image.files, by: run.scratch, &problems) }
        guard let service, let image, let run else { return nil }
        var settings = run.settings
        if run.health == nil, !section.has(listen) || listener?.trafficProtocol == .tcp {
            settings.health = HealthCheck(.tcp)
        } else if run.health == nil {
            settings.health = HealthCheck(.http(path: "/"))
        }
        addUnreachable(rollout, settings.health, line: run.healthLine, &problems)
        return Spec(
            service: service, image: image.recipe, run: settings, rollout: rollout.settings, listen: listener,
            policy: policy, drift: drift, repave: repave)
    }

    private static func listener(_ section: Section, _ problems: inout Problems) -> Listener? {
        let draft = section.value(listen, &problems)
        let beside = section.value(trafficProtocol, &problems)
        if section.has(trafficProtocol), !section.has(listen) {
            problems.add(
                "protocol is given, but no address to listen on", line: section.line(of: trafficProtocol),
                suggestion: "add listen: 127.0.0.1:8000, or remove protocol")
        }
        if section.has(trafficProtocol), draft?.trafficProtocol != nil {
            problems.add(
                "protocol is given twice, also inside listen", line: section.line(of: trafficProtocol),
                suggestion: "keep one of the two")
        }
        return draft.map {
            Listener(address: $0.address, trafficProtocol: $0.trafficProtocol ?? beside ?? .http)
        }
    }

    /// A scratch mount begins with the image's folders but none of its files.
    private static func addHidden(
        _ files: [Located<FileRule>], by mounts: [Located<ScratchMount>], _ problems: inout Problems
    ) {
        for mount in mounts {
            for file in files where SpecPath.contains(mount.value.path, file.value.to) {
                problems.add(
                    "scratch \(quoted(mount.value.path)) would hide \(quoted(file.value.to)) of "
                        + problems.mention(file.line, at: mount.line),
                    line: mount.line,
                    suggestion: "put the file elsewhere, or name another folder as scratch")
            }
        }
    }

    /// Fewer probes fit into the deadline than a new instance needs to pass.
    private static func addUnreachable(
        _ rollout: RolloutKeys.Draft, _ health: HealthCheck, line: Int, _ problems: inout Problems
    ) {
        let needed = health.interval * (health.healthyAfter - 1)
        guard needed >= rollout.settings.deadline else { return }
        problems.add(
            "\(health.healthyAfter) probes \(health.interval) apart take \(needed); "
                + "deadline is \(rollout.settings.deadline)",
            line: rollout.deadlineLine ?? line,
            suggestion: "raise rollout.deadline above \(needed), or probe more often")
    }
}
