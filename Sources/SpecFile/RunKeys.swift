import Model

/// `run:` — how instances run.
enum RunKeys {
    static let replicas = Key(
        "replicas",
        Form<Int>.integer(Bounds.replicas, example: "3", below: "use `kiln retire` to stop a service"),
        "How many instances serve; with autoscale, how many to begin with. Without it 1, or the least that autoscale keeps."
    )
    static let port = Key(
        "port", Form<Int>.integer(Bounds.port, example: "8080"),
        "The port inside an instance that requests and probes go to.", required: true)
    static let health = Key(
        "health", HealthKeys.form,
        "How an instance proves that it can serve. Without it: GET / for HTTP, and otherwise a TCP "
            + "connection."
    )
    static let scratch = Key(
        "scratch", ScratchKeys.form.located.list(0...Bounds.scratchMounts, example: "[/run, /tmp]"),
        "Folders that an instance may write to: in memory, empty at launch but for the image's folders, "
            + "gone with "
            + "the instance, and nothing in them can be executed. All else is read-only.")
    static let limits = Key("limits", LimitKeys.form, "What each instance may use at most.")
    static let config = Key(
        "config", Form<[String: String]>.variables(example: "{GREETING: hello}"),
        "Environment variables of this release; they win over those of the image.")
    static let stopGrace = Key(
        "stop-grace", Form<Span>.span(Bounds.stopGrace, example: "10s"),
        "How long a stopped instance may take after SIGTERM before it is killed.", fallback: .text("10s"))

    static let autoscale = Key(
        "autoscale", AutoscaleKeys.form,
        "Keeps the number of instances where the load is. Without it the number changes only by a deploy or by "
            + "`kiln scale`.")

    static let allow = Key(
        "allow",
        ConfinementKeys.form.located.list(1...Bounds.allowances, example: "[\(ConfinementKeys.example)]"),
        "What instances may do beyond what every instance may, each thing with a reason; a plan shows it.")

    static let all: [any AnyKey] = [
        replicas, port, health, scratch, limits, config, stopGrace, autoscale, allow,
    ]

    /// Settings whose health check still depends on the protocol, and the lines that other checks need.
    struct Draft: Sendable {
        var settings: RunSettings
        var health: HealthCheck?
        var healthLine: Int
        var scratch: [Located<ScratchMount>]
    }

    static let form = Form<Draft>.section(all, example: "{port: 8080}") { section, problems in
        let replicas = section.value(replicas, &problems)
        let port = section.value(port, &problems)
        let health = section.value(health, &problems)
        let scratch = section.value(scratch, &problems) ?? []
        ScratchKeys.addOverlaps(scratch, &problems)
        let limits = section.value(limits, &problems)
        let config = section.value(config, &problems)
        let stopGrace = section.value(stopGrace, &problems)
        let autoscale = section.value(autoscale, &problems)
        let allow = section.value(allow, &problems) ?? []
        ConfinementKeys.addRepeated(allow, &problems)
        if let replicas, let autoscale, !(autoscale.min...autoscale.max).contains(replicas) {
            problems.add(
                "replicas is \(replicas); autoscale keeps \(autoscale.min)…\(autoscale.max)",
                line: section.line(of: RunKeys.replicas),
                suggestion: "write replicas: \(autoscale.min), or leave it out")
        }
        guard let port else { return nil }
        let settings = RunSettings(
            replicas: replicas ?? autoscale?.min ?? 1, port: port, health: health ?? HealthCheck(.tcp),
            scratch: scratch.map(\.value),
            limits: limits ?? Limits(), config: config ?? [:], stopGrace: stopGrace ?? .seconds(10),
            autoscale: autoscale, allow: allow.map(\.value))
        return Draft(
            settings: settings, health: health, healthLine: section.line(of: RunKeys.health), scratch: scratch
        )
    }
}

/// `run.limits`.
enum LimitKeys {
    static let memory = Key(
        "memory", Form<ByteCount>.size(Bounds.memory, example: "64M"),
        "Memory; an instance that needs more is killed and replaced.", fallback: .text("512M"))
    static let cpu = Key(
        "cpu", Form<Int>.milliCores(Bounds.milliCPU, example: "0.5"), "Cores; 0.5 is half a core.",
        fallback: .integer(1))
    static let pids = Key(
        "pids", Form<Int>.integer(Bounds.pids, example: "64"), "Processes and threads.",
        fallback: .integer(256))

    static let all: [any AnyKey] = [memory, cpu, pids]

    static let form = Form<Limits>.section(all, example: "{memory: 64M, cpu: 0.5, pids: 64}") {
        section, problems in
        var limits = Limits()
        if let memory = section.value(memory, &problems) { limits.memory = memory }
        if let cpu = section.value(cpu, &problems) { limits.milliCPU = cpu }
        if let pids = section.value(pids, &problems) { limits.pids = pids }
        return limits
    }
}

/// An entry of `run.scratch`: a path, or a path and a size.
enum ScratchKeys {
    static let path = Key("path", Form<String>.absolutePath(example: "/run"), "The folder.", required: true)
    static let size = Key(
        "size", Form<ByteCount>.size(Bounds.scratch, example: "16M"), "How much it can hold.",
        fallback: .text("16M"))

    static let all: [any AnyKey] = [path, size]

    /// Folders of the kernel's own in every instance.
    private static let reserved = ["/proc", "/sys", "/dev"]

    static let form: Form<ScratchMount> = {
        let settings = Form<ScratchMount>.section(all, example: "{path: /run, size: 16M}") {
            section, problems in
            let path = section.value(path, &problems)
            let size = section.value(size, &problems)
            guard let path else { return nil }
            return size.map { ScratchMount(path: path, size: $0) } ?? ScratchMount(path: path)
        }
        let schema: JSON = .object(["oneOf": .list([path.form.schema, settings.schema])])
        return Form(schema: schema, example: "/run") { node, label, problems in
            if case .mapping = node.content { return settings.read(node, label, &problems) }
            return path.form.read(node, label, &problems).map { ScratchMount(path: $0) }
        }.map { mount, line, _, problems in
            if mount.path == "/" {
                problems.add(
                    "scratch cannot be /: the root is read-only", line: line,
                    suggestion: "name the folders that are written to, such as /run and /tmp")
                return nil
            }
            if let folder = reserved.first(where: { SpecPath.contains($0, mount.path) }) {
                problems.add(
                    "scratch cannot be \(quoted(mount.path)): \(folder) is the system's own", line: line,
                    suggestion: "remove it; an instance has \(folder) already")
                return nil
            }
            return mount
        }
    }()

    /// Problems of mounts that are the same or inside each other: one would hide the other.
    static func addOverlaps(_ mounts: [Located<ScratchMount>], _ problems: inout Problems) {
        for (index, mount) in mounts.enumerated() {
            for earlier in mounts[..<index] {
                let (path, other) = (mount.value.path, earlier.value.path)
                if path == other {
                    problems.add(
                        "scratch has \(quoted(path)) twice, first on line \(earlier.line)", line: mount.line,
                        suggestion: "keep one of the two")
                } else if SpecPath.contains(other, path) || SpecPath.contains(path, other) {
                    let outer = SpecPath.contains(other, path) ? other : path
                    problems.add(
                        "scratch \(quoted(path)) and \(quoted(other)) are inside each other",
                        line: mount.line,
                        suggestion: "keep \(outer): it covers both")
                }
            }
        }
    }
}
