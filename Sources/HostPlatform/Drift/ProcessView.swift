internal import CLinux
internal import Glibc

/// The namespaces of a process, by the inodes that the kernel gives them: pid, mnt, net, ipc, uts, cgroup, user.
struct Namespaces: Hashable, Sendable, Codable {
    static let names = ["pid", "mnt", "net", "ipc", "uts", "cgroup", "user"]
    /// The first so many are an instance's own: whoever is in one of them is in the instance.
    static let own = 5

    /// 0 where one cannot be seen.
    var inodes = SIMD8<UInt64>()

    /// Names of those that differ, where both can be seen.
    func differences(from other: Namespaces) -> [String] {
        if inodes == other.inodes { return [] }
        return Namespaces.names.indices.filter {
            inodes[$0] != other.inodes[$0] && inodes[$0] != 0 && other.inodes[$0] != 0
        }.map { Namespaces.names[$0] }
    }
}

/// What can be seen of one process from outside, without disturbing it.
struct ProcessView: Hashable, Sendable {
    let pid: Int32
    let parent: Int32
    let startTime: UInt64
    /// A zombie, or one that nobody waits for any more.
    let hasEnded: Bool
    let isKernel: Bool
    let namespaces: Namespaces

    /// nil where no such process is.
    init?(_ pid: Int32, withNamespaces: Bool = true) {
        var seen = kiln_process()
        guard kiln_process_look(pid, withNamespaces ? 1 : 0, &seen) == 0 else { return nil }
        self.pid = pid
        parent = seen.parent
        startTime = seen.start_time
        hasEnded =
            seen.state == CChar(bitPattern: UInt8(ascii: "Z"))
            || seen.state == CChar(bitPattern: UInt8(ascii: "X"))
        isKernel = seen.is_kernel != 0
        let (a, b, c, d, e, f, g) = seen.namespaces
        namespaces = Namespaces(inodes: SIMD8(a, b, c, d, e, f, g, 0))
    }

    /// Whether this very process still runs.
    var isAlive: Bool {
        guard let now = ProcessView(pid, withNamespaces: false) else { return false }
        return now.startTime == startTime && !now.hasEnded
    }

    /// Device and inode of the program; nil where it cannot be seen, as of a process that just ends.
    var program: (device: UInt64, inode: UInt64)? {
        var (device, inode) = (UInt64(0), UInt64(0))
        return kiln_process_program(pid, &device, &inode) == 0 ? (device, inode) : nil
    }

    /// The program's path as the process sees it, `/memfd:x (deleted)` where it has none.
    var programPath: String? { ProcessFile.link(pid, "exe") }
}

/// Files of /proc/PID, read whole into a bounded buffer.
enum ProcessFile {
    /// A mount table of some hundred lines; environments are larger only by intent.
    static let bytesAtMost = 256 << 10

    static func read(_ pid: Int32, _ name: String, limit: Int = bytesAtMost) -> [UInt8]? {
        // Most of these files have a few hundred bytes.
        for size in [min(8192, limit), limit] {
            var length: Int64 = 0
            let bytes = [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
                length = kiln_process_read(
                    pid, name,
                    UnsafeMutableRawPointer(buffer.baseAddress!).assumingMemoryBound(to: CChar.self),
                    size)
                count = max(0, Int(length))
            }
            if length < 0 { return nil }
            if bytes.count < size || size == limit { return bytes }
        }
        return nil
    }

    /// Where the kernel put the environment of the program that a process runs (man 5 proc: stat, field 50); 0: unknown.
    static func environmentStart(of pid: Int32) -> UInt64 {
        guard let bytes = read(pid, "stat", limit: 1024), let bracket = bytes.lastIndex(of: UInt8(ascii: ")"))
        else { return 0 }
        // The fields after the name begin with the third.
        let fields = bytes[(bracket + 1)...].split(separator: UInt8(ascii: " "))
        return fields.count > 47 ? UInt64(String(decoding: fields[47], as: UTF8.self)) ?? 0 : 0
    }

    static func link(_ pid: Int32, _ name: String) -> String? { link("/proc/\(pid)/\(name)") }

    static func link(_ path: String) -> String? {
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = buffer.withUnsafeMutableBytes {
            readlink(path, $0.baseAddress!.assumingMemoryBound(to: CChar.self), 4096)
        }
        return count > 0 ? String(decoding: buffer[..<count], as: UTF8.self) : nil
    }

    /// The processes of this host.
    static func numbers() -> [Int32] {
        guard let stream = opendir("/proc") else { return [] }
        defer { closedir(stream) }
        var numbers: [Int32] = []
        while let entry = readdir(stream) {
            let number = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { atoi($0) }
            }
            if number > 0 { numbers.append(number) }
        }
        return numbers
    }
}
