internal import Model

/// The mounts that a process sees, in the form in which two looks can be compared.
struct MountList: Hashable, Sendable, Codable {
    /// Where, and what of which file system with which options; in the order in which they were made.
    var mounts: [Mount] = []

    struct Mount: Hashable, Sendable, Codable {
        var path: String
        /// Device, root, own options, type and source. Not the number, which means nothing; not the peer groups, which
        /// other mounts of the host change; and of the file system's own options only whether it can be written to,
        /// because a folder of the host may lend its file system to this mount.
        var rest: String
    }

    init() {}

    /// From the bytes of /proc/PID/mountinfo (man 5 proc). Lines that are none are left out.
    init(_ table: [UInt8]) {
        for line in table.split(separator: UInt8(ascii: "\n")) {
            let fields = line.split(separator: UInt8(ascii: " ")).map { String(decoding: $0, as: UTF8.self) }
            guard fields.count > 8, let dash = fields[6...].firstIndex(of: "-"), dash + 3 < fields.count
            else { continue }
            let mode = fields[dash + 3].split(separator: ",").first ?? ""
            mounts.append(
                Mount(
                    path: fields[4],
                    rest: [fields[2], fields[3], fields[5], fields[dash + 1], fields[dash + 2], String(mode)]
                        .joined(separator: " ")))
        }
    }

    /// What differs, one for each path.
    func differences(from launch: MountList) -> [ProcessConfinement.Difference] {
        if self == launch { return [] }
        let (now, then) = (
            Dictionary(grouping: mounts, by: \.path), Dictionary(grouping: launch.mounts, by: \.path)
        )
        return Set(now.keys).union(then.keys).sorted().compactMap { path in
            let (new, old) = (now[path, default: []], then[path, default: []])
            guard new != old else { return nil }
            return ProcessConfinement.Difference(
                subject: "mount \(path)", expected: old.last?.rest ?? "no mount",
                found: new.last?.rest ?? "no mount")
        }
    }
}
