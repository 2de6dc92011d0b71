import Glibc
import Model

/// What a running sandbox has taken, looked up from outside: the host may give us no control group to count for us.
struct SandboxUsage {
    private enum Limit {
        /// Looks between two at the disk: each is a call, and only beyond the limit a walk.
        static let looksPerDisk = 4
        /// Looks without a walk of the folders after one that found nothing wrong.
        static let looksPerWalk = 20
        /// Free bytes below which nobody's work goes on.
        static let reserve = 64 << 20
        /// Times the limit that the whole disk may lose before it counts as ours without a walk: files that are open
        /// and have no name are in no folder.
        static let unseenFactor = 4
    }

    private let process: pid_t
    private let limits: Sandbox.Limits
    private let folders: [String]
    private let freeAtStart: Int
    private let usedAtStart: Int
    private var looks = 0
    private var nextWalk = 0
    /// The first process of the namespace, whose end is the end of all.
    private(set) var first: pid_t?

    init(process: pid_t, limits: Sandbox.Limits, folders: [String]) {
        self.process = process
        self.limits = limits
        // One that lies inside another would count twice.
        self.folders = folders.filter { path in
            !folders.contains { path != $0 && path.hasPrefix($0 + "/") }
        }
        freeAtStart = self.folders.first.map(HostFiles.freeBytes) ?? 0
        usedAtStart = self.folders.reduce(0) { $0 + FolderWalk.bytes(below: $1) }
    }

    static func breach(_ what: String) -> Failure { Failure(.commandFailed, what) }

    /// The limit that is passed by now; nil where none is.
    mutating func breach() -> Failure? {
        looks += 1
        let (count, memory) = processes()
        if count >= limits.processes {
            return SandboxUsage.breach("it started \(limits.processes) processes at once")
        }
        if memory > limits.memory {
            return SandboxUsage.breach("it used more than \(ByteCount(bytes: limits.memory)) of memory")
        }
        guard looks.isMultiple(of: Limit.looksPerDisk), let disk = folders.first else { return nil }
        let free = HostFiles.freeBytes(disk)
        if free < Limit.reserve { return Failure(.diskFull, "the disk is full", at: disk) }
        let lost = freeAtStart - free
        guard lost > limits.disk else { return nil }
        let failure = SandboxUsage.breach("it wrote more than \(ByteCount(bytes: limits.disk)) to the disk")
        if lost > Limit.unseenFactor * limits.disk { return failure }
        guard looks >= nextWalk else { return nil }
        nextWalk = looks + Limit.looksPerWalk
        let used = folders.reduce(0) { $0 + FolderWalk.bytes(below: $1) }
        return used - usedAtStart > limits.disk ? failure : nil
    }

    /// Looks for the first process once more.
    mutating func findFirst() {
        first = first ?? SandboxUsage.children()[process]?.first?.pid
    }

    /// The processes of this host by their parents.
    private static func children() -> [pid_t: [(pid: pid_t, memory: Int)]] {
        var children: [pid_t: [(pid: pid_t, memory: Int)]] = [:]
        for name in HostFiles.names(in: "/proc") {
            guard let pid = pid_t(name), let state = ProcessState(pid) else { continue }
            children[state.parent, default: []].append((pid, state.memory))
        }
        return children
    }

    /// All descendants of the process, and their resident bytes.
    private mutating func processes() -> (count: Int, memory: Int) {
        let children = SandboxUsage.children()
        first = first ?? children[process]?.first?.pid
        var (count, memory) = (0, 0)
        var open = [process]
        while let parent = open.popLast() {
            for child in children[parent] ?? [] {
                count += 1
                memory += child.memory
                open.append(child.pid)
            }
        }
        return (count, memory)
    }
}

/// A row of /proc/PID/stat (proc(5)).
struct ProcessState {
    var parent: pid_t
    /// Resident bytes.
    var memory: Int
    /// It ended, and waits to be noticed.
    var isZombie: Bool
    var isStopped: Bool

    private static let pageSize = Int(sysconf(Int32(_SC_PAGESIZE)))

    /// nil where there is no such process.
    init?(_ pid: pid_t) {
        var buffer = [UInt8](repeating: 0, count: 1024)
        let file = open("/proc/\(pid)/stat", O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { close(file) }
        let count = read(file, &buffer, buffer.count)
        // The name of the program is in parentheses and may hold some itself.
        guard count > 0, let end = buffer[..<count].lastIndex(of: UInt8(ascii: ")")) else { return nil }
        let fields = buffer[(end + 1)..<count].split(separator: UInt8(ascii: " "))
        guard fields.count > 21, let parent = pid_t(String(decoding: fields[1], as: UTF8.self)),
            let pages = Int(String(decoding: fields[21], as: UTF8.self))
        else { return nil }
        self.parent = parent
        memory = pages * ProcessState.pageSize
        isZombie = fields[0].first == UInt8(ascii: "Z")
        isStopped = fields[0].first == UInt8(ascii: "T")
    }
}
