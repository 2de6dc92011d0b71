internal import Glibc
package import Model
internal import Threads

extension HostPlatform {
    private enum Limit {
        /// Rounds of killing what is in a stranger's control group, with a pause in microseconds between them.
        static let clearings = 100
        static let pause: UInt32 = 10_000
        /// Characters of a stranger's name in the name of a file.
        static let name = 100
    }

    package func hostDrifts() async throws -> [Drift] {
        try await Blocking.run { [self] in strangers() + (try network.drifts()) }
    }

    @discardableResult
    package func setRight(_ drift: Drift) async throws -> KeptEvidence? {
        switch drift.kind {
        case .stranger:
            return try await Blocking.run { [self] in
                guard strangers().contains(where: { $0.subject == drift.subject }) else { return nil }
                // That none can be written does not let it live.
                let kept = try? evidence(ofStranger: drift.subject).write(about: [drift])
                try removeStranger(drift.subject)
                return kept
            }
        case .host where drift.isPutBack:
            let numbers = Set(
                Files.names(in: root.instances).compactMap { try? InstanceID($0) }.compactMap {
                    known($0)?.0.record.number
                })
            try await Blocking.run { [network] in try network.repair(inUse: numbers) }
            return nil
        default:
            throw Failure(
                .notPermitted, "\(drift.subject) is not Kiln's to put back", at: drift.subject,
                suggestion: drift.expected.map { "set it to \($0)" })
        }
    }

    package func restoreLimits(of id: InstanceID) async throws {
        guard let baseline = sentinel.baseline(of: id) else {
            throw Failure(.notFound, "nothing is known of the limits of \(id)", at: id.text)
        }
        try await Blocking.run { [drifts] in
            try baseline.limits.restore()
            drifts.clear(.limits, of: id)
        }
    }

    // MARK: Strangers

    /// Containers in the runtime's state, and control groups below our own, that no folder of an instance owns. The
    /// folder is made before them and removed after them, so there is never a moment in which one of ours has none.
    private func strangers() -> [Drift] {
        let containers = Files.names(in: root.runtimeState)
        let groups = Set(
            runtime.groups.folders(of: root.cgroup).flatMap { folder in
                Files.names(in: folder).filter { Files.exists("\(folder)/\($0)/cgroup.procs") }
            })
        let names = Set(containers).union(groups).subtracting(["probe-\(root.tag)"])
        return names.sorted().filter { name in
            guard !Files.exists("\(root.instances)/\(name)"), !isSession(name) else { return false }
            // Removed as a whole between the two looks: no stranger, but one of ours that is gone.
            return Files.exists("\(root.runtimeState)/\(name)")
                || !runtime.groups.folders(of: runtime.group(of: name)).isEmpty
        }.map { name in
            let what = containers.contains(name) ? "container" : "control group"
            return .cut(
                .stranger, name, "there is a \(what) \(name) that Kiln did not make", expected: "none",
                found: what,
                source: .poll)
        }
    }

    /// Whether it is the control group of a person's session, which has a folder for as long.
    private func isSession(_ name: String) -> Bool {
        name.hasPrefix(HostRoot.sessionPrefix)
            && Files.exists("\(root.sessionFolders)/\(name.dropFirst(HostRoot.sessionPrefix.count))")
    }

    private func evidence(ofStranger name: String) -> Evidence {
        let members = runtime.groups.processes(in: runtime.group(of: name))
        return Evidence(
            root: root, name: "stranger-\(name.prefix(Limit.name))", of: ["stranger": .string(name)],
            first: members.min().flatMap { LiveProcess($0) }, group: members)
    }

    private func removeStranger(_ name: String) throws {
        // What the runtime knows of it may be in another control group than ours.
        if Files.exists("\(root.runtimeState)/\(name)") {
            _ = try? ProcessRunner().runNow(
                runtime.command(["delete", "--force", name]), mounts: runtime.mounts,
                limit: HostPlatform.deletion)
        }
        for _ in 0..<Limit.clearings where !runtime.groups.clear(runtime.group(of: name)) {
            usleep(Limit.pause)
        }
        try Files.removeTree("\(root.runtimeState)/\(name)")
        guard runtime.groups.folders(of: runtime.group(of: name)).isEmpty else {
            throw Failure(.timedOut, "processes of \(name) cannot be ended", at: name)
        }
    }

    private static let deletion = Span.seconds(10)
}
