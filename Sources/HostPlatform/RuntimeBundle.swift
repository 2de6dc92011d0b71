internal import Glibc
internal import Model

/// The OCI runtime configuration of one instance (runtime-spec 1.0): everything that is fixed at launch.
struct RuntimeBundle {
    var id: InstanceID
    var run: RunSettings
    var image: ImageConfig
    /// What its first process runs.
    var command: [String]
    /// The mounted tree of the image.
    var imageRoot: String
    /// Path of the instance's network namespace.
    var network: String
    var cgroup: String
    /// Where the files below are written.
    var folder: String
    var address: String
    /// Whether this kernel counts swap: the limit then holds for memory and swap together.
    var limitsSwap: Bool

    /// Writes `config.json` and what it mounts. Throws where the image has no place for a mount.
    func write() throws {
        try Files.makeFolder(folder)
        let tree = ImageTree(root: imageRoot)
        let user = try User(image.user)
        var mounts = try RuntimeBundle.systemMounts.map { mount in
            try requireFolder(mount.destination, in: tree, for: "every instance")
            return mount.json
        }
        mounts += RuntimeBundle.deviceMounts.map(\.json)
        mounts += try run.scratch.map { try scratchMount($0, in: tree, user: user) }
        mounts += try nameFiles(in: tree)
        let configuration: JSONText = [
            "ociVersion": "1.0.2",
            "process": .object([("args", .texts(command))] + process(user)),
            "root": ["path": .text(imageRoot), "readonly": true],
            "hostname": .text(String(id.text.prefix(64))),
            "mounts": .list(mounts),
            "linux": linux,
        ]
        try Files.replace(folder + "/config.json", with: configuration.encoded, durably: false, mode: 0o600)
        let others = JSONText.object(process(user)).encoded
        try Files.replace(RuntimeBundle.processFile(folder), with: others, durably: false, mode: 0o600)
    }

    /// All of a process but its arguments: other commands in the instance get no more rights than its own.
    private static func processFile(_ folder: String) -> String { folder + "/process.json" }

    /// The runtime-spec `process` of another command in the instance that a bundle belongs to.
    static func process(_ command: [String], folder: String) throws -> String {
        guard let others = Files.text(processFile(folder)) else {
            throw Failure(.notFound, "the instance has no bundle", at: folder)
        }
        return "{\"args\":\(JSONText.texts(command).encoded)," + others.dropFirst()
    }

    // MARK: The process

    /// `uid:gid`, both numbers.
    struct User {
        var uid: Int
        var gid: Int

        init(_ text: String) throws {
            let parts = text.split(separator: ":", omittingEmptySubsequences: false).map { Int($0) }
            guard parts.count == 2, let uid = parts[0], let gid = parts[1], uid >= 0, gid >= 0 else {
                throw Failure(.launchFailed, "the image's user \"\(text)\" is not uid:gid in numbers")
            }
            self.uid = uid
            self.gid = gid
        }
    }

    /// What root needs to open files, become another user and signal its children; nobody else needs any.
    private static let rootCapabilities = [
        "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_KILL", "CAP_NET_BIND_SERVICE", "CAP_SETGID", "CAP_SETUID",
    ]
    /// Files that an instance may have open; where we may have fewer, and may not raise that, as many as we.
    private static let openFiles: Int = {
        var own = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &own) == 0 else { return 1024 }
        return Int(min(65_536, own.rlim_max))
    }()

    private func process(_ user: User) -> [(String, JSONText)] {
        var environment = image.environment.merging(run.config) { _, release in release }
        environment["PATH"] =
            environment["PATH"] ?? "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        environment["HOSTNAME"] = environment["HOSTNAME"] ?? id.text
        let capabilities = JSONText.texts(user.uid == 0 ? RuntimeBundle.rootCapabilities : [])
        let files = JSONText.number(RuntimeBundle.openFiles)
        return [
            ("terminal", false),
            ("user", ["uid": .number(user.uid), "gid": .number(user.gid)]),
            ("env", .texts(environment.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" })),
            ("cwd", .text(image.workingDirectory.isEmpty ? "/" : image.workingDirectory)),
            (
                "capabilities",
                [
                    "bounding": capabilities, "effective": capabilities, "permitted": capabilities,
                    "inheritable": [], "ambient": [],
                ]
            ),
            ("noNewPrivileges", true),
            ("oomScoreAdj", 100),
            (
                "rlimits",
                [
                    ["type": "RLIMIT_CORE", "hard": 0, "soft": 0],
                    ["type": "RLIMIT_NOFILE", "hard": files, "soft": files],
                ]
            ),
        ]
    }

    // MARK: Mounts

    private struct SystemMount {
        var destination: String
        var type: String
        var options: [String]

        var json: JSONText {
            [
                "destination": .text(destination), "type": .text(type), "source": .text(type),
                "options": .texts(options),
            ]
        }
    }

    private static let systemMounts = [
        SystemMount(destination: "/proc", type: "proc", options: ["nosuid", "noexec", "nodev"]),
        SystemMount(
            destination: "/dev", type: "tmpfs",
            options: ["nosuid", "noexec", "strictatime", "mode=755", "size=64k"]),
        SystemMount(destination: "/sys", type: "sysfs", options: ["nosuid", "noexec", "nodev", "ro"]),
    ]

    /// Below /dev, so they need no place in the image.
    private static let deviceMounts = [
        SystemMount(
            destination: "/dev/pts", type: "devpts",
            options: ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]),
        SystemMount(
            destination: "/dev/shm", type: "tmpfs",
            options: ["nosuid", "noexec", "nodev", "mode=1777", "size=64m"]),
    ]

    private func requireFolder(_ path: String, in tree: ImageTree, for whom: String) throws {
        guard let entry = tree.entry(path), entry.isFolder else {
            throw Failure(
                .launchFailed, "the image has no folder \(path), which \(whom) needs as a mount point",
                at: path,
                suggestion: "add the folder \(path) to the image: the root of an instance is read-only")
        }
    }

    /// A tmpfs that begins with what the image has there, so that folders which a program expects exist with their
    /// owners and modes. Its top belongs to the image's user, who could not write there otherwise.
    private func scratchMount(_ scratch: ScratchMount, in tree: ImageTree, user: User) throws -> JSONText {
        try requireFolder(scratch.path, in: tree, for: "`scratch`")
        let entry = tree.entry(scratch.path)
        let isForAll = (entry?.mode ?? 0) & 0o1002 == 0o1002
        let owner = isForAll ? ["mode=1777"] : ["mode=0755", "uid=\(user.uid)", "gid=\(user.gid)"]
        let options =
            ["nosuid", "noexec", "nodev", "tmpcopyup", "size=\(scratch.size.bytes)"] + owner
        return [
            "destination": .text(entry?.path ?? scratch.path), "type": "tmpfs", "source": "tmpfs",
            "options": .texts(options),
        ]
    }

    /// /etc/hosts, /etc/hostname and /etc/resolv.conf, for images that have such files to mount them on.
    private func nameFiles(in tree: ImageTree) throws -> [JSONText] {
        let servers = (Files.text("/etc/resolv.conf", limit: 65_536) ?? "").split(separator: "\n").filter {
            // The host's own loopback is not the instance's.
            !$0.hasPrefix("nameserver 127.") && !$0.hasPrefix("nameserver ::1")
        }
        let contents = [
            "hosts": "127.0.0.1 localhost\n::1 localhost\n\(address) \(id)\n",
            "hostname": "\(id)\n",
            "resolv.conf": servers.joined(separator: "\n") + "\n",
        ]
        return try contents.sorted { $0.key < $1.key }.compactMap { name, text in
            guard let entry = tree.entry("/etc/" + name), !entry.isFolder else { return nil }
            try Files.replace("\(folder)/\(name)", with: text, durably: false)
            return [
                "destination": .text(entry.path), "type": "bind", "source": .text("\(folder)/\(name)"),
                "options": ["bind", "ro", "nosuid", "nodev", "noexec"],
            ]
        }
    }

    // MARK: Isolation

    private static let maskedPaths = [
        "/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
        "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware",
        "/sys/devices/virtual/powercap",
    ]
    private static let readOnlyPaths = [
        "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger",
    ]
    /// Microseconds over which a share of the processor is measured.
    private static let processorPeriod = 100_000

    private var linux: JSONText {
        let limits = run.limits
        var memory: [(String, JSONText)] = [("limit", .number(limits.memory.bytes))]
        if limitsSwap { memory.append(("swap", .number(limits.memory.bytes))) }
        // The kernel takes no quota below one millisecond.
        let quota = max(1000, limits.milliCPU * RuntimeBundle.processorPeriod / 1000)
        return [
            "cgroupsPath": .text(cgroup),
            "namespaces": [
                ["type": "pid"], ["type": "mount"], ["type": "ipc"], ["type": "uts"], ["type": "cgroup"],
                ["type": "network", "path": .text(network)],
            ],
            // The namespace is the instance's own: any port in it is its to listen on, without a capability.
            "sysctl": ["net.ipv4.ip_unprivileged_port_start": "0"],
            "resources": [
                "devices": [["allow": false, "access": "rwm"]],
                "memory": .object(memory),
                "cpu": [
                    "quota": .number(quota), "period": .number(RuntimeBundle.processorPeriod),
                    "shares": .number(min(262_144, max(2, limits.milliCPU * 1024 / 1000))),
                ],
                "pids": ["limit": .number(limits.pids)],
            ],
            "maskedPaths": .texts(RuntimeBundle.maskedPaths),
            "readonlyPaths": .texts(RuntimeBundle.readOnlyPaths),
            "seccomp": .written(SystemCallFilter.configuration),
        ]
    }
}
