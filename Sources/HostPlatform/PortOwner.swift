internal import CLinux
internal import Glibc
internal import Model

/// Finds out whether an address can be listened at, and who has it where it cannot.
enum PortOwner {
    /// Throws `portInUse` with the program's name where that can be found out.
    static func check(_ address: SocketAddress) throws {
        let host = address.host == "*" ? "" : address.host.filter { $0 != "[" && $0 != "]" }
        var code = kiln_try_listen(host, Int32(address.port))
        let deadline = Monotonic.now + Limit.portRelease.milliseconds
        // A process that is just ending holds its ports a little longer than its name.
        while code == EADDRINUSE, find(address.port) == nil, Monotonic.now < deadline {
            usleep(5000)
            code = kiln_try_listen(host, Int32(address.port))
        }
        switch code {
        case 0: return
        case EADDRINUSE:
            let owner = find(address.port).map { " by \($0)" } ?? ""
            throw Failure(
                .portInUse, "\(address) is in use\(owner)", at: "listen",
                suggestion: "stop that program, or listen on another port")
        case EADDRNOTAVAIL:
            throw Failure(
                .invalidArgument, "this host has no address \(address.host)", at: "listen",
                suggestion: "listen on 127.0.0.1, on *, or on an address that `ip address` shows")
        default: throw SystemFailure.failure(code, "cannot listen on \(address)", at: "listen")
        }
    }

    /// `nginx (process 123)`, or nil where nobody can be found.
    static func find(_ port: Int) -> String? {
        let inodes = Set(["/proc/net/tcp", "/proc/net/tcp6"].flatMap { listeners(in: $0, port: port) })
        guard !inodes.isEmpty else { return nil }
        for pid in ProcessFile.numbers().sorted() where !SocketOwner.sockets(of: pid).isDisjoint(with: inodes)
        {
            let program = (Files.text("/proc/\(pid)/comm", limit: 64) ?? "").filter { $0 != "\n" }
            return "\(program) (process \(pid))"
        }
        return nil
    }

    /// Inodes of the sockets that listen on a port (man 5 proc, /proc/net/tcp): state 0A is LISTEN.
    private static func listeners(in table: String, port: Int) -> [UInt32] {
        (Files.text(table, limit: 16 << 20) ?? "").split(separator: "\n").dropFirst().compactMap { row in
            let fields = row.split(separator: " ")
            guard fields.count > 9, fields[3] == "0A",
                let local = fields[1].split(separator: ":").last.flatMap({ Int($0, radix: 16) }),
                local == port
            else { return nil }
            return UInt32(fields[9])
        }
    }
}
