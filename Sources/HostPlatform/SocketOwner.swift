internal import Glibc

/// Which sockets a process has open.
enum SocketOwner {
    /// Descriptors of one process that are looked at.
    static let descriptorsAtMost = 65_536

    static func sockets(of pid: Int32) -> Set<UInt32> {
        var budget = descriptorsAtMost
        return sockets(of: pid, budget: &budget)
    }

    /// - Parameter budget: descriptors that may be looked at, less those that were; 0: not all of them
    static func sockets(of pid: Int32, budget: inout Int) -> Set<UInt32> {
        var found: Set<UInt32> = []
        guard let stream = opendir("/proc/\(pid)/fd") else { return [] }
        defer { closedir(stream) }
        while budget > 0, let entry = readdir(stream) {
            budget -= 1
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
