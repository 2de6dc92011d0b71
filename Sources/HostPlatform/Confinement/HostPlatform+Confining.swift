internal import CLinux
internal import Glibc
internal import Model
internal import Ports
internal import Threads

extension HostPlatform {
    /// The users of an instance that is being launched, with its image mounted for them; nil: those of the host.
    func ownUsers(
        of order: LaunchOrder, _ record: InstanceRecord, _ image: String, _ folder: InstanceFolder,
        _ mounts: PrivateMounts
    ) throws -> UserRange? {
        guard runtime.lacksUserNamespaces == nil, !order.release.content.run.allow.needsHostUsers,
            let address = IPv4(record.address)
        else { return nil }
        let users = UserRange(address)
        let target = RuntimeBundle.ownRoot(folder.bundle)
        try Files.makeFolder(target)
        try users.mount(image, at: target, in: mounts)
        return users
    }

    /// What can only be done once the instance's namespaces exist, before its program begins.
    func confine(_ process: LiveProcess, _ folder: InstanceFolder, _ mounts: PrivateMounts) throws {
        let code = kiln_forbid_memory_programs(process.pid)
        // Kernels before 6.3 let every file in memory be executed.
        guard code == 0 || code == ENOENT else {
            throw SystemFailure.failure(code, "cannot forbid programs in memory")
        }
        // The instance has its own copy of the mount. Nobody waits for the kernel, which takes its time over this one;
        // what a crash leaves of it goes with the folder.
        Blocking.begin { _ = kiln_unmount(mounts.namespace.number, RuntimeBundle.ownRoot(folder.bundle)) }
    }
}
