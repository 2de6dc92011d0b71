package import Model

extension ReleaseChange {
    /// What changes in behaviour from `old` (nil: nothing runs yet) to `new`.
    package static func list(from old: Release.Content?, to new: Release.Content) -> [ReleaseChange] {
        let oldFields = old.map(fields) ?? [:]
        let newFields = fields(new)
        return Set(oldFields.keys).union(newFields.keys).sorted()
            .filter { oldFields[$0] != newFields[$0] }
            .map { ReleaseChange(field: $0, old: oldFields[$0], new: newFields[$0]) }
    }

    private static func fields(_ content: Release.Content) -> [String: String] {
        let run = content.run
        var fields = [
            "image": "sha256:\(content.image.short)",
            "run.replicas": "\(run.replicas)",
            "run.port": "\(run.port)",
            "run.health": text(run.health),
            "run.limits":
                "memory \(run.limits.memory), cpu \(Double(run.limits.milliCPU) / 1000), pids \(run.limits.pids)",
            "run.scratch": run.scratch.map { "\($0.path) (\($0.size))" }.joined(separator: ", "),
            "run.stop-grace": "\(run.stopGrace)",
            "run.autoscale": run.autoscale.map(text) ?? "",
            "rollout.strategy": text(content.rollout.strategy),
            "rollout.before-switch": text(content.rollout.beforeSwitch),
            "rollout.after-switch": text(content.rollout.afterSwitch),
            "rollout.analysis": text(content.rollout.analysis),
            "rollout.rollback-window": "\(content.rollout.rollbackWindow)",
            "rollout.drain": "\(content.rollout.drain)",
            "rollout.watch": "\(content.rollout.watch)",
            "rollout.deadline": "\(content.rollout.deadline)",
            "rollout.keep-standby": "\(content.rollout.keepStandby)",
        ]
        if let listen = content.listen {
            fields["listen"] = "\(listen.address) \(listen.trafficProtocol.rawValue)"
        }
        if let policy = content.policy { fields.merge(PolicyWords.fields(policy)) { $1 } }
        if let drift = content.drift {
            fields["drift"] =
                ([drift.mode.rawValue]
                + drift.exceptions.map {
                    "\($0.kind.rawValue): \($0.mode.rawValue) until \($0.until) (\($0.reason))"
                }).joined(separator: ", ")
        }
        if let repave = content.repave { fields.merge(text(repave)) { $1 } }
        for allowance in run.allow { fields["run.allow.\(allowance.name)"] = allowance.reason }
        for (name, value) in run.config { fields["run.config.\(name)"] = value }
        return fields.filter { !$0.value.isEmpty }
    }

    private static func text(_ repave: RepaveSettings) -> [String: String] {
        func time(_ minutes: Int) -> String {
            "\(minutes / 600)\(minutes / 60 % 10):\(minutes % 60 / 10)\(minutes % 10)"
        }
        return [
            "max-age": repave.maxAge.map { "\($0)" } ?? "",
            "maintenance": repave.maintenance.map {
                ($0.days.map(\.rawValue) + ["\(time($0.from))–\(time($0.to))"]).joined(separator: " ")
            }.joined(separator: ", "),
            "freeze": repave.freezes.map { "\($0.from) to \($0.until) (\($0.reason))" }.joined(
                separator: ", "),
        ]
    }

    private static func text(_ check: HealthCheck) -> String {
        let what =
            switch check.kind {
            case .http(let path): "GET \(path)"
            case .tcp: "tcp"
            case .command(let command): command.joined(separator: " ")
            }
        return "\(what) every \(check.interval), timeout \(check.timeout), "
            + "up after \(check.healthyAfter), down after \(check.unhealthyAfter)"
    }

    private static func text(_ strategy: RolloutSettings.Strategy) -> String {
        switch strategy {
        case .blueGreen, .recreate: return strategy.name
        case .rolling(let rolling):
            return
                "rolling, batch \(rolling.batch), surge \(rolling.surge), min-healthy \(rolling.minHealthy), "
                + "min-ready \(rolling.minReady)"
        case .canary(let steps): return "canary: " + steps.map(text).joined(separator: ", ")
        }
    }

    private static func text(_ step: CanaryStep) -> String {
        switch step {
        case .weight(let share, let instances):
            "weight \(share)" + (instances.map { " on \($0)" } ?? "")
        case .analyze(let span): "analyze \(span)"
        case .pause(let span): span.map { "pause \($0)" } ?? "pause"
        case .match(let match): "match \(match.header)" + (match.value.map { " = \($0)" } ?? "")
        case .gate(let gate): text([gate])
        }
    }

    private static func text(_ gates: [Gate]) -> String {
        gates.map { "\($0.name) (\(text($0.kind)), \($0.timeout), otherwise \($0.otherwise.rawValue))" }
            .joined(separator: ", ")
    }

    private static func text(_ kind: Gate.Kind) -> String {
        switch kind {
        case .health(let span): "health \(span)"
        case .http(let path, let status, let body):
            "GET \(path) \(status)" + (body.map { " with \($0)" } ?? "")
        case .command(let command): command.joined(separator: " ")
        case .approval(let approvers): "approval" + (approvers.map { " by \($0)" } ?? "")
        case .analysis(let span): "analysis \(span)"
        case .webhook(let url): "POST \(url)"
        case .query(let query): text(query)
        case .visits(let path, let count): "GET \(path) \(count) times"
        }
    }

    private static func text(_ query: MetricQuery) -> String {
        let bounds = [
            query.least.map { "at least \(Double($0) / 1000)" },
            query.most.map { "at most \(Double($0) / 1000)" },
        ]
        return ([query.query, "at", query.server] + bounds.compactMap { $0 }).joined(separator: " ")
    }

    private static func text(_ analysis: AnalysisSettings) -> String {
        let numbers =
            "false alarms \(Double(analysis.falseAlarms) / 100)%, at least \(analysis.minRequests) requests, "
            + "errors +\(Double(analysis.errorTolerance) / 100)%, slowdown \(analysis.slowdownTolerance)%"
        return
            ([numbers, analysis.hasBaseline ? "with a baseline" : "without a baseline"]
            + analysis.queries.map(text)
            + (analysis.probes.map { ["at least \($0.rate) requests a second, of \($0.path)"] } ?? []))
            .joined(separator: ", ")
    }

    private static func text(_ autoscale: Autoscale) -> String {
        let target =
            switch autoscale.target {
            case .requestsPerSecond(let count): "\(count) requests a second"
            case .cpu(let percent): "\(percent)% of the CPU limit"
            case .concurrency(let count): "\(counted(count, "request")) at a time"
            }
        return "\(autoscale.min) to \(autoscale.max) instances, \(target) each"
    }
}
