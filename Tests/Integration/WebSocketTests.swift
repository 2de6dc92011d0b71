import Foundation
import Model
import Testing
import WireAPI

/// Connections that outlive a request: they are drained to their own limit, and then closed in order.
extension OnThisHost {
    @Suite(.serialized) struct WebSocketTests {
        private static let settings = """
            run:
              port: 8080
              health: {path: /health, interval: 500ms, timeout: 2s}
              config: {VERSION: "1"}
            rollout: {watch: 1s, drain: 10s, keep-standby: 0}
            listen: 127.0.0.1:8000

            """

        @Test func `a WebSocket outlives the switch, and is closed in order when its time is over`() throws {
            let site = try Site()
            try site.addTestServer("chat", Self.settings)
            try site.start()
            try #require(try site.deploy("chat").status == 0)
            let old = try WebSocket(port: site.port)
            #expect(try old.echo("before") == "before")
            try site.edit("chat") { $0.replacingOccurrences(of: "VERSION: \"1\"", with: "VERSION: \"2\"") }
            try #require(try site.deploy("chat").status == 0)
            #expect(try old.echo("after the switch") == "after the switch")
            let new = try WebSocket(port: site.port)
            #expect(try new.echo("newcomer") == "newcomer")
            // The end of the stream, and no reset.
            #expect(try old.read(1).isEmpty)
            #expect(try new.echo("still here") == "still here")
            try eventually("only the new release runs") {
                try site.status().instances.allSatisfy { $0.release.value == 2 }
            }
        }
    }
}

/// As much of a WebSocket client (RFC 6455) as says and hears short texts.
private final class WebSocket {
    private let file: Int32

    init(port: Int) throws {
        file = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var limit = timeval(tv_sec: 60, tv_usec: 0)
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
        let request = """
            GET /chat HTTP/1.1\r\nHost: hello\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
            Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n
            """
        try write(Array(request.utf8))
        var head: [UInt8] = []
        while !head.suffix(4).elementsEqual("\r\n\r\n".utf8) {
            let byte = try read(1)
            guard !byte.isEmpty else { throw Failure(.commandFailed, "the handshake is not whole") }
            head += byte
        }
        let text = String(decoding: head, as: UTF8.self)
        guard text.hasPrefix("HTTP/1.1 101 "), text.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=") else {
            throw Failure(.commandFailed, text)
        }
    }

    deinit { close(file) }

    func echo(_ text: String) throws -> String {
        let mask: [UInt8] = [1, 2, 3, 4]
        let masked = text.utf8.enumerated().map { $1 ^ mask[$0 % 4] }
        try write([0x81, 0x80 | UInt8(masked.count)] + mask + masked)
        let head = try read(2)
        guard head.count == 2, head[0] == 0x81 else { throw Failure(.commandFailed, "no frame: \(head)") }
        return String(decoding: try read(Int(head[1])), as: UTF8.self)
    }

    /// So many bytes; fewer where the other side closed the connection.
    func read(_ count: Int) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        let got = recv(file, &bytes, count, Int32(MSG_WAITALL))
        guard got >= 0 else { throw Failure(.commandFailed, String(cString: strerror(errno))) }
        return Array(bytes.prefix(got))
    }

    private func write(_ bytes: [UInt8]) throws {
        guard send(file, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count else {
            throw Failure(.commandFailed, String(cString: strerror(errno)))
        }
    }
}
