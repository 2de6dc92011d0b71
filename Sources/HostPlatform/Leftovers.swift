internal import Glibc
internal import Model

/// Everything of an instance outside its folder, whatever a crash left: processes, cgroups, the runtime's state.
struct Leftovers {
    let runtime: ContainerRuntime
    let id: InstanceID
    let folder: InstanceFolder

    private static let attempts = 500
    private static let pause: UInt32 = 10_000

    /// Removes it all with the kernel's own means: the runtime may know nothing of a container that it was making.
    /// `isHalfMade`: processes may be under way that no record names.
    func remove(isHalfMade: Bool) throws {
        let group = runtime.group(of: id.text)
        var killed: Set<Int32> = []
        // Orphans that we adopted would stay as zombies.
        defer { for pid in killed { waitpid(pid, nil, WNOHANG) } }
        for attempt in 0..<Leftovers.attempts {
            // The makers first: one that still runs would make more.
            let makers = isHalfMade || attempt > 0 ? killMakers() : 0
            killed.formUnion(runtime.groups.processes(in: group))
            if runtime.groups.clear(group), makers == 0 { break }
            guard attempt + 1 < Leftovers.attempts else {
                throw Failure(
                    .timedOut, "processes of \(id) cannot be ended",
                    at: runtime.groups.folders(of: group).first)
            }
            usleep(Leftovers.pause)
        }
        try Files.removeTree("\(runtime.root.runtimeState)/\(id)")
        try Files.removeTree(folder.bundle)
        let attach = "\(runtime.root.attachFolder)/\(id)"
        if unlink(attach) != 0 { try Files.removeTree(attach) }
    }

    /// Kills monitors and runtimes that work for this instance; returns how many there were. They are processes of the
    /// host as we are: what an instance's own write into their arguments is nobody's business.
    private func killMakers() -> Int {
        let state = runtime.root.runtimeState
        let here = ProcessView(getpid())?.namespaces.inodes[0]
        let makers = LiveProcess.all().filter { process in
            process.pid != getpid() && ProcessView(process.pid)?.namespaces.inodes[0] == here
                && (process.arguments.contains(folder.bundle)
                    || (process.arguments.contains(id.text)
                        && process.arguments.contains { $0 == state || $0.hasSuffix("=" + state) }))
        }
        for maker in makers {
            kill(maker.pid, SIGKILL)
            // Adopted by us, it would stay as a zombie; while it still ends, the next round meets it again.
            waitpid(maker.pid, nil, WNOHANG)
        }
        return makers.count
    }
}
