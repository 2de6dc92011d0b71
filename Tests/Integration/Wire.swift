import Foundation
import Model

/// A TCP connection to a port of this host, for tests that speak a protocol themselves.
final class Wire {
    private let file: Int32

    init(port: Int) throws {
        file = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var limit = timeval(tv_sec: 300, tv_usec: 0)
        setsockopt(file, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        let isConnected = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(file, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
        guard isConnected else { throw Failure(.commandFailed, "no connection to port \(port)") }
    }

    deinit { close(file) }

    /// So many bytes; fewer where the other side closed the connection.
    func read(_ count: Int) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        let got = recv(file, &bytes, count, Int32(MSG_WAITALL))
        guard got >= 0 else { throw Failure(.commandFailed, String(cString: strerror(errno))) }
        return Array(bytes.prefix(got))
    }

    /// So many bytes, and no fewer.
    func readWhole(_ count: Int) throws -> [UInt8] {
        guard count > 0 else { return [] }
        let bytes = try read(count)
        guard bytes.count == count else {
            throw Failure(.commandFailed, "it ended after \(bytes.count) bytes")
        }
        return bytes
    }

    func write(_ bytes: [UInt8]) throws {
        guard send(file, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count else {
            throw Failure(.commandFailed, String(cString: strerror(errno)))
        }
    }
}

extension FixedWidthInteger {
    /// The bytes of a number, as networks and PostgreSQL order them.
    var bigEndianBytes: [UInt8] { withUnsafeBytes(of: bigEndian) { Array($0) } }
    var littleEndianBytes: [UInt8] { withUnsafeBytes(of: littleEndian) { Array($0) } }

    init(bigEndian bytes: some Sequence<UInt8>) { self = bytes.reduce(0) { $0 << 8 | Self($1) } }
    init(littleEndian bytes: some BidirectionalCollection<UInt8>) { self.init(bigEndian: bytes.reversed()) }
}
