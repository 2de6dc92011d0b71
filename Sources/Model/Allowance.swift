/// One thing that a service asks for beyond what every instance may do, and why. The list of things is closed: what is
/// not in it, no instance gets.
package struct Allowance: Hashable, Sendable, Codable {
    package enum Thing: Hashable, Sendable, Codable {
        case capability(Capability)
        /// Names out of `SystemCallFilter.onRequest`.
        case systemCalls([String])
        /// No user namespace of its own: root inside is root outside, with fewer capabilities.
        case hostUsers
    }

    package var thing: Thing
    /// For whoever reads the plan; never empty.
    package var reason: String

    package init(_ thing: Thing, reason: String) {
        self.thing = thing
        self.reason = reason
    }

    /// As it stands in kiln.yaml, without the reason.
    package var name: String {
        switch thing {
        case .capability(let capability): "capability \(capability.rawValue)"
        case .systemCalls(let calls): "system-calls \(calls.joined(separator: " "))"
        case .hostUsers: "host-users"
        }
    }
}

/// A capability (man 7 capabilities) that a service may ask for. Those that give the host away, such as SYS_ADMIN and
/// SYS_MODULE, are not among them.
package enum Capability: String, Hashable, Sendable, Codable, CaseIterable {
    case chown = "CHOWN"
    case dacOverride = "DAC_OVERRIDE"
    case fileOwner = "FOWNER"
    case fileSetID = "FSETID"
    case kill = "KILL"
    case setGID = "SETGID"
    case setUID = "SETUID"
    case netBindService = "NET_BIND_SERVICE"
    case netRaw = "NET_RAW"
    case netAdmin = "NET_ADMIN"
    case memoryLock = "IPC_LOCK"
    case changeRoot = "SYS_CHROOT"
    case nice = "SYS_NICE"

    /// Those that give the host away, or go around what confines an instance.
    package static let refused = [
        "AUDIT_CONTROL", "AUDIT_READ", "AUDIT_WRITE", "BLOCK_SUSPEND", "BPF", "CHECKPOINT_RESTORE",
        "DAC_READ_SEARCH", "IPC_OWNER", "LEASE", "LINUX_IMMUTABLE", "MAC_ADMIN", "MAC_OVERRIDE", "MKNOD",
        "NET_BROADCAST", "PERFMON", "SETFCAP", "SETPCAP", "SYSLOG", "SYS_ADMIN", "SYS_BOOT", "SYS_MODULE",
        "SYS_PACCT", "SYS_PTRACE", "SYS_RAWIO", "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "WAKE_ALARM",
    ]

    /// `CAP_…`, as the kernel calls it.
    package var kernelName: String { "CAP_" + rawValue }

    /// The kernel asks for these outside of every user namespace, or of the one that the instance's network belongs to.
    package var needsHostUsers: Bool {
        switch self {
        case .netRaw, .netAdmin, .memoryLock, .nice: true
        default: false
        }
    }
}

extension Sequence<Allowance> {
    package var capabilities: [Capability] {
        compactMap { if case .capability(let capability) = $0.thing { capability } else { nil } }
    }

    package var systemCalls: [String] {
        flatMap { allowance -> [String] in
            if case .systemCalls(let calls) = allowance.thing { calls } else { [] }
        }
    }

    /// Whether instances live without a user namespace of their own: asked for, or needed by a capability.
    package var needsHostUsers: Bool {
        contains { $0.thing == .hostUsers } || capabilities.contains(where: \.needsHostUsers)
    }
}
