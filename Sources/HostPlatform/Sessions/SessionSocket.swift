internal import Glibc
internal import Model

/// A Unix socket for one connection by one user.
struct SessionSocket {
    let path: String
    private let file: Descriptor

    /// How long the person may take to connect, and how many others may try meanwhile.
    static let patience = Span.seconds(15)
    private static let strangers = 64

    /// - Parameter user: whose it is; nobody else can connect, but root
    init(_ path: String, user: UInt32) throws {
        self.path = path
        unlink(path)
        file = Descriptor(socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0))
        guard file.number >= 0 else { throw SystemFailure.failure(errno, "cannot make a socket", at: path) }
        var address = try SessionSocket.address(path)
        let isBound = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(file.number, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) == 0
            }
        }
        // Before anybody can connect: one that does not listen yet refuses everybody.
        guard isBound, chmod(path, 0o600) == 0, chown(path, user, gid_t.max) == 0, listen(file.number, 4) == 0
        else {
            let code = errno
            unlink(path)
            throw SystemFailure.failure(code, "cannot make a socket", at: path)
        }
    }

    private static func address(_ path: String) throws -> sockaddr_un {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let name = Array(path.utf8)
        guard name.count < MemoryLayout.size(ofValue: address.sun_path) else {
            throw SystemFailure.failure(ENAMETOOLONG, "cannot make a socket", at: path)
        }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: name) }
        return address
    }

    /// The connection of that very user, by what the kernel says; nil where none came in time, or `stop` became
    /// readable. The socket is gone afterwards.
    func accept(user: UInt32, stop: Int32) -> Descriptor? {
        defer { unlink(path) }
        let deadline = Monotonic.now + SessionSocket.patience.milliseconds
        for _ in 0..<SessionSocket.strangers {
            guard wait(until: deadline, stop), let connection = acceptOne() else { return nil }
            if SessionSocket.peer(connection) == user { return connection }
        }
        return nil
    }

    /// Any connection; for a runtime that hands over a terminal.
    func accept(until deadline: Int, or other: Int32) -> Descriptor? {
        defer { unlink(path) }
        return wait(until: deadline, other) ? acceptOne() : nil
    }

    private func wait(until deadline: Int, _ other: Int32) -> Bool {
        while true {
            var waits = [
                pollfd(fd: file.number, events: Int16(POLLIN), revents: 0),
                pollfd(fd: other, events: Int16(POLLIN), revents: 0),
            ]
            let rest = max(0, deadline - Monotonic.now)
            let count = poll(&waits, 2, Int32(min(rest, 60_000)))
            if count < 0, errno != EINTR { return false }
            if waits[0].revents != 0 { return true }
            if waits[1].revents != 0 || rest == 0 { return false }
        }
    }

    private func acceptOne() -> Descriptor? {
        // What we start inherits only what it is given, so this need not be close-on-exec from the first moment.
        let number = Glibc.accept(file.number, nil, nil)
        guard number >= 0 else { return nil }
        _ = fcntl(number, F_SETFD, FD_CLOEXEC)
        return Descriptor(number)
    }

    private static func peer(_ connection: Descriptor) -> UInt32? {
        var credentials = ucredentials()
        var length = socklen_t(MemoryLayout<ucredentials>.size)
        guard getsockopt(connection.number, SOL_SOCKET, SO_PEERCRED, &credentials, &length) == 0 else {
            return nil
        }
        return credentials.user
    }

    /// `struct ucred` of socket(7).
    private struct ucredentials {
        var process: Int32 = 0
        var user: UInt32 = .max
        var group: UInt32 = .max
    }

    /// The descriptor that comes with a message, as a runtime sends the terminal that it made.
    static func descriptor(from connection: Descriptor) -> Descriptor? {
        var name = [UInt8](repeating: 0, count: 4096)
        var control = [UInt64](repeating: 0, count: 8)
        let count = name.withUnsafeMutableBytes { name in
            control.withUnsafeMutableBytes { control in
                var part = iovec(iov_base: name.baseAddress, iov_len: name.count)
                return withUnsafeMutablePointer(to: &part) { part in
                    var message = msghdr()
                    message.msg_iov = part
                    message.msg_iovlen = 1
                    message.msg_control = control.baseAddress
                    message.msg_controllen = control.count
                    return recvmsg(connection.number, &message, Int32(MSG_CMSG_CLOEXEC))
                }
            }
        }
        guard count >= 0 else { return nil }
        // man 3 cmsg: the length in a word, then level and type, then what is sent.
        return control.withUnsafeBytes { control in
            let level = control.load(fromByteOffset: 8, as: Int32.self)
            let kind = control.load(fromByteOffset: 12, as: Int32.self)
            guard control.load(as: UInt64.self) >= 20, level == SOL_SOCKET, kind == Int32(SCM_RIGHTS) else {
                return nil
            }
            return Descriptor(control.load(fromByteOffset: 16, as: Int32.self))
        }
    }
}
