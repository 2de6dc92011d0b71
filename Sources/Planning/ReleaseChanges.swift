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
            "rollout.strategy": content.rollout.strategy.rawValue,
            "rollout.drain": "\(content.rollout.drain)",
            "rollout.watch": "\(content.rollout.watch)",
            "rollout.deadline": "\(content.rollout.deadline)",
            "rollout.keep-standby": "\(content.rollout.keepStandby)",
        ]
        if let listen = content.listen {
            fields["listen"] = "\(listen.address) \(listen.trafficProtocol.rawValue)"
        }
        for (name, value) in run.config { fields["run.config.\(name)"] = value }
        return fields.filter { !$0.value.isEmpty }
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
}
