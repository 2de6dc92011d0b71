internal import CLinux
internal import Glibc
internal import Model

/// Folders in memory for what is written, read once and thrown away. A disk's file system takes its time over thousands
/// of small files, and ext4 for minutes after they were deleted.
struct Staging: Sendable {
    /// Where the memory may be, the best first. The second one is everybody's: nothing is taken over there.
    private let places: [String]
    private let prefix: String

    /// Compressed bytes up to which content is unpacked in memory.
    static let largest = 64 << 20
    /// How many times its compressed size has to be free: text packs that well, and others want memory too.
    static let reserve = 16

    init(_ root: HostRoot, places: [String]? = nil) {
        self.places = places ?? [root.runFolder, "/dev/shm"]
        prefix = "kiln-\(root.tag)."
    }

    /// Makes a folder for content of so many compressed bytes; nil where it had better be on disk.
    func makeFolder(_ name: String, for size: Int) -> String? {
        guard size <= Staging.largest, (Staging.availableMemory ?? 0) / Staging.reserve > size else {
            return nil
        }
        for place in places where Staging.hasRoom(place, for: size) {
            let folder = "\(place)/\(prefix)\(name)"
            if mkdir(folder, 0o700) == 0 { return folder }
        }
        return nil
    }

    /// Removes what a crash left.
    func sweep() {
        for place in places {
            for name in Files.names(in: place) where name.hasPrefix(prefix) {
                var info = stat()
                guard lstat("\(place)/\(name)", &info) == 0, info.st_uid == geteuid() else { continue }
                try? Files.removeTree("\(place)/\(name)")
            }
        }
    }

    private static func hasRoom(_ place: String, for size: Int) -> Bool {
        kiln_free_in_memory(place) / Int64(reserve) > size
    }

    private static var availableMemory: Int? {
        let row = Files.text("/proc/meminfo", limit: 16_384)?.split(separator: "\n").first {
            $0.hasPrefix("MemAvailable:")
        }
        return row.flatMap { Int($0.filter(\.isNumber)) }.map { $0 * 1024 }
    }
}
