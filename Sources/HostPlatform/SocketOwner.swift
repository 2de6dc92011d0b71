internal import Glibc

/// Which sockets a process has open.
enum SocketOwner {
    /// Descriptors of one process that are looked at.
    static let descriptorsAtMost = 65_536

    static func sockets(of pid: Int32) -> Set<UInt32> {
        var found: Set<UInt32> = []
        guard let stream = opendir("/proc/\(pid)/fd") else { return [] }
        defer { closedir(stream) }
        var count = 0
        while let entry = readdir(stream), count < descriptorsAtMost {
            count += 1
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            guard let target = ProcessFile.link("/proc/\(pid)/fd/\(name)"), target.hasPrefix("socket:[")
            else {
                continue
            }
            if let inode = UInt32(target.dropFirst(8).dropLast()) { found.insert(inode) }
        }
        return found
    }
}
