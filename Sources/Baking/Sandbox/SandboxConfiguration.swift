import Glibc
import ImageFormat
import Model

/// A sandbox as an OCI runtime configuration (runtime-spec 1.0).
struct SandboxConfiguration {
    var sandbox: Sandbox
    /// Where the runtime finds the root, and the source of each mount of the host, by their place in `mounts`: a user
    /// of the sandbox's range need not be able to reach the real ones.
    var rootPath: String
    var sources: [Int: String]

    private static let maskedPaths = [
        "/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
        "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi",
    ]
    private static let readOnlyPaths = [
        "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger",
    ]

    var document: JSONValue {
        get throws {
            .object([
                "ociVersion": .string("1.0.2"),
                "process": process,
                "root": .object([
                    "path": .string(rootPath), "readonly": .bool(sandbox.isRootReadOnly),
                ]),
                "hostname": .string(sandbox.hostname),
                "mounts": .array(systemMounts + sandbox.mounts.indices.map(mount)),
                "linux": try linux,
            ])
        }
    }

    private func texts(_ list: some Sequence<String>) -> JSONValue { .array(list.map { .string($0) }) }

    private var process: JSONValue {
        let capabilities = texts(sandbox.capabilities.sorted(by: TarEntry.precedes))
        let limits = sandbox.limits
        let rlimits = [
            ("RLIMIT_CORE", RLIMIT_CORE, 0), ("RLIMIT_NOFILE", RLIMIT_NOFILE, limits.openFiles),
            ("RLIMIT_NPROC", __RLIMIT_NPROC, 2 * limits.processes),
            ("RLIMIT_FSIZE", RLIMIT_FSIZE, limits.disk), ("RLIMIT_AS", RLIMIT_AS, 2 * limits.memory),
            ("RLIMIT_MEMLOCK", __RLIMIT_MEMLOCK, 64 << 10),
        ].map { ($0, SandboxConfiguration.allowed($1, $2)) }
        return .object([
            "terminal": .bool(false),
            "user": .object([
                "uid": .number(sandbox.user), "gid": .number(sandbox.group), "umask": .number(0o022),
            ]),
            "args": texts(sandbox.command),
            "env": texts(
                sandbox.environment.map { "\($0.key)=\($0.value)" }.sorted(by: TarEntry.precedes)),
            "cwd": .string(sandbox.workingDirectory),
            "capabilities": .object([
                "bounding": capabilities, "effective": capabilities, "permitted": capabilities,
                "inheritable": .array([]), "ambient": .array([]),
            ]),
            "noNewPrivileges": .bool(true),
            "oomScoreAdj": .number(500),
            "rlimits": .array(
                rlimits.map { name, value in
                    .object(["type": .string(name), "hard": .number(value), "soft": .number(value)])
                }),
        ])
    }

    /// Nobody can raise what this process is itself held to.
    private static func allowed(_ resource: __rlimit_resource, _ wanted: Int) -> Int {
        var own = rlimit()
        guard getrlimit(__rlimit_resource_t(resource.rawValue), &own) == 0, own.rlim_max < rlim_t(wanted)
        else { return wanted }
        return Int(own.rlim_max)
    }

    private func mount(_ path: String, _ type: String, _ source: String, _ options: [String]) -> JSONValue {
        .object([
            "destination": .string(path), "type": .string(type), "source": .string(source),
            "options": texts(options),
        ])
    }

    private var systemMounts: [JSONValue] {
        [
            mount("/proc", "proc", "proc", ["nosuid", "noexec", "nodev"]),
            mount("/dev", "tmpfs", "tmpfs", ["nosuid", "noexec", "mode=755", "size=64k"]),
            mount("/dev/shm", "tmpfs", "tmpfs", ["nosuid", "noexec", "nodev", "mode=1777", "size=16m"]),
        ]
    }

    private func mount(_ index: Int) -> JSONValue {
        let item = sandbox.mounts[index]
        switch item.source {
        case .host(let path, let isReadOnly):
            return mount(
                item.path, "bind", sources[index] ?? path,
                ["bind", isReadOnly ? "ro" : "rw", "nosuid", "nodev"])
        case .secret:
            return mount(
                item.path, "bind", sources[index] ?? "", ["bind", "ro", "nosuid", "nodev", "noexec"])
        case .memory(let bytes, let mode):
            return mount(
                item.path, "tmpfs", "tmpfs",
                ["nosuid", "nodev", "mode=\(String(mode, radix: 8))", "size=\(bytes)"])
        }
    }

    private var linux: JSONValue {
        get throws {
            let mapping = JSONValue.array([
                .object([
                    "containerID": .number(0), "hostID": .number(sandbox.owners.first),
                    "size": .number(Sandbox.Owners.count),
                ])
            ])
            let kinds = ["pid", "mount", "ipc", "uts", "user"] + (sandbox.hasNetwork ? [] : ["network"])
            return .object([
                "uidMappings": mapping, "gidMappings": mapping,
                "namespaces": .array(kinds.map { .object(["type": .string($0)]) }),
                "maskedPaths": texts(SandboxConfiguration.maskedPaths),
                "readonlyPaths": texts(SandboxConfiguration.readOnlyPaths),
                "seccomp": try JSONValue(parsing: Array(SystemCallFilter.configuration.utf8)),
            ])
        }
    }
}
