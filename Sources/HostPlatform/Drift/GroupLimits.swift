internal import Glibc
internal import Model

/// The limits of an instance's control group, as they read right after launch.
struct GroupLimits: Hashable, Sendable, Codable {
    /// One file: its path, the name under which it is told, and its text.
    struct Limit: Hashable, Sendable, Codable {
        var path: String
        var name: String
        var value: String
    }

    var limits: [Limit] = []

    /// Both versions' names, by the one that is told. The period comes before the quota that is measured over it, and
    /// swap after the memory that it has to hold.
    private static let files: [(name: String, files: [String])] = [
        ("memory.max", ["memory.limit_in_bytes", "memory.max"]),
        ("memory.swap.max", ["memory.memsw.limit_in_bytes", "memory.swap.max"]),
        ("cpu.period", ["cpu.cfs_period_us"]), ("cpu.max", ["cpu.cfs_quota_us", "cpu.max"]),
        ("pids.max", ["pids.max"]),
    ]
    private static let bytes = 128

    init(of folders: [String]) {
        for folder in folders {
            for (name, files) in GroupLimits.files {
                for file in files {
                    guard let value = GroupLimits.read("\(folder)/\(file)") else { continue }
                    limits.append(Limit(path: "\(folder)/\(file)", name: name, value: value))
                }
            }
        }
    }

    var differences: [ProcessConfinement.Difference] {
        limits.compactMap { limit in
            guard let now = GroupLimits.read(limit.path), now != limit.value else { return nil }
            return ProcessConfinement.Difference(subject: limit.name, expected: limit.value, found: now)
        }
    }

    /// Writes back what differs. Where memory and swap were both raised, memory comes down first; where both were
    /// lowered, the kernel takes memory only once swap is up again: so two rounds.
    func restore() throws {
        for round in 1...2 {
            for limit in limits where GroupLimits.read(limit.path) != limit.value {
                let file = Descriptor(open(limit.path, O_WRONLY | O_CLOEXEC))
                let text = Array(limit.value.utf8)
                if file.number < 0 || write(file.number, text, text.count) != text.count, round == 2 {
                    throw SystemFailure.failure(errno, "cannot put back \(limit.name)", at: limit.path)
                }
            }
        }
        guard let left = differences.first else { return }
        throw Failure(
            .conflict, "\(left.subject) is \(left.found) again", suggestion: "look who writes to it")
    }

    private static func read(_ path: String) -> String? {
        Files.text(path, limit: bytes).map { $0.hasSuffix("\n") ? String($0.dropLast()) : $0 }
    }
}
