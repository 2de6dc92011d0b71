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
              health: {path: /health, interval: 500ms, timeout: 20s}
              config: {VERSION: "1"}
            rollout: {watch: 1s, drain: 20s, keep-standby: 0}
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
    private let wire: Wire

    init(port: Int) throws {
        wire = try Wire(port: port)
        let request = """
            GET /chat HTTP/1.1\r\nHost: hello\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
            Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n
            """
        try wire.write(Array(request.utf8))
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

    func echo(_ text: String) throws -> String {
        let mask: [UInt8] = [1, 2, 3, 4]
        let masked = text.utf8.enumerated().map { $1 ^ mask[$0 % 4] }
        try wire.write([0x81, 0x80 | UInt8(masked.count)] + mask + masked)
        let head = try read(2)
        guard head.count == 2, head[0] == 0x81 else { throw Failure(.commandFailed, "no frame: \(head)") }
        return String(decoding: try read(Int(head[1])), as: UTF8.self)
    }

    /// So many bytes; fewer where the other side closed the connection.
    func read(_ count: Int) throws -> [UInt8] { try wire.read(count) }
}
