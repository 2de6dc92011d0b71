internal import Glibc
internal import Model

/// The OCI runtime configuration of one instance (runtime-spec 1.0): everything that is fixed at launch.
struct RuntimeBundle {
    var id: InstanceID
    var run: RunSettings
    var image: ImageConfig
    /// What its first process runs.
    var command: [String]
    /// The mounted tree of the image, as we see it.
    var imageRoot: String
    /// The users of the host that its users are; nil: the same.
    var users: UserRange?
    /// Path of the instance's network namespace.
    var network: String
    var cgroup: String
    /// Where the files below are written.
    var folder: String
    var address: String
    /// Whether this kernel counts swap: the limit then holds for memory and swap together.
    var limitsSwap: Bool
    /// What other commands carry that we run in the instance; nil: nothing.
    var mark: String?

    /// Whether the instance of a bundle has users of its own.
    static func hasOwnUsers(_ folder: String) -> Bool {
        guard let bytes = Files.read(folder + "/config.json"), let json = try? JSONValue(parsing: bytes)
        else {
            return false
        }
        return json["linux"]?["uidMappings"] != nil
    }

    /// Where the image is mounted for an instance's own users.
    static func ownRoot(_ folder: String) -> String { folder + "/root" }

    /// Writes `config.json` and what it mounts. Throws where the image has no place for a mount.
    func write() throws {
        try Files.makeFolder(folder)
        let tree = ImageTree(root: imageRoot)
        let user = try User(image.user)
        if users != nil {
            for id in [user.uid, user.gid] { if let refusal = UserRange.refusal(of: id) { throw refusal } }
        }
        let configuration: JSONText = [
            "ociVersion": "1.0.2",
            "process": .object([("args", .texts(command))] + process(user)),
            "root": [
                "path": .text(users == nil ? imageRoot : RuntimeBundle.ownRoot(folder)), "readonly": true,
            ],
            "hostname": .text(String(id.text.prefix(64))),
            "mounts": .list(try mounts(in: tree, user)),
            "linux": linux,
        ]
        try Files.replace(folder + "/config.json", with: configuration.encoded, durably: false, mode: 0o600)
        let others = JSONText.object(process(user, mark: mark)).encoded
        try Files.replace(RuntimeBundle.processFile(folder), with: others, durably: false, mode: 0o600)
    }

    /// All of a process but its arguments: other commands in the instance get no more rights than its own. They carry its
    /// mark, by which a later daemon knows them, also where the runtime that began them is gone.
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

    private func process(_ user: User, mark: String? = nil) -> [(String, JSONText)] {
        var environment = image.environment.merging(run.config) { _, release in release }
        if let mark { environment[Lineage.variable] = mark }
        environment["PATH"] =
            environment["PATH"] ?? "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        environment["HOSTNAME"] = environment["HOSTNAME"] ?? id.text
        let asked = run.allow.capabilities.map(\.kernelName)
        let usual = user.uid == 0 ? RuntimeBundle.rootCapabilities : []
        let capabilities = JSONText.texts(usual + asked.filter { !usual.contains($0) })
        // Whoever is not root keeps a capability over the start of a program only so.
        let kept = JSONText.texts(asked)
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
                    "inheritable": kept, "ambient": kept,
                ]
            ),
            ("noNewPrivileges", true),
            ("oomScoreAdj", 100),
            (
                "rlimits",
                [
                    // One byte, not none: where the host hands core files to a program, 0 does not keep it from that.
                    ["type": "RLIMIT_CORE", "hard": 1, "soft": 1],
                    ["type": "RLIMIT_NOFILE", "hard": files, "soft": files],
                ]
            ),
        ]
    }

    // MARK: Isolation

    private static let maskedPaths = [
        "/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
        "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi",
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
        let namespaces: [JSONText] = [
            ["type": "pid"], ["type": "mount"], ["type": "ipc"], ["type": "uts"], ["type": "cgroup"],
            ["type": "network", "path": .text(network)],
        ]
        let settings: [(String, JSONText)] = [
            ("cgroupsPath", .text(cgroup)),
            // The network is not among what its users own: even with every capability, they cannot configure it.
            ("namespaces", .list(namespaces + (users == nil ? [] : [UserRange.namespace]))),
            (
                "resources",
                [
                    "devices": [["allow": false, "access": "rwm"]],
                    "memory": .object(memory),
                    "cpu": [
                        "quota": .number(quota), "period": .number(RuntimeBundle.processorPeriod),
                        "shares": .number(min(262_144, max(2, limits.milliCPU * 1024 / 1000))),
                    ],
                    "pids": ["limit": .number(limits.pids)],
                ]
            ),
            ("maskedPaths", .texts(RuntimeBundle.maskedPaths)),
            ("readonlyPaths", .texts(RuntimeBundle.readOnlyPaths)),
            ("seccomp", .written(SystemCallFilter.configuration(allowing: run.allow))),
        ]
        return .object(settings + (users?.settings ?? []))
    }
}
