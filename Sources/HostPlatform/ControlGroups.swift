internal import Glibc
internal import Model

/// The cgroup hierarchies of this host, version 1, 2 or both side by side.
struct ControlGroups: Sendable {
    /// Mount points of version 1 hierarchies, one for each set of controllers.
    let legacy: [String]
    /// Mount points of version 2.
    let unified: [String]
    /// Where processor time is counted, if it is in version 1.
    private let accounting: String?

    private init(legacy: [String], unified: [String]) {
        self.legacy = legacy
        self.unified = unified
        accounting = legacy.first { Files.exists($0 + "/cpuacct.usage") }
    }

    static func detect() -> ControlGroups {
        var legacy: [String] = []
        var unified: [String] = []
        for line in (Files.text("/proc/self/mounts") ?? "").split(separator: "\n") {
            let fields = line.split(separator: " ")
            guard fields.count > 2 else { continue }
            switch fields[2] {
            case "cgroup": legacy.append(String(fields[1]))
            case "cgroup2": unified.append(String(fields[1]))
            default: continue
            }
        }
        return ControlGroups(legacy: legacy, unified: unified)
    }

    var isHybrid: Bool { !legacy.isEmpty && !unified.isEmpty }

    /// Where the memory controller is, and what it calls its limit.
    private var memory: (folder: String, limit: String, swap: String)? {
        if let folder = legacy.first(where: { Files.exists($0 + "/memory.limit_in_bytes") }) {
            return (folder, "memory.limit_in_bytes", "memory.memsw.limit_in_bytes")
        }
        return unified.first.map { ($0, "memory.max", "memory.swap.max") }
    }

    /// Whether the kernel limits swap as well. In version 2 the root group has no such file, but any group below has.
    var limitsSwap: Bool {
        guard let memory else { return false }
        if !legacy.isEmpty { return Files.exists("\(memory.folder)/\(memory.swap)") }
        return Files.names(in: memory.folder).contains {
            Files.exists("\(memory.folder)/\($0)/\(memory.swap)")
        }
    }

    /// Which of the controllers that limits need are missing.
    var missingControllers: [String] {
        var have: Set<Substring> = []
        for folder in unified {
            have.formUnion(
                (Files.text(folder + "/cgroup.controllers") ?? "").split(whereSeparator: \.isWhitespace))
        }
        // A version 1 hierarchy is mounted under the names of its controllers.
        for folder in legacy {
            have.formUnion(folder.split(separator: "/").last?.split(separator: ",") ?? [])
        }
        return ["memory", "cpu", "pids"].filter { !have.contains(Substring($0)) }
    }

    func memoryLimit(of group: String) -> Int? {
        guard let memory, let text = Files.text("\(memory.folder)/\(group)/\(memory.limit)") else {
            return nil
        }
        return Int(text.filter(\.isNumber))
    }

    /// Microseconds that the processes of a group have used, those that ended included; nil where nobody counts. Reads
    /// one small file.
    func processorTime(of group: String) -> Int? {
        if let accounting {
            return Files.text("\(accounting)/\(group)/cpuacct.usage", limit: 64).flatMap {
                Int($0.prefix { $0.isNumber })
            }.map { $0 / 1000 }
        }
        guard let folder = unified.first, let text = Files.text("\(folder)/\(group)/cpu.stat", limit: 4096),
            let row = text.split(separator: "\n").first(where: { $0.hasPrefix("usage_usec ") })
        else { return nil }
        return Int(row.dropFirst(11))
    }

    /// Gets the kernel ready for moving a process into a group of version 1. The first move after a while waits for all
    /// of the kernel's readers, 6 to 16 ms; those that come soon after it do not. This asks for the move of a process
    /// that cannot exist, and so pays that while others do something useful. Blocks as long.
    func prepareForMoves() {
        guard let folder = legacy.first else { return }
        let file = Descriptor(open(folder + "/cgroup.procs", O_WRONLY | O_CLOEXEC))
        guard file.number >= 0 else { return }
        _ = Glibc.write(file.number, ControlGroups.noProcess, ControlGroups.noProcess.utf8.count)
    }

    /// Above the greatest number that the kernel ever gives (PID_MAX_LIMIT is 2^22).
    private static let noProcess = "2147483647"

    /// The folders of a group that exist.
    func folders(of group: String) -> [String] {
        (legacy + unified).map { "\($0)/\(group)" }.filter { Files.exists($0) }
    }

    func processes(in group: String) -> Set<Int32> {
        Set(folders(of: group).flatMap { ControlGroups.processes(inFolder: $0) })
    }

    /// Has the kernel kill every process of a group, also those that make others all the time: by one act in version 2,
    /// and while none of them runs in version 1. Whether it had none.
    func kill(_ group: String) -> Bool {
        var left = processes(in: group).filter { $0 > 1 }
        if left.isEmpty { return true }
        for folder in unified.map({ "\($0)/\(group)" }) where Files.exists(folder + "/cgroup.kill") {
            let inside = ControlGroups.processes(inFolder: folder)
            if !inside.isEmpty, ControlGroups.write("1", to: folder + "/cgroup.kill") {
                left.subtract(inside)
            }
        }
        if left.isEmpty { return false }
        let freezer = legacy.map { "\($0)/\(group)/freezer.state" }.first { Files.exists($0) }
        if let freezer, ControlGroups.write("FROZEN", to: freezer) {
            for _ in 0..<ControlGroups.freezeLooks where Files.text(freezer, limit: 64) != "FROZEN\n" {
                usleep(ControlGroups.freezePause)
            }
            left = processes(in: group).filter { $0 > 1 }
        }
        for pid in left { Glibc.kill(pid, SIGKILL) }
        // Only one that runs can end.
        if let freezer { _ = ControlGroups.write("THAWED", to: freezer) }
        return false
    }

    /// Half a second in all: what sleeps in the kernel freezes when it wakes.
    private static let freezeLooks = 500
    private static let freezePause: UInt32 = 1000

    private static func write(_ text: String, to path: String) -> Bool {
        let file = Descriptor(open(path, O_WRONLY | O_CLOEXEC))
        return file.number >= 0 && Glibc.write(file.number, text, text.utf8.count) == text.utf8.count
    }

    private static func processes(inFolder folder: String) -> [Int32] {
        (Files.text(folder + "/cgroup.procs") ?? "").split(separator: "\n").compactMap { Int32($0) }
    }

    /// Kills every process of a group and removes it; false where something is still left.
    func clear(_ group: String) -> Bool {
        let folders = folders(of: group)
        guard !folders.isEmpty else { return true }
        _ = kill(group)
        for folder in folders { ControlGroups.removeFolder(folder) }
        return self.folders(of: group).isEmpty
    }

    /// Removes a group and the groups that its processes made below it.
    private static func removeFolder(_ folder: String) {
        if rmdir(folder) == 0 || errno == ENOENT { return }
        for name in Files.names(in: folder) where isFolder("\(folder)/\(name)") {
            removeFolder("\(folder)/\(name)")
        }
        rmdir(folder)
    }

    private static func isFolder(_ path: String) -> Bool {
        var info = stat()
        return lstat(path, &info) == 0 && info.st_mode & S_IFMT == S_IFDIR
    }
}
