import Glibc
import Synchronization

/// A port of the loopback that no other test of this process was given, that was free a moment ago, and that the kernel
/// gives to no outgoing connection.
package func freePort() -> Int {
    for _ in 0..<ports.count {
        let port = next.withLock { next in
            next = next + 1 < ports.upperBound ? next + 1 : ports.lowerBound
            return next
        }
        if isFree(port) { return port }
    }
    preconditionFailure("no free port")
}

private let ports = 20_000..<32_000
/// Other processes that test begin elsewhere.
private let next = Mutex(Int.random(in: ports))

private func isFree(_ port: Int) -> Bool {
    let file = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(file) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = in_port_t(port).bigEndian
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    return withUnsafePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            bind(file, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
        }
    }
}
