internal import Glibc
internal import Model

/// What holds a process in: users, capabilities, system call filter, hard limits, namespaces.
struct ProcessConfinement: Hashable, Sendable, Codable {
    /// Real, effective, saved and file system user, as the host numbers them.
    var users: [UInt32] = []
    var groups: [UInt32] = []
    /// Inheritable, permitted, effective, bounding, ambient.
    var capabilities: [UInt64] = []
    var hasNoNewPrivileges = false
    var filterMode = 0
    var namespaces = Namespaces()
    /// By the kernel's number of the resource.
    var hardLimits: [UInt64] = []
    /// The text that they were read from: where another process has the same, it needs no reading.
    private var limitsText: [UInt8] = []

    /// One thing that is looser than at launch.
    struct Difference: Hashable, Sendable {
        var subject: String
        var expected: String
        var found: String
    }

    static let capabilityNames = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"]
    private static let mayChangeUser: UInt64 = 1 << 7
    private static let mayChangeGroup: UInt64 = 1 << 6
    private static let initials = Array("UGCNS".utf8)
    private static let statusBytes = 8192

    /// nil where the process ended meanwhile.
    init?(of process: ProcessView, launch: ProcessConfinement? = nil) {
        guard let status = ProcessFile.read(process.pid, "status", limit: ProcessConfinement.statusBytes),
            let parsed = ProcessConfinement(status: status)
        else { return nil }
        self = parsed
        namespaces = process.namespaces
        guard let limits = ProcessFile.read(process.pid, "limits", limit: ProcessConfinement.statusBytes)
        else {
            return nil
        }
        limitsText = limits
        hardLimits =
            limits == launch?.limitsText
            ? launch?.hardLimits ?? [] : ProcessConfinement.hardLimits(in: limits)
        guard !hardLimits.isEmpty else { return nil }
    }

    /// Allows what another process of the same launch may do as well.
    mutating func widen(by other: ProcessConfinement) {
        users += other.users.filter { !users.contains($0) }
        groups += other.groups.filter { !groups.contains($0) }
        capabilities = zip(capabilities, other.capabilities).map { $0 | $1 }
        hasNoNewPrivileges = hasNoNewPrivileges && other.hasNoNewPrivileges
        if filterMode != other.filterMode { filterMode = 0 }
        hardLimits = zip(hardLimits, other.hardLimits).map { max($0, $1) }
    }

    /// From the text of /proc/PID/limits: after a heading, a line for each resource in the order of their numbers, with
    /// the hard limit in the third column. The first column has spaces in it, and all have their width.
    static func hardLimits(in text: [UInt8]) -> [UInt64] {
        text.split(separator: UInt8(ascii: "\n")).dropFirst().map { line in
            let column = line.dropFirst(46).prefix(20).filter { $0 != UInt8(ascii: " ") }
            return UInt64(String(decoding: column, as: UTF8.self)) ?? .max
        }
    }

    /// From the text of /proc/PID/status (man 5 proc); nil where a line is missing, as of a process that ends.
    init?(status: [UInt8]) {
        var found = 0
        for line in status.split(separator: UInt8(ascii: "\n")) {
            // All but these lines are of no interest, and there are many.
            guard let first = line.first, ProcessConfinement.initials.contains(first) else { continue }
            guard let colon = line.firstIndex(of: UInt8(ascii: ":")) else { continue }
            let values = line[(colon + 1)...]
            switch line[..<colon] {
            case let name where name.elementsEqual("Uid".utf8):
                users = ProcessConfinement.numbers(values)
                guard users.count == 4 else { return nil }
                found += 1
            case let name where name.elementsEqual("Gid".utf8):
                groups = ProcessConfinement.numbers(values)
                guard groups.count == 4 else { return nil }
                found += 1
            case let name where name.starts(with: "Cap".utf8):
                guard let set = ProcessConfinement.hexadecimal(values) else { return nil }
                capabilities.append(set)
                found += 1
            case let name where name.elementsEqual("NoNewPrivs".utf8):
                hasNoNewPrivileges = ProcessConfinement.numbers(values) == [1]
                found += 1
            case let name where name.elementsEqual("Seccomp".utf8):
                guard let mode = ProcessConfinement.numbers(values).first else { return nil }
                filterMode = Int(mode)
                found += 1
            default: continue
            }
        }
        guard found == 4 + ProcessConfinement.capabilityNames.count,
            capabilities.count == ProcessConfinement.capabilityNames.count
        else { return nil }
    }

    /// What `self` may do that the launched process might not. Having less is never a difference: servers drop what
    /// they do not need, and those that began as root become other users.
    func looser(than launch: ProcessConfinement) -> [Difference] {
        var differences: [Difference] = []
        for (index, name) in ProcessConfinement.capabilityNames.enumerated() {
            // Raising what may be inherited or kept across an exec is no more than a process's own rights.
            let bound =
                name == "CapInh" || name == "CapAmb" ? launch.capabilities[1] : launch.capabilities[index]
            let allowed = bound | launch.capabilities[index]
            if capabilities[index] & ~allowed != 0 {
                differences.append(
                    Difference(
                        subject: name, expected: String(launch.capabilities[index], radix: 16),
                        found: String(capabilities[index], radix: 16)))
            }
        }
        if launch.hasNoNewPrivileges, !hasNoNewPrivileges {
            differences.append(Difference(subject: "NoNewPrivs", expected: "1", found: "0"))
        }
        if launch.filterMode != 0, filterMode != launch.filterMode {
            differences.append(
                Difference(subject: "Seccomp", expected: "\(launch.filterMode)", found: "\(filterMode)"))
        }
        let mayChange = launch.capabilities[3] | launch.capabilities[1]
        if mayChange & ProcessConfinement.mayChangeUser == 0, !Set(users).isSubset(of: launch.users) {
            differences.append(Difference(subject: "Uid", expected: "\(launch.users)", found: "\(users)"))
        }
        if mayChange & ProcessConfinement.mayChangeGroup == 0, !Set(groups).isSubset(of: launch.groups) {
            differences.append(Difference(subject: "Gid", expected: "\(launch.groups)", found: "\(groups)"))
        }
        for (resource, limit) in launch.hardLimits.enumerated()
        where resource < hardLimits.count && hardLimits[resource] > limit {
            differences.append(
                Difference(
                    subject: ProcessConfinement.limitName(resource),
                    expected: ProcessConfinement.limitText(limit),
                    found: ProcessConfinement.limitText(hardLimits[resource])))
        }
        for name in namespaces.differences(from: launch.namespaces) {
            differences.append(
                Difference(subject: "namespace \(name)", expected: "the instance's", found: "another"))
        }
        return differences
    }

    private static let limitNames = [
        "RLIMIT_CPU", "RLIMIT_FSIZE", "RLIMIT_DATA", "RLIMIT_STACK", "RLIMIT_CORE", "RLIMIT_RSS",
        "RLIMIT_NPROC",
        "RLIMIT_NOFILE", "RLIMIT_MEMLOCK", "RLIMIT_AS", "RLIMIT_LOCKS", "RLIMIT_SIGPENDING",
        "RLIMIT_MSGQUEUE",
        "RLIMIT_NICE", "RLIMIT_RTPRIO", "RLIMIT_RTTIME",
    ]

    private static func limitName(_ resource: Int) -> String {
        limitNames.indices.contains(resource) ? limitNames[resource] : "RLIMIT \(resource)"
    }

    private static func limitText(_ limit: UInt64) -> String { limit == .max ? "unlimited" : "\(limit)" }

    private static func numbers(_ bytes: ArraySlice<UInt8>) -> [UInt32] {
        bytes.split { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") }.compactMap {
            UInt32(String(decoding: $0, as: UTF8.self))
        }
    }

    private static func hexadecimal(_ bytes: ArraySlice<UInt8>) -> UInt64? {
        let digits = bytes.drop { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") }
        return UInt64(String(decoding: digits, as: UTF8.self), radix: 16)
    }
}
