internal import Glibc
package import Model
internal import Synchronization
internal import Threads

extension HostPlatform {
    package func remove(_ id: InstanceID, grace: Span) async throws {
        try await turns.locked(id) { try await removeInTurn(id, grace: grace) }
    }

    func removeInTurn(_ id: InstanceID, grace: Span) async throws {
        let folder = root.instance(id)
        guard Files.exists(folder.path) else { return }
        let known = known(id)?.0
        sentinel.forget(id)
        if let running = known?.running, running.boot == Boot.id {
            await end(running, grace: grace)
        }
        watch.forget(id.text)
        try await Blocking.run { [self] in
            try Leftovers(runtime: runtime, id: id, folder: folder).remove(isHalfMade: known?.running == nil)
            if let record = known?.record { try network.disconnect(record.number) }
            try Files.removeTree(folder.path)
        }
        if let record = known?.record { network.free(record.number) }
        drifts.forget(id)
        state.withLock {
            $0.known[id] = nil
            $0.namespaces[id] = nil
        }
        trimLogs()
    }

    /// Asks, waits, kills; then lets the monitor write its last entry.
    private func end(_ running: RunningRecord, grace: Span) async {
        if running.process.isAlive, running.process.hears(SIGTERM) {
            running.process.signal(SIGTERM)
            _ = await watch.end(of: running.process, limit: grace)
        }
        running.process.signal(SIGKILL)
        _ = await watch.end(of: running.process, limit: Limit.kill)
        guard let monitor = running.monitor else { return }
        if await !watch.end(of: monitor, limit: Limit.monitorFarewell) {
            monitor.signal(SIGKILL)
            _ = await watch.end(of: monitor, limit: Limit.kill)
        }
    }

    /// Keeps the newest logs of instances that are gone.
    private func trimLogs() {
        let present = Set(Files.names(in: root.instances))
        let old = Files.names(in: root.logs).filter { !present.contains(String($0.dropLast(4))) }
        guard old.count > Limit.oldLogs else { return }
        let dated = old.map { name -> (Int, String) in
            var info = stat()
            _ = lstat("\(root.logs)/\(name)", &info)
            return (info.st_mtim.tv_sec, name)
        }
        for (_, name) in dated.sorted(by: <).prefix(old.count - Limit.oldLogs) {
            unlink("\(root.logs)/\(name)")
        }
    }
}
