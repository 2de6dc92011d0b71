internal import CLinux
internal import Glibc

/// A process named so that a later one with the same number is never taken for it.
struct LiveProcess: Hashable, Sendable, Codable {
    var pid: Int32
    /// Clock ticks since boot, from /proc/PID/stat.
    var startTime: UInt64

    /// nil where no such process runs.
    init?(_ pid: Int32) {
        guard let seen = LiveProcess.look(pid), seen.isAlive else { return nil }
        self.pid = pid
        startTime = seen.startTime
    }

    /// Whether this very process still runs; a zombie does not.
    var isAlive: Bool {
        guard let seen = LiveProcess.look(pid) else { return false }
        return seen.isAlive && seen.startTime == startTime
    }

    /// A descriptor that becomes readable when the process ends; nil where it already did.
    func open() -> Descriptor? {
        let number = kiln_pidfd_open(pid)
        guard number >= 0 else { return nil }
        let descriptor = Descriptor(number)
        // Only now is it certain that the descriptor means this process and no successor.
        return isAlive ? descriptor : nil
    }

    func signal(_ number: Int32) {
        guard let descriptor = open() else { return }
        _ = kiln_pidfd_signal(descriptor.number, number)
    }

    /// Whether a signal would reach the first process of a pid namespace: the kernel drops what such a process has no
    /// handler for. One that blocks the signal may be waiting for it.
    func hears(_ number: Int32) -> Bool {
        let bit = UInt64(1) << UInt64(number - 1)
        for thread in Files.names(in: "/proc/\(pid)/task") {
            for line in (Files.text("/proc/\(pid)/task/\(thread)/status", limit: 8192) ?? "").split(
                separator: "\n")
            where line.hasPrefix("SigBlk:") || line.hasPrefix("SigCgt:") {
                if UInt64(line.dropFirst(7).filter(\.isHexDigit), radix: 16).map({ $0 & bit != 0 }) == true {
                    return true
                }
            }
        }
        return false
    }

    static func parent(of pid: Int32) -> Int32? { look(pid)?.parent }

    private static func look(_ pid: Int32) -> (isAlive: Bool, startTime: UInt64, parent: Int32)? {
        let file = Glibc.open("/proc/\(pid)/stat", O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { close(file) }
        return withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 1024) { buffer in
            let count = read(file, buffer.baseAddress, 1024)
            guard count > 0 else { return nil }
            // The name may hold spaces and brackets: the fields begin after the last closing one.
            guard let bracket = buffer[..<count].lastIndex(of: UInt8(ascii: ")")) else { return nil }
            let fields = buffer[(bracket + 2)..<count].split(separator: UInt8(ascii: " "))
            // man 5 proc: state is field 3, ppid field 4, starttime field 22.
            guard fields.count > 19, let state = fields[0].first else { return nil }
            let start = fields[19].reduce(UInt64(0)) { $0 &* 10 &+ UInt64($1 &- 0x30) }
            let isAlive = state != UInt8(ascii: "Z") && state != UInt8(ascii: "X")
            let parent = fields[1].reduce(Int32(0)) { $0 &* 10 &+ Int32($1 &- 0x30) }
            return (isAlive, start, parent)
        }
    }

    /// The arguments of every process, by number: for finding those that a crash left without an owner.
    static func all() -> [(pid: Int32, arguments: [String])] {
        Files.names(in: "/proc").compactMap { name in
            guard let pid = Int32(name), let bytes = Files.read("/proc/\(name)/cmdline", limit: 16_384),
                !bytes.isEmpty
            else { return nil }
            return (pid, bytes.split(separator: 0).map { String(decoding: $0, as: UTF8.self) })
        }
    }
}

/// The boot that process numbers belong to.
enum Boot {
    static let id: String =
        (Files.text("/proc/sys/kernel/random/boot_id") ?? "").split(separator: "\n").first.map(String.init)
        ?? ""
}
