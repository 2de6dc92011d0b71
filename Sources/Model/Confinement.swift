/// What confines one instance, as the host sees it now: read from its first process and its control group, not from
/// what was asked for.
package struct Confinement: Hashable, Sendable, Codable {
    /// A row of /proc/PID/uid_map: `count` users from `inside` on are those from `outside` on.
    package struct UserMapping: Hashable, Sendable, Codable {
        package var inside: Int
        package var outside: Int
        package var count: Int

        package init(inside: Int, outside: Int, count: Int) {
            self.inside = inside
            self.outside = outside
            self.count = count
        }
    }

    /// One kind of namespace, and whether it is the instance's own.
    package struct Namespace: Hashable, Sendable, Codable {
        package var kind: String
        package var isOwn: Bool

        package init(kind: String, isOwn: Bool) {
            self.kind = kind
            self.isOwn = isOwn
        }
    }

    package struct Mount: Hashable, Sendable, Codable {
        package var path: String
        package var type: String
        package var options: [String]

        package init(path: String, type: String, options: [String]) {
            self.path = path
            self.type = type
            self.options = options
        }
    }

    /// What the control group and the process are bound to; nil: no bound was found.
    package struct Limits: Hashable, Sendable, Codable {
        package var memory: Int?
        /// Memory and swap together, in bytes.
        package var memoryAndSwap: Int?
        package var milliCPU: Int?
        package var pids: Int?
        package var openFiles: Int?
        /// Bytes of a core file; below one page, none is written.
        package var coreFile: Int?

        package init(
            memory: Int? = nil, memoryAndSwap: Int? = nil, milliCPU: Int? = nil, pids: Int? = nil,
            openFiles: Int? = nil, coreFile: Int? = nil
        ) {
            self.memory = memory
            self.memoryAndSwap = memoryAndSwap
            self.milliCPU = milliCPU
            self.pids = pids
            self.openFiles = openFiles
            self.coreFile = coreFile
        }
    }

    package var instance: InstanceID
    package var release: ReleaseNumber
    package var image: Digest
    package var processID: Int
    /// The program that made it, such as `crun`.
    package var runtime: String
    /// The first process's user and group, as the host numbers them.
    package var user: Int
    package var group: Int
    /// Empty where it has no user namespace of its own.
    package var users: [UserMapping]
    package var namespaces: [Namespace]
    /// What its processes have or could get: the bounding set, by the kernel's names.
    package var capabilities: [String]
    package var hasNoNewPrivileges: Bool
    package var filtersSystemCalls: Bool
    package var mounts: [Mount]
    package var limits: Limits
    /// What its release asked for beyond the usual.
    package var allowed: [Allowance]
    /// What would confine it further, and why it does not.
    package var lacks: [String]

    package init(
        instance: InstanceID, release: ReleaseNumber, image: Digest, processID: Int, runtime: String,
        user: Int,
        group: Int, users: [UserMapping], namespaces: [Namespace], capabilities: [String],
        hasNoNewPrivileges: Bool, filtersSystemCalls: Bool, mounts: [Mount], limits: Limits,
        allowed: [Allowance], lacks: [String]
    ) {
        self.instance = instance
        self.release = release
        self.image = image
        self.processID = processID
        self.runtime = runtime
        self.user = user
        self.group = group
        self.users = users
        self.namespaces = namespaces
        self.capabilities = capabilities
        self.hasNoNewPrivileges = hasNoNewPrivileges
        self.filtersSystemCalls = filtersSystemCalls
        self.mounts = mounts
        self.limits = limits
        self.allowed = allowed
        self.lacks = lacks
    }
}
