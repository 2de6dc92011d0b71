internal import Glibc
package import Model

extension HostPlatform {
    package func confinement(of id: InstanceID) async throws -> Confinement {
        guard let (known, _) = known(id) else {
            throw Failure(
                .notFound, "there is no instance \(id)", at: id.text, suggestion: "`kiln status` lists them")
        }
        guard let process = known.running?.process, known.running?.isRunning == true,
            let seen = ConfinedProcess(process.pid)
        else {
            throw Failure(
                .conflict, "the instance does not run, so nothing confines it", at: id.text,
                suggestion: "`kiln status` shows its phase")
        }
        let record = known.record
        let found = Confinement(
            instance: id, release: record.release, image: record.image, processID: Int(process.pid),
            runtime: runtime.program, user: seen.user, group: seen.group, users: seen.users,
            namespaces: seen.namespaces, capabilities: seen.capabilities,
            hasNoNewPrivileges: seen.number("NoNewPrivs") == 1,
            filtersSystemCalls: seen.number("Seccomp") == 2, mounts: seen.mounts,
            limits: limits(of: id, seen), allowed: record.allow,
            lacks: lacks(seen, allowed: record.allow))
        // The number may have become another process's meanwhile.
        guard process.isAlive else {
            throw Failure(.conflict, "the instance ended while it was looked at", at: id.text)
        }
        return found
    }

    private func limits(of id: InstanceID, _ seen: ConfinedProcess) -> Confinement.Limits {
        let group = runtime.group(of: id.text)
        let bounds = runtime.groups.bounds(of: group)
        return Confinement.Limits(
            memory: bounds.memory, memoryAndSwap: bounds.memoryAndSwap, milliCPU: bounds.milliCPU,
            pids: bounds.pids, openFiles: seen.limit("Max open files"),
            coreFile: seen.limit("Max core file size"))
    }

    private func lacks(_ seen: ConfinedProcess, allowed: [Allowance]) -> [String] {
        var lacks: [String] = []
        if seen.users.isEmpty {
            let reason =
                allowed.needsHostUsers
                ? "asked for by `allow`" : runtime.lacksUserNamespaces ?? "it was launched without"
            lacks.append("no user namespace: \(reason)")
        }
        if !runtime.groups.limitsSwap { lacks.append("no limit of swap: this kernel counts none") }
        if !Files.exists("/proc/sys/vm/memfd_noexec") {
            lacks.append("programs in memory can be run: kernels before 6.3 cannot forbid it")
        }
        return lacks
    }
}

/// What /proc tells of the first process of an instance (proc(5)).
struct ConfinedProcess {
    private let folder: String
    private let status: [Substring: Substring]

    init?(_ pid: Int32) {
        folder = "/proc/\(pid)"
        guard let text = Files.text(folder + "/status", limit: 65_536) else { return nil }
        status = Dictionary(
            text.split(separator: "\n").compactMap { line in
                line.firstIndex(of: ":").map { (line[..<$0], line[line.index(after: $0)...]) }
            }, uniquingKeysWith: { first, _ in first })
    }

    func number(_ field: Substring) -> Int? {
        status[field]?.split(whereSeparator: \.isWhitespace).first.flatMap { Int($0) }
    }

    var user: Int { number("Uid") ?? -1 }
    var group: Int { number("Gid") ?? -1 }

    /// Empty where the users are the host's.
    var users: [Confinement.UserMapping] {
        guard isOwn("user") else { return [] }
        return (Files.text(folder + "/uid_map", limit: 65_536) ?? "").split(separator: "\n").compactMap {
            line in
            let numbers = line.split(whereSeparator: \.isWhitespace).compactMap { Int($0) }
            guard numbers.count == 3 else { return nil }
            return Confinement.UserMapping(inside: numbers[0], outside: numbers[1], count: numbers[2])
        }
    }

    private static let kinds = ["user", "pid", "mnt", "net", "ipc", "uts", "cgroup", "time"]

    var namespaces: [Confinement.Namespace] {
        ConfinedProcess.kinds.filter { Files.exists("\(folder)/ns/\($0)") }.map {
            Confinement.Namespace(kind: $0, isOwn: isOwn($0))
        }
    }

    private func isOwn(_ kind: String) -> Bool {
        var (own, host) = (stat(), stat())
        return stat("\(folder)/ns/\(kind)", &own) == 0 && stat("/proc/self/ns/\(kind)", &host) == 0
            && own.st_ino != host.st_ino
    }

    /// man 7 capabilities, by bit.
    private static let names = """
        CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE
        NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT
        SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP
        MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE
        """.split(whereSeparator: \.isWhitespace).map { "CAP_" + $0 }

    var capabilities: [String] {
        let set = status["CapBnd"].flatMap { UInt64($0.filter(\.isHexDigit), radix: 16) } ?? 0
        return (0..<64).filter { set >> UInt64($0) & 1 == 1 }.map {
            $0 < ConfinedProcess.names.count ? ConfinedProcess.names[$0] : "bit \($0)"
        }
    }

    var mounts: [Confinement.Mount] {
        (Files.text(folder + "/mounts", limit: 1 << 20) ?? "").split(separator: "\n").compactMap { line in
            let fields = line.split(separator: " ")
            guard fields.count > 3 else { return nil }
            return Confinement.Mount(
                path: String(fields[1]), type: String(fields[2]),
                options: fields[3].split(separator: ",").map(String.init))
        }
    }

    /// The soft limit of a row of /proc/PID/limits; nil: unlimited.
    func limit(_ row: String) -> Int? {
        (Files.text(folder + "/limits", limit: 16_384) ?? "").split(separator: "\n")
            .first { $0.hasPrefix(row) }
            .flatMap { $0.dropFirst(row.count).split(whereSeparator: \.isWhitespace).first }
            .flatMap { Int($0) }
    }
}

extension ControlGroups {
    /// What a group's files say now; nil: no bound.
    func bounds(
        of group: String
    ) -> (memory: Int?, memoryAndSwap: Int?, milliCPU: Int?, pids: Int?) {
        func number(_ name: String) -> Int? {
            folders(of: group).lazy.compactMap { Files.text("\($0)/\(name)", limit: 256) }.first.flatMap {
                $0.split(whereSeparator: \.isWhitespace).first.flatMap { Int($0) }
            }
        }
        let memory = number("memory.limit_in_bytes") ?? number("memory.max")
        let both =
            number("memory.memsw.limit_in_bytes")
            ?? number("memory.swap.max").flatMap { swap in memory.map { $0 + swap } }
        var share = number("cpu.cfs_quota_us").flatMap { quota in
            number("cpu.cfs_period_us").map { quota * 1000 / max(1, $0) }
        }
        if share == nil, let text = folders(of: group).lazy.compactMap({ Files.text($0 + "/cpu.max") }).first
        {
            let numbers = text.split(whereSeparator: \.isWhitespace).compactMap { Int($0) }
            share = numbers.count == 2 ? numbers[0] * 1000 / max(1, numbers[1]) : nil
        }
        return (memory, both, share, number("pids.max"))
    }
}
