internal import Glibc
package import Model
internal import Threads

extension HostPlatform {
    package func execute(_ command: [String], in id: InstanceID, timeout: Span) async throws -> Int {
        guard Files.exists(root.instance(id).path) else {
            throw Failure(.notFound, "there is no instance \(id)", at: id.text)
        }
        let process = "\(root.temporary)/exec-\(id)-\(HostPlatform.executions.next()).json"
        try Files.replace(
            process, with: RuntimeBundle.process(command, folder: root.instance(id).bundle), durably: false,
            mode: 0o600)
        defer { unlink(process) }
        do {
            let result = try await ProcessRunner().run(
                execution(["exec", "--process", process, id.text], in: id), mounts: runtime.mounts,
                limit: timeout)
            return result.status
        } catch let failure as Failure where failure.code == .timedOut {
            try await Blocking.run { [self] in endOrphans(of: id) }
            throw Failure(
                .timedOut, "\(command.joined(separator: " ")) took longer than \(timeout)", at: id.text)
        }
    }

    /// A call of the runtime that works inside an instance. Whatever begins a process there has to be called like this:
    /// what does not carry the instance's mark is drift.
    func execution(_ arguments: [String], in id: InstanceID) -> Command {
        var command = runtime.command(arguments)
        if let mark = known(id)?.0.record.mark { command.environment[Lineage.variable] = mark }
        return command
    }

    /// Ends what a killed `exec` left inside. It became our child; unreaped, it would keep the instance's whole
    /// process namespace from ending.
    private func endOrphans(of id: InstanceID) {
        for _ in 0..<HostPlatform.orphanRounds {
            let orphans = runtime.groups.processes(in: runtime.group(of: id.text)).filter {
                LiveProcess.parent(of: $0) == getpid()
            }
            if orphans.isEmpty { return }
            for pid in orphans {
                kill(pid, SIGKILL)
                waitpid(pid, nil, 0)
            }
        }
    }

    /// One orphan's end may make orphans of its children.
    private static let orphanRounds = 20
    private static let executions = Counter()
}
